"""Telling the application that we are a part of which uploads have become objects.

Rules: what is to be told stands in the outbox since the commit that completed the upload, so that
it is told at least once, also after a crash; one is told after the other; what fails is told again,
later and later, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from towpath.core.model import Object, Outbox, Upload
from towpath.core.ports import Clock
from towpath.core.ranges import Extent
from towpath.errors import Stale
from towpath.ledger.base import Ledger, Query, Remove, Update

COMPLETED = "completed"
"""Kind of an outbox row whose subject is an object."""

LOOK_SECONDS = 60.0
"""How often the outbox is looked at without news."""

MOST_SECONDS = 3600.0
"""Between two tries, at most."""

Told = Callable[[Object], Awaitable[None]]

_log = logging.getLogger("towpath.completions")


class Completions:
    """Calls `told` for every completed upload. An EventSink: news wake it."""

    def __init__(self, ledger: Ledger, clock: Clock, told: Told) -> None:
        self._ledger = ledger
        self._clock = clock
        self._told = told
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """Wake up when something is completed."""
        loop = self._loop
        if kind == COMPLETED and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: the outbox remembers
                loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Tell what there is, and what comes, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            wait = await self._round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _round(self) -> float:
        """Tell all that is due; return in how many seconds to look again."""
        now, soonest = self._clock.now(), LOOK_SECONDS
        query = Query(where={"kind": COMPLETED}, limit=100)
        while notes := await asyncio.to_thread(self._ledger.list, Outbox, query):
            for note in notes:
                if note.due_at <= now:
                    await self._tell(note)
                else:
                    soonest = min(soonest, max((note.due_at - now) / 1000, 0.1))
            query = replace(query, after=notes[-1].key)
        return soonest

    async def _tell(self, note: Outbox) -> None:
        made = await asyncio.to_thread(self._ledger.get, Object, note.subject)
        try:
            if made is not None:  # else it was removed meanwhile
                await self._told(made)
        except Exception as error:  # noqa: BLE001  # whatever the application raises: again later
            _log.warning(
                "on_complete failed; it is called again later",
                extra={"upload": note.subject, "tries": note.tries + 1},
                exc_info=error,
            )
            seconds = min(2.0**note.tries, MOST_SECONDS)
            due = self._clock.now() + int(seconds * 1000)
            change: Update | Remove = Update(replace(note, tries=note.tries + 1, due_at=due))
            self._news.set()
        else:
            change = Remove(Outbox, note.key)
        with contextlib.suppress(Stale):  # somebody else has told it
            await asyncio.to_thread(self._ledger.commit, [change])
