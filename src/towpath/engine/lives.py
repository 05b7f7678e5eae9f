"""The one Live of each upload that somebody in this process works on.

Rules: loaded once for all who hold it, dropped when nobody does; when the ledger moved without
us, it is dropped at once, so that whoever comes next reads anew. Who came first gets it first: a
claim that passed a chunk which had come before it would tell an offset that then moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from towpath.engine.live import Live
from towpath.errors import Stale


@dataclass(slots=True)
class _Entry:
    loading: asyncio.Future[Live]
    users: int = 0
    door: asyncio.Lock = field(default_factory=asyncio.Lock)  # a fair one: first come, first in


class Lives:
    """Gives out Lives. `load` blocks and raises NotFound; it is called in a worker thread."""

    def __init__(self, load: Callable[[str], asyncio.Future[Live]]) -> None:
        self._load = load
        self._entries: dict[str, _Entry] = {}
        self._users = 0  # of all, those of a dropped Live too
        self._nobody = asyncio.Event()
        self._nobody.set()

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[Live]:
        """The upload's Live, for as long as the block runs. Raises NotFound."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(self._load(key))
        entry.users += 1
        self._users += 1
        self._nobody.clear()
        try:
            async with entry.door:  # without it, who comes after loading passes who waits for it
                live = await asyncio.shield(entry.loading)
            yield live
        except Stale:
            self._drop(key, entry)
            raise
        finally:
            entry.users -= 1
            self._users -= 1
            if not entry.users:
                self._drop(key, entry)
            if not self._users:
                self._nobody.set()

    async def nobody(self) -> None:
        """Until no upload is held."""
        await self._nobody.wait()

    def _drop(self, key: str, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
