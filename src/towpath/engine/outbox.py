"""What must still be told or done, from the outbox: at least once, also after a crash.

Rules:
- A row is claimed by a commit that moves its due time behind the time that the work may take; so a
  crash delays it, and a second process does not do it meanwhile.
- What fails is tried again, after times that grow and are drawn at random around their length, a
  bounded number of times; after the last one the row goes, and the log has what it said.
- So many chores run at once, and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from towpath.core.model import Outbox, Upload
from towpath.core.ports import Clock
from towpath.core.ranges import Extent
from towpath.errors import Stale, TowpathError, Unanswered
from towpath.ledger.base import Ledger, Query, Remove, Update

AT_ONCE = 8
MOST_TRIES = 16
FIRST_WAIT = 5.0
LONGEST_WAIT = 6 * 3600.0
"""Tries are spread over two days: 5 s, 15 s, 45 s ... 6 h, 6 h."""

LOOK_SECONDS = 5.0
"""How long the outbox is not looked at when nobody says that there is something in it."""

_PAGE = 100
_log = logging.getLogger("towpath.outbox")

Work = Callable[[Outbox], Awaitable[None]]
"""Does what a row says. Raises Unanswered to be asked again; another error to be given up."""


def wait_before(tries: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait after so many tries; `draw` gives numbers from 0 to 1."""
    wait = min(FIRST_WAIT * 3.0 ** min(tries - 1, 20), LONGEST_WAIT)
    return wait * (0.5 + draw())


class Chores:
    """Works off rows of the outbox. An EventSink, too, since something was written then."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        do: Callable[..., Awaitable[Any]],
        work: Mapping[str, Work],
        *,
        patience: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`work` by kind of row; `patience`: seconds after which a claim is another's to take."""
        self._ledger = ledger
        self._clock = clock
        self._do = do
        self._work = dict(work)
        self._patience = patience
        self._draw = draw
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """Look into the outbox soon."""
        if self._loop is not None and kind != "progress":
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
                self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Work until cancelled; what is being done then is done again later."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._news.clear()
                await self.look()
                await self._wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def look(self) -> int:
        """Begin what is due, as far as there is room; how much was begun."""
        room = AT_ONCE - len(self._running)
        if room <= 0 or not self._work:
            return 0
        now = self._clock.now()
        query = Query(
            where={"kind": tuple(self._work)}, below=("due_at", now + 1), limit=min(room, _PAGE)
        )
        begun = 0
        try:
            for row in await self._do(self._ledger.list, Outbox, query):
                claimed = await self._claim(row, now)
                if claimed is not None:
                    begun += 1
                    task = asyncio.create_task(self._try(claimed))
                    self._running.add(task)
                    task.add_done_callback(self._done)
        except TowpathError:
            _log.exception("the outbox cannot be worked off now; it is tried again")
        return begun

    async def idle(self) -> None:
        """Until nothing that was begun is on its way."""
        while self._running:
            await asyncio.wait(set(self._running))

    # --- inside ------------------------------------------------------------------------------

    async def _claim(self, row: Outbox, now: int) -> Outbox | None:
        until = now + int(self._patience * 1000)
        claimed = replace(row, tries=row.tries + 1, due_at=until)
        try:
            await self._do(self._ledger.commit, [Update(claimed)])
        except Stale:  # somebody else was quicker
            return None
        return replace(claimed, version=row.version + 1)

    async def _try(self, row: Outbox) -> None:
        about = {"outbox": row.id, "kind": row.kind, "tries": row.tries}
        again: float | None = None
        try:
            await self._work[row.kind](row)
        except Unanswered as error:
            again, why = error.retry_after, str(error)
        except TowpathError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
            _log.exception("a chore failed", extra=about)
            again, why = 0.0, type(error).__name__
        else:
            await self._commit(Remove(Outbox, row.key))
            return
        if again is None or row.tries >= MOST_TRIES:
            _log.error("it is not told any more", extra={**about, "why": why})
            await self._commit(Remove(Outbox, row.key))
            return
        wait = max(wait_before(row.tries, self._draw), again)
        _log.warning("it is told again later", extra={**about, "why": why, "seconds": wait})
        await self._commit(Update(replace(row, due_at=self._clock.now() + int(wait * 1000))))

    async def _commit(self, change: Update | Remove) -> None:
        try:
            await self._do(self._ledger.commit, [change])
        except TowpathError:
            _log.exception("a chore's end could not be noted; it is done again")

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._news.set()

    async def _wait(self) -> None:
        """Until something was written, a chore has ended, or it is time to look again."""
        bell = asyncio.ensure_future(self._news.wait())
        timer = asyncio.ensure_future(self._clock.sleep(LOOK_SECONDS))
        try:
            await asyncio.wait({bell, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bell.cancel()
            timer.cancel()
