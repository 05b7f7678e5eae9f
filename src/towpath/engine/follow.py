"""Reading an upload while the rest of it arrives.

Rules: never a byte beyond the durable prefix; no writer is disturbed, and nobody is waited for but
the bytes; it ends when the upload is complete, and breaks off when there will be no more.
"""

from __future__ import annotations

import asyncio
import contextlib

from towpath.core.caller import Caller, Scope
from towpath.core.limits import MIB
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.core.transfer import require_live
from towpath.engine.engine import GIVEN_UP, Engine
from towpath.engine.shelf import Shelf
from towpath.errors import LimitReached, NotFound, StateConflict, TooSlow
from towpath.store.base import Reading

STEP = 8 * MIB
"""Bytes that are read at most before it is seen what has become of the upload."""

LOOK_SECONDS = 1.0
"""How often that is looked at while no news come."""


class Follow:
    """One reader of one upload. Used on the event loop."""

    def __init__(
        self, engine: Engine, shelf: Shelf, caller: Caller, key: str, *, patience: float
    ) -> None:
        """`patience`: seconds that are waited for further bytes; 0: no limit."""
        self._patience = patience
        self._engine = engine
        self._shelf = shelf
        self._caller = caller
        self._key = key

    async def begin(self) -> Upload:
        """The upload as it is now. Raises NotFound, Expired, Forbidden."""
        self._caller.require(Scope.READ)
        upload, _ = await self._engine.inspect(self._caller, self._key)
        if upload.state in GIVEN_UP:
            raise _no_more(upload)
        return upload

    async def until_there(self, at: int, end: int | None) -> int:
        """Wait until bytes from `at` on are durable; return where those end that may be read.

        At most `end`, at most STEP further; `at` itself when the upload is complete and ends there.
        Raises StateConflict when no more will come, TooSlow when none come for too long,
        LimitReached when the server stops, NotFound, Expired.
        """
        began = self._engine.clock.monotonic()
        while True:
            async with self._engine.hold(self._key) as live:
                with live.bell() as changed:
                    upload, extent = live.facts
                    self._require_hope(upload)
                    there = extent.offset
                    if upload.state is UploadState.COMPLETE:
                        there = upload.offset
                    if there > at or upload.state is UploadState.COMPLETE:
                        return min(there, at + STEP, there if end is None else end)
                    if 0 < self._patience <= self._engine.clock.monotonic() - began:
                        raise TooSlow(
                            "No further bytes came.",
                            why=f"For {self._patience:g} s nobody has written.",
                            todo="Go on from where you are when there is more.",
                        )
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await changed.wait()

    async def read(self, start: int, end: int) -> Reading:
        """Bytes that `until_there` told of. Raises NotFound, StoreError, StateConflict."""
        while True:
            async with self._engine.hold(self._key) as live:
                with live.bell() as changed:
                    upload, _ = live.facts
                    self._require_hope(upload)
                    if upload.state is UploadState.COMPLETE:
                        break
                    with contextlib.suppress(NotFound):  # it is being made an object just now
                        return await self._engine.do(
                            self._engine.store.read, upload.handle, start, end
                        )
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await changed.wait()
        opened = await self._shelf.open(self._caller, self._key)
        return await self._engine.do(opened.read, start, end)

    def _require_hope(self, upload: Upload) -> None:
        """Raise what ends the reading."""
        if upload.state in GIVEN_UP:
            raise _no_more(upload)
        require_live(upload, now=self._engine.clock.now())
        if self._engine.draining:
            raise LimitReached(
                "The server stops.", why="It reads no further.", todo="Go on when it runs again."
            )


def _no_more(upload: Upload) -> StateConflict:
    return StateConflict(
        "The upload will never be complete.",
        why=f"It is {upload.state.value}: {upload.reason}",
        todo="Do not use what has come of it.",
    )
