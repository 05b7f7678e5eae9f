"""Server-Sent Events: GET /api/v1/events and /api/v1/uploads/{id}/events.

Rules:
- How things stand is said at the beginning, whatever Last-Event-ID says; then come news. What ended
  while nobody listened is not said again: the list of uploads has it.
- Where more than a hundred listen to an upload, its progress comes once a second.
- A client that does not read is waited for; what it misses meanwhile is conflated by the listener.
- The stream of one upload ends with its last event; who comes back for more is answered 204, which
  ends an EventSource.
- Raw ASGI, since a thousand of these are open for hours and are to cost little.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

from towpath.core.caller import Caller
from towpath.core.caller import Scope as Allowed
from towpath.core.news import News, Pressure
from towpath.core.state import UploadState
from towpath.engine.engine import Engine
from towpath.engine.hub import Hub, of_owner, of_upload
from towpath.engine.listener import Listener
from towpath.errors import Expired, NotFound
from towpath.protocol import events
from towpath.web.body import send_reply
from towpath.web.plain import for_reading

MOST = 1000
"""Uploads whose state is said at the beginning."""

_PAGE = 100
_UNFINISHED = (UploadState.OPEN, UploadState.FILLED, UploadState.SEALING)
_OF_UPLOAD = re.compile("/uploads/([^/]{1,64})/events")
_HEADERS = [
    (b"content-type", events.MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Tell = Callable[[str], Awaitable[None]]
Say = Callable[[Listener, Tell], Awaitable[None]]


class Events:
    """The streams below /api/v1, in front of the calls that answer at once."""

    def __init__(self, engine: Engine, hub: Hub, others: Asgi) -> None:
        self._engine = engine
        self._hub = hub
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3; the caller stands in the scope. Raises what the engine raises."""
        path = scope["path"].removeprefix(scope["root_path"])
        one = _OF_UPLOAD.fullmatch(path)
        if path != "/events" and one is None:
            await self._others(scope, receive, send)
            return
        if scope["method"] != "GET":
            await send_reply(scope, send, for_reading(scope["method"], "GET"), unread=True)
            return
        caller: Caller = scope["towpath.caller"]
        if one is None:
            caller.require(Allowed.LIST)
            say = self._of_all
        else:
            upload, _ = await self._engine.inspect(caller, one[1])
            last = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
            if upload.state.is_final and last == events.event_id(upload):
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return

            async def say(listener: Listener, tell: Tell) -> None:
                await self._of_upload(listener, tell, upload.id)

        listener = self._hub.open(caller, patient=True)
        try:
            await _stream(scope, receive, send, listener, say)
        finally:
            self._hub.forget(listener)

    async def _of_all(self, listener: Listener, tell: Tell) -> None:
        """All uploads that the caller owns."""
        listener.hear(of_owner(listener.caller))
        count, more = 0, False
        async for news in self._unfinished(listener.caller):
            more = count == MOST
            if more:
                break
            count += 1
            listener.sent(news.upload.id)
            await tell(events.write_news(news))
        await tell(events.write_listening(count, more=more))
        async for item in listener:
            await tell(_text(listener, item))

    async def _of_upload(self, listener: Listener, tell: Tell, key: str) -> None:
        """One upload of the caller's, until it has ended."""
        listener.hear(of_upload(key))
        ended = False
        with contextlib.suppress(NotFound, Expired):  # it ended just now: news say so
            upload, extent = await self._engine.inspect(listener.caller, key)
            ended = upload.state.is_final
            listener.sent(key)
            await tell(events.write_news(self._hub.stands(upload, extent)))
        await tell(events.write_listening(1, more=False))
        if ended:
            return
        async for item in listener:
            await tell(_text(listener, item))
            if isinstance(item, News) and item.is_final:
                return

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


async def _stream(scope: Scope, receive: Receive, send: Send, listener: Listener, say: Say) -> None:
    """Answer until one side ends it."""
    saying = asyncio.ensure_future(_send(scope, send, listener, say))
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({saying, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying


async def _send(scope: Scope, send: Send, listener: Listener, say: Say) -> None:
    headers = list(_HEADERS)
    if "towpath.narrow" in scope.get("extensions", {}):
        await send({"type": "towpath.narrow"})
        headers.append((b"connection", b"close"))  # it is not wide again
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(_body(events.BEGIN))

    async def tell(text: str) -> None:
        await send(_body(text))

    await say(listener, tell)
    await send({"type": "http.response.body", "body": b""})


def _body(text: str) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
