"""What spares bytes on the wire and costs reading here: maps of objects, and copies of ranges.

Rules: few at once, since each reads as fast as the disk gives; a map goes out while it is made, and
is made no further once its reader is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from towpath.codec.cdc import Cut
from towpath.engine.copying import chunk_map
from towpath.engine.engine import Engine
from towpath.engine.shelf import Opened
from towpath.errors import LimitReached
from towpath.protocol.message import Reply
from towpath.protocol.ranges import MAP_TYPE
from towpath.web.body import Send, start_of
from towpath.web.downloads import gone

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_AT_ONCE = 4
"""Maps and copies that a server makes at once."""

_HEAD = Reply(
    status=200,
    fields=(
        ("content-type", MAP_TYPE),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ),
)


class Places:
    """The places for what reads as fast as it can. Used on the event loop."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of them. Raises LimitReached."""
        if self._taken >= MOST_AT_ONCE:
            raise LimitReached(
                "Too many maps and copies are made now.",
                why=f"At most {MOST_AT_ONCE} are at once.",
                todo="Try again soon.",
                retry_after=1,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Mapped:
    """The map of an object's chunks, to be sent."""

    def __init__(self, engine: Engine, opened: Opened, cut: Cut, places: Places) -> None:
        self._engine = engine
        self._records = chunk_map(opened, cut)
        self._places = places

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it while it is made. Raises LimitReached, StoreError."""
        with self._places.place():
            try:
                some = await self._next()  # what cannot be read is said before the head is out
                leaving = asyncio.ensure_future(gone(receive))
                try:
                    await send(start_of(_HEAD))
                    while some and not leaving.done():
                        await send({"type": "http.response.body", "body": some, "more_body": True})
                        some = await self._next()
                    if not leaving.done():
                        await send({"type": "http.response.body", "body": b""})
                finally:
                    leaving.cancel()
            finally:
                await self._engine.do(self._records.close)

    async def _next(self) -> bytes:
        return await self._engine.do(lambda: next(self._records, b""))
