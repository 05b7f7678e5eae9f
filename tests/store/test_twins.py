"""The store in memory is a fake of the local one: after any calls they say the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from towpath.errors import TowpathError
from towpath.store.base import Manifest, Store
from towpath.store.local import LocalStore
from towpath.store.memory import MemoryStore
from towpath.testing.store_words import blocks, content, fetch

_KEYS = st.sampled_from(["aa000001", "aa000002", "zz000001"])
_OFFSETS = st.integers(0, 9000)
_SIZES = st.integers(0, 9000)
_DATA = content(20_000)


class Twins(RuleBasedStateMachine):
    """Every call goes to both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.local = self._open()
        self.memory = MemoryStore()

    def _open(self) -> LocalStore:
        root = Path(self.folder.name) / "data"
        return LocalStore(root, durability="relaxed", window=4096, idle_files=1)

    def teardown(self) -> None:
        self.local.close()
        self.folder.cleanup()

    @rule(key=_KEYS)
    def create(self, key: str) -> None:
        self._both(lambda store: store.create(key, None))

    @rule(key=_KEYS, fence=st.integers(1, 3), offset=_OFFSETS, size=_SIZES)
    def write(self, key: str, fence: int, offset: int, size: int) -> None:
        data = _DATA[offset : offset + size]
        self._both(lambda store: store.write(f"uploads/{key}", fence, offset, blocks(data, 999)))

    @rule(key=_KEYS)
    def settle(self, key: str) -> None:
        self._both(lambda store: store.settle(f"uploads/{key}"))

    @rule(key=_KEYS, length=_SIZES)
    def seal(self, key: str, length: int) -> None:
        note = Manifest(record={"length": length})
        self._both(lambda store: store.seal(f"uploads/{key}", length, note))

    @rule(kind=st.sampled_from(["uploads", "objects"]), key=_KEYS, start=_OFFSETS, end=_OFFSETS)
    def read(self, kind: str, key: str, start: int, end: int) -> None:
        self._both(lambda store: fetch(store, f"{kind}/{key}", start, end))

    @rule(kind=st.sampled_from(["uploads", "objects", "nothing"]), key=_KEYS, keep=st.booleans())
    def remove(self, kind: str, key: str, keep: bool) -> None:
        self._both(lambda store: store.remove(f"{kind}/{key}", keep=keep))

    @rule()
    def reopen(self) -> None:
        """A process ends in order: what it wrote is in the file, the fences are forgotten."""
        self.local.close()
        self.local = self._open()
        for found in self.memory.list():
            if found.kind == "upload":
                self.memory.settle(found.at)
        self.memory.crash()

    @invariant()
    def both_hold_the_same(self) -> None:
        held = [
            [(found.at, found.kind, found.size, found.manifest) for found in store.list()]
            for store in (self.local, self.memory)
        ]
        assert held[0] == held[1]

    def _both(self, call: object) -> None:
        assert callable(call)
        answers = []
        for store in (self.local, self.memory):
            try:
                answers.append(call(store))
            except TowpathError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]


def _is_a_store(store: Store) -> Store:
    return store


def test_both_are_stores(tmp_path: Path) -> None:
    with_files = LocalStore(tmp_path / "data")
    assert [_is_a_store(with_files), _is_a_store(MemoryStore())]
    with_files.close()


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
