"""Server-Sent Events: GET /api/v1/events and /api/v1/uploads/{id}/events.

Rules:
- How things stand is said at the beginning, whatever Last-Event-ID says; then come news. What ended
  while nobody listened is not said again: the list of uploads has it.
- A client that does not read is waited for; what it misses meanwhile is conflated by the listener.
- The stream of one upload ends with its last event; who comes back for more is answered 204, which
  ends an EventSource.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from towpath.core import caller as callers
from towpath.core.caller import Caller
from towpath.core.model import UploadState
from towpath.core.news import News, Pressure
from towpath.engine.engine import Engine
from towpath.engine.hub import Hub, of_owner, of_upload
from towpath.engine.listener import Listener
from towpath.errors import Expired, NotFound
from towpath.protocol import events

MOST = 1000
"""Uploads whose state is said at the beginning."""

_PAGE = 100
_UNFINISHED = (UploadState.OPEN, UploadState.FILLED, UploadState.SEALING)
_HEADERS = [
    (b"content-type", events.MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Events:
    """Makes the streams."""

    def __init__(self, engine: Engine, hub: Hub) -> None:
        self._engine = engine
        self._hub = hub

    def of_all(self, caller: Caller) -> Response:
        """All uploads that the caller owns. Raises Forbidden."""
        caller.require(callers.Scope.LIST)

        async def say(listener: Listener) -> AsyncGenerator[str]:
            listener.hear(of_owner(caller))
            count, more = 0, False
            async for news in self._unfinished(caller):
                more = count == MOST
                if more:
                    break
                count += 1
                listener.sent(news.upload.id)
                yield events.write_news(news)
            yield events.write_listening(count, more=more)
            async for item in listener:
                yield _text(listener, item)

        return _Stream(self._hub, caller, say)

    async def of_upload(self, caller: Caller, key: str, last: str) -> Response:
        """One upload of the caller's. Raises NotFound, Expired.

        `last`: the Last-Event-ID of who comes back.
        """
        upload, extent = await self._engine.inspect(caller, key)
        if upload.state.is_final and last == events.event_id(upload):
            return Response(status_code=204)

        async def say(listener: Listener) -> AsyncGenerator[str]:
            listener.hear(of_upload(key))
            now = upload, extent
            with contextlib.suppress(NotFound, Expired):  # it ended just now: news will say so
                now = await self._engine.inspect(caller, key)
            listener.sent(key)
            yield events.write_news(self._hub.stands(*now))
            yield events.write_listening(1, more=False)
            if now[0].state.is_final:
                return
            async for item in listener:
                yield _text(listener, item)
                if isinstance(item, News) and item.is_final:
                    return

        return _Stream(self._hub, caller, say)

    async def _unfinished(self, caller: Caller) -> AsyncGenerator[News]:
        after: str | None = None
        while True:
            page = await self._engine.list(caller, states=_UNFINISHED, after=after, limit=_PAGE)
            for upload in page:
                with contextlib.suppress(NotFound, Expired):
                    yield self._hub.stands(*await self._engine.inspect(caller, upload.id))
            if len(page) < _PAGE:
                return
            after = page[-1].id


def _text(listener: Listener, item: News | Pressure | None) -> str:
    if item is None:
        return events.ALIVE
    if isinstance(item, Pressure):
        return events.write_pressure(item)
    listener.sent(item.upload.id)
    return item.once("event", events.write_news)


class _Stream(Response):
    """The answer: goes on until one side ends it."""

    def __init__(
        self, hub: Hub, caller: Caller, say: Callable[[Listener], AsyncGenerator[str]]
    ) -> None:
        self.background = None
        self.status_code = 200
        self._hub = hub
        self._caller = caller
        self._say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = self._hub.open(self._caller)
        saying = asyncio.ensure_future(self._send(scope, send, listener))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({saying, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.forget(listener)
            leaving.cancel()
            saying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await saying

    async def _send(self, scope: Scope, send: Send, listener: Listener) -> None:
        headers = list(_HEADERS)
        if "towpath.narrow" in scope.get("extensions", {}):
            await send({"type": "towpath.narrow"})
            headers.append((b"connection", b"close"))  # it is not wide again
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(_body(events.BEGIN))
        async with contextlib.aclosing(self._say(listener)) as texts:
            async for text in texts:
                await send(_body(text))
        await send({"type": "http.response.body", "body": b""})


def _body(text: str) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
