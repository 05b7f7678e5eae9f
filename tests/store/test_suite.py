"""Every store of ours against the public suite: this file is their configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from towpath.store.base import Store
from towpath.store.local import LocalStore
from towpath.store.memory import MemoryStore
from towpath.testing.faults import FaultyStore
from towpath.testing.store import CHECKS, LASTING_CHECKS, Make, StoreMaker


class _Memory:
    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity

    @contextmanager
    def make(self) -> Iterator[Store]:
        store = MemoryStore(self.capacity)
        yield store
        store.close()

    def reopen(self, store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        for found in store.list():
            if found.kind == "upload":
                store.settle(found.at)
        store.close()
        return self.crash(store)

    def crash(self, store: Store) -> Store:
        assert isinstance(store, MemoryStore)
        store.crash()
        return store


class _Local:
    def __init__(
        self, durability: Literal["strict", "relaxed"], window: int, idle_files: int
    ) -> None:
        self.durability = durability
        self.window = window
        self.idle_files = idle_files
        self.root = Path()
        self.store: LocalStore

    @contextmanager
    def make(self) -> Iterator[Store]:
        with TemporaryDirectory() as folder:
            self.root = Path(folder) / "data"
            yield self._open()
            self.store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return self._open()

    # Closing a local store writes nothing, so to its files a kill looks the same.
    crash = reopen

    def _open(self) -> LocalStore:
        self.store = LocalStore(
            self.root,
            durability=self.durability,
            window=self.window,
            idle_files=self.idle_files,
        )
        return self.store


_MAKERS: dict[str, StoreMaker] = {
    "memory": _Memory(None),
    "bounded-memory": _Memory(1 << 26),
    "local-strict": _Local("strict", 16 << 20, 256),
    "local-relaxed": _Local("relaxed", 16 << 20, 256),
    "local-few-files-small-windows": _Local("strict", 4096, 1),
}


def _fault_free() -> AbstractContextManager[Store]:
    @contextmanager
    def make() -> Iterator[Store]:
        store = FaultyStore(MemoryStore(), [])
        yield store
        store.close()

    return make()


_MAKES: dict[str, Make] = {name: maker.make for name, maker in _MAKERS.items()}
_MAKES["faulty-without-faults"] = _fault_free


@pytest.mark.parametrize("make", _MAKES.values(), ids=_MAKES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_store_does_what_every_store_must(check: Callable[[Make], None], make: Make) -> None:
    check(make)


@pytest.mark.parametrize("maker", _MAKERS.values(), ids=_MAKERS)
@pytest.mark.parametrize("check", LASTING_CHECKS, ids=lambda check: check.__name__)
def test_a_store_keeps_what_every_store_must_keep(
    check: Callable[[StoreMaker], None], maker: StoreMaker
) -> None:
    check(maker)


def test_the_suite_has_grown_and_not_shrunk() -> None:
    assert len(CHECKS) >= 36
    assert len(LASTING_CHECKS) >= 7
