"""Reading objects again, slowly, to see whether their bytes are still the ones that came.

Rules: the oldest look first; an object whose CRC64NVME differs is marked damaged and is not
served from then on; no more than `rate` bytes a second are read; nobody waits for a scrub.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from towpath.core.crc import crc
from towpath.core.model import Object
from towpath.engine.engine import Engine
from towpath.engine.segments import segments
from towpath.engine.shelf import Opened
from towpath.errors import NotFound, Stale, StoreError
from towpath.ledger.base import Query, Update

_log = logging.getLogger("towpath.scrub")
_STRETCH = 8 << 20


class Scrub:
    """Looks at objects that were not looked at for `every` milliseconds."""

    def __init__(
        self, engine: Engine, *, every: int = 30 * 86_400_000, rate: int = 50 << 20
    ) -> None:
        self._engine = engine
        self._every = every
        self._rate = rate

    async def run(self) -> list[str]:
        """Scrub all that is due; return the ids of objects that are damaged."""
        damaged: list[str] = []
        engine = self._engine
        now = engine.clock.now()
        query = Query(where={"damaged": False})
        while page := await engine.do(engine.ledger.list, Object, query):
            for made in page:
                due = (made.scrubbed_at or made.created_at) <= now - self._every
                if due and not await self._is_sound(made):
                    damaged.append(made.id)
            query = replace(query, after=page[-1].key)
        return damaged

    async def _is_sound(self, made: Object) -> bool:
        engine = self._engine
        try:
            value = await self._read(made)
        except NotFound:
            if await engine.do(engine.ledger.get, Object, made.id) is None:
                return True  # it was removed meanwhile
            value = None
        except StoreError as error:
            _log.error("an object cannot be read", extra={"object": made.id, "error": str(error)})
            value = None
        sound = value == made.crc
        if not sound:
            _log.error(
                "an object is damaged",
                extra={"object": made.id, "wanted": f"{made.crc:016x}"},
            )
        seen = replace(made, scrubbed_at=engine.clock.now(), damaged=not sound)
        try:
            await engine.do(engine.ledger.commit, [Update(seen)])
        except Stale:
            return True  # it changed or went meanwhile; it is looked at again next time
        return sound

    async def _read(self, made: Object) -> int:
        engine = self._engine
        found = await engine.do(segments, engine.ledger, made)
        opened = Opened(made, found, None, engine.store)
        value = 0
        for start in range(0, made.length, _STRETCH):
            end = min(start + _STRETCH, made.length)
            began = engine.clock.monotonic()
            value = await engine.do(_continue, opened, start, end, value)
            spent = engine.clock.monotonic() - began
            await engine.clock.sleep(max((end - start) / self._rate - spent, 0.0))
        return value


def _continue(opened: Opened, start: int, end: int, value: int) -> int:
    reading = opened.read(start, end)
    try:
        for block in reading:
            value = crc(block, value)
    finally:
        reading.close()
    return value
