"""Where bytes and facts are while engines come and go: in memory, in files, and in all pairs."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Protocol

from towpath.core.ports import Clock
from towpath.ledger.base import Ledger
from towpath.ledger.memory import MemoryLedger
from towpath.ledger.sql import SqlLedger
from towpath.store.base import Store
from towpath.store.local import LocalStore
from towpath.store.memory import MemoryStore
from towpath.testing.clock import FakeClock


class Bytes(Protocol):
    """Where bytes are, seen from outside of the store that keeps them."""

    def open(self) -> Store:
        """The store as a new process finds it; the one before is closed."""
        ...

    def crash(self) -> None:
        """What was not settled may be gone."""
        ...

    def left(self) -> list[str]:
        """All there is in uploads/ and objects/, sorted."""
        ...

    def lost(self) -> list[str]:
        """All there is in lost+found, sorted."""
        ...

    def damage(self, at: str, offset: int) -> None:
        """Flip a bit of an object."""
        ...

    def shorten(self, at: str, size: int) -> None:
        """Lose the end of an upload."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class MemoryBytes:
    """In a MemoryStore."""

    def __init__(self, clock: Clock, capacity: int | None = None) -> None:
        self._store = MemoryStore(capacity, clock=clock)

    def open(self) -> Store:
        return self._store

    def crash(self) -> None:
        self._store.crash()

    def left(self) -> list[str]:
        return sorted(found.at for found in self._store.list())

    def lost(self) -> list[str]:
        return sorted(self._store.lost_and_found)

    def damage(self, at: str, offset: int) -> None:
        held = self._store._objects[at.partition("/")[2]]  # no method breaks bytes
        whole = bytearray(held.content)
        whole[offset] ^= 1
        held.content = bytes(whole)

    def shorten(self, at: str, size: int) -> None:
        held = self._store._uploads[at.partition("/")[2]]  # no method loses bytes
        del held.content[size:]

    def close(self) -> None:
        """Nothing is held."""


class LocalBytes:
    """In a directory. Closing it writes nothing, so that to its files a kill looks the same."""

    def __init__(self, clock: Clock, root: Path) -> None:
        self._clock = clock
        self._root = root
        self._store: LocalStore | None = None

    def open(self) -> Store:
        self.close()
        self._store = LocalStore(self._root, durability="relaxed", clock=self._clock)
        return self._store

    def crash(self) -> None:
        """A kill loses nothing that was written."""

    def left(self) -> list[str]:
        found = (f for kind in ("objects", "uploads") for f in (self._root / kind).rglob("*"))
        return sorted(f"{file.parts[-3]}/{file.name}" for file in found if file.is_file())

    def lost(self) -> list[str]:
        return sorted(file.name for file in (self._root / "lost+found").iterdir())

    def damage(self, at: str, offset: int) -> None:
        with self._path(at).open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1]))

    def shorten(self, at: str, size: int) -> None:
        with self._path(at).open("r+b") as file:
            file.truncate(size)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _path(self, at: str) -> Path:
        kind, _, key = at.partition("/")
        return self._root / kind / key[:2] / key


class Facts:
    """In a MemoryLedger, or in a copy of an empty ledger's file."""

    def __init__(self, fresh: Path | None = None, root: Path | None = None) -> None:
        self._ledger = MemoryLedger()
        self._sql: SqlLedger | None = None
        self._file = Path()
        if fresh is not None and root is not None:
            self._file = Path(shutil.copy(fresh, root / "ledger.db"))

    def open(self) -> Ledger:
        """The ledger as a new process finds it; the one before is closed."""
        if self._file == Path():
            self._ledger = self._ledger.reopened()
            return self._ledger
        self.close()
        self._sql = SqlLedger(f"sqlite:///{self._file}", "relaxed")
        return self._sql

    def close(self) -> None:
        """Let go of files."""
        if self._sql is not None:
            self._sql.close()


class Places:
    """A place for bytes, one for facts, and a clock: what outlives an engine."""

    def __init__(
        self,
        kinds: str = "memory-memory",
        root: Path | None = None,
        fresh: Path | None = None,
        *,
        capacity: int | None = None,
    ) -> None:
        """`kinds`: memory or local, a hyphen, memory or sqlite."""
        store, _, ledger = kinds.partition("-")
        self.clock = FakeClock(time.time_ns() // 1_000_000)  # near the time that files get
        self.bytes: Bytes = MemoryBytes(self.clock, capacity)
        if store == "local" and root is not None:
            self.bytes = LocalBytes(self.clock, root / "data")
        self.facts = Facts(fresh, root) if ledger == "sqlite" else Facts()

    def close(self) -> None:
        """Let go of files."""
        self.facts.close()
        self.bytes.close()


PAIRS = ("memory-memory", "memory-sqlite", "local-memory", "local-sqlite")
