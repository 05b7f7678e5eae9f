"""The suite finds what it is there to find: every broken store fails at least one check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from towpath.store.base import Manifest, Store, Stored
from towpath.store.memory import MemoryStore
from towpath.testing import store as suite


class _KnowsNoFence(MemoryStore):
    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        return super().write(handle, 1 << 40, offset, blocks)


class _CollectsBlocksBeforeWriting(MemoryStore):
    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        return super().write(handle, fence, offset, list(blocks))


class _AppendsWhateverTheOffset(MemoryStore):
    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        return super().write(handle, fence, self.extent(handle) or 0, blocks)


class _ReturnsTheCountInsteadOfTheEnd(MemoryStore):
    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        return super().write(handle, fence, offset, blocks) - offset


class _SwallowsWhatBlocksRaise(MemoryStore):
    def write(self, handle: str, fence: int, offset: int, blocks: Iterable[memoryview]) -> int:
        def quiet() -> Iterator[memoryview]:
            try:
                yield from blocks
            except OSError:
                return

        return super().write(handle, fence, offset, quiet())


class _StartsAnewWithEveryCreate(MemoryStore):
    def create(self, key: str, size: int | None) -> str:
        handle = super().create(key, size)
        self.remove(handle)
        return super().create(key, size)


class _SealsWhatIsShort(MemoryStore):
    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        extent = self.extent(handle) or 0
        return super().seal(handle, min(length, extent), manifest)


class _LosesManifests(MemoryStore):
    def seal(self, handle: str, length: int, manifest: Manifest) -> str:
        return super().seal(handle, length, Manifest(record={}))


class _ListsOnlyOnePage(MemoryStore):
    def list(self, after: str = "", limit: int = 1000) -> list[Stored]:
        return [] if after else super().list(after, limit)


class _KeepsNothingSettled(MemoryStore):
    def settle(self, handle: str) -> None:
        self.extent(handle)


_BROKEN = (
    _KnowsNoFence,
    _CollectsBlocksBeforeWriting,
    _AppendsWhateverTheOffset,
    _ReturnsTheCountInsteadOfTheEnd,
    _SwallowsWhatBlocksRaise,
    _StartsAnewWithEveryCreate,
    _SealsWhatIsShort,
    _LosesManifests,
    _ListsOnlyOnePage,
    _KeepsNothingSettled,
)


class _Maker:
    def __init__(self, kind: Callable[[], MemoryStore]) -> None:
        self._kind = kind

    @contextmanager
    def make(self) -> Iterator[Store]:
        yield self._kind()

    def reopen(self, store: Store) -> Store:
        return self.crash(store)

    def crash(self, store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        store.crash()
        return store


def _failures(kind: Callable[[], MemoryStore]) -> list[str]:
    maker, failed = _Maker(kind), list[str]()
    for check in suite.CHECKS:
        try:
            check(maker.make)
        except Exception:  # noqa: BLE001 - however a broken store breaks a check
            failed.append(check.__name__)
    for lasting in suite.LASTING_CHECKS:
        try:
            lasting(maker)
        except Exception:  # noqa: BLE001 - however a broken store breaks a check
            failed.append(lasting.__name__)
    return failed


@pytest.mark.parametrize("kind", _BROKEN)
def test_a_broken_store_does_not_pass(kind: Callable[[], MemoryStore]) -> None:
    assert _failures(kind)


def test_a_store_that_is_not_broken_passes() -> None:
    assert _failures(MemoryStore) == []
