"""/ws/{client_id}: a WebSocket on which a client hears of its document sessions.

Rules:
- Who asks is settled before the handshake is accepted: by the Authorization field, or by a
  subprotocol `towpath.bearer.<token>` beside `towpath.v1`, since pages cannot set fields. A token
  in the address is never looked at.
- Sessions of that client_id are heard of by themselves, others by joining their rooms; in both ways
  only those that the caller owns. A foreign room is answered like one that does not exist.
- One task reads and one says; a client that does not read is waited for, and what it misses
  meanwhile is conflated by its listener.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from towpath.core.caller import Caller
from towpath.core.news import News, Pressure
from towpath.core.state import UploadState
from towpath.engine.engine import Engine
from towpath.engine.hub import Hub, of_label, of_upload
from towpath.errors import Expired, Forbidden, LimitReached, Malformed, NotFound, TowpathError
from towpath.protocol import rooms
from towpath.protocol.message import join_fields
from towpath.protocol.session import session_of
from towpath.web.edge import Edge
from towpath.web.gate import Gate
from towpath.web.limits import WireLimits

PATH = "/ws/"
PROTOCOL = "towpath.v1"
BEARER = "towpath.bearer."
MOST_ROOMS = 256
"""Rooms that one client may have joined or left at once."""

MOST_SESSIONS = 1000
"""Unfinished sessions of a client whose state is said when it comes."""

_PAGE = 100
_UNFINISHED = (UploadState.OPEN, UploadState.FILLED, UploadState.SEALING)
_RESTART, _TOO_LARGE = 1012, 1009

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Rooms:
    """Takes WebSockets."""

    def __init__(
        self, engine: Engine, hub: Hub, gate: Gate, limits: WireLimits, edge: Edge | None = None
    ) -> None:
        self._engine = engine
        self._edge = edge or Edge()
        self._hub = hub
        self._gate = gate
        self._limits = limits

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI 3, scopes of type websocket."""
        await receive()
        try:
            placed, fields = self._edge.place(scope, join_fields(scope["headers"]))
            client = _client(placed)
            caller = self._admit(placed, fields)
            room = _Room(self._engine, self._hub, caller, client, send)
        except TowpathError as error:
            await _refuse(scope, send, error)
            return
        try:
            offered = PROTOCOL in scope.get("subprotocols", [])
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered else None})
            await room.run(receive)
        finally:
            room.close()

    def _admit(self, scope: MutableMapping[str, Any], fields: Mapping[str, str]) -> Caller:
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > self._limits.header_bytes:
            raise Malformed("The handshake's head is too large.", field="headers")
        shown = [each for each in scope.get("subprotocols", []) if each.startswith(BEARER)]
        if shown and "authorization" not in fields:
            fields = {**fields, "authorization": f"Bearer {shown[0].removeprefix(BEARER)}"}
        peer = scope.get("client")
        return self._gate.admit(fields, peer[0] if peer else None)


class _Room:
    """One client on one connection."""

    def __init__(self, engine: Engine, hub: Hub, caller: Caller, client: str, send: Send) -> None:
        """Raises LimitReached."""
        self._engine = engine
        self._hub = hub
        self._caller = caller
        self._client = client
        self._listener = hub.open(caller, self._count)
        self._send = send
        self._left: set[str] = set()
        self._said: dict[str, rooms.Said] = {}

    def close(self) -> None:
        """Hear no more."""
        self._hub.forget(self._listener)

    async def run(self, receive: Receive) -> None:
        """Until one side ends it."""
        self._listener.hear(of_label(self._caller, self._client))
        await self._say(rooms.write_connected(self._client))
        reading = asyncio.ensure_future(self._read(receive))
        saying = asyncio.ensure_future(self._tell())
        try:
            await asyncio.wait({reading, saying}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                code = reading.result()
            else:
                saying.result()
                code = _RESTART
            if code is not None:
                await self._send({"type": "websocket.close", "code": code})
        finally:
            for task in (reading, saying):
                task.cancel()
            await asyncio.gather(reading, saying, return_exceptions=True)

    # --- what the client says ----------------------------------------------------------------

    async def _read(self, receive: Receive) -> int | None:
        """Until the client goes, or says too much: the code to close with."""
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if len(text or message.get("bytes") or b"") > rooms.MOST_MESSAGE:
                return _TOO_LARGE
            key = ""
            try:
                wish = rooms.read_wish(text)
                key = wish.key
                await self._fulfil(wish)
            except TowpathError as error:
                await self._say(rooms.write_error(error, key))
        return None

    async def _fulfil(self, wish: rooms.Wish) -> None:
        news: News | None = None
        if wish.word == "join":
            self._require_room(len(self._listener.topics))
            self._listener.hear(of_upload(wish.key))  # first, so that nothing is missed
            try:
                news = await self._state(wish.key)
            except TowpathError:
                self._listener.ignore(of_upload(wish.key))
                raise
            self._left.discard(wish.key)
        elif wish.word == "leave":
            self._require_room(len(self._left))
            self._left.add(wish.key)
            self._listener.ignore(of_upload(wish.key))
        await self._say(rooms.write_wish(wish))
        if news is not None:
            self._said.pop(wish.key, None)
            self._listener.offer(news)

    def _require_room(self, count: int) -> None:
        if count >= MOST_ROOMS:
            raise LimitReached(
                "Too many rooms on one connection.",
                why=f"At most {MOST_ROOMS} may be joined or left.",
                todo="Open another connection.",
            )

    async def _state(self, key: str) -> News:
        """How a session of the caller's stands. Raises NotFound, Expired."""
        upload, extent = await self._engine.inspect(self._caller, key)
        session_of(upload)
        return self._hub.stands(upload, extent)

    # --- what is said to it ------------------------------------------------------------------

    async def _say(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _tell(self) -> None:
        await self._tell_of_the_unfinished()
        async for item in self._listener:
            if isinstance(item, Pressure):
                await self._say(rooms.write_pressure(item))
            elif item is not None and item.upload.id not in self._left:
                await self._tell_news(item)

    async def _tell_news(self, news: News) -> None:
        key = news.upload.id
        if news.upload.length is None:
            return
        said = self._said.pop(key, rooms.Said())
        texts, said = rooms.write_news(news, said, now=self._engine.clock.monotonic())
        self._listener.sent(key, len(texts))
        if not news.is_final:
            self._said[key] = said
            if len(self._said) > MOST_SESSIONS:
                del self._said[next(iter(self._said))]
        for text in texts:
            await self._say(text)

    def _count(self, news: News) -> int:
        """How many messages news become."""
        if news.upload.length is None:
            return 1
        said = self._said.get(news.upload.id, rooms.Said())
        return rooms.count(news, said, now=self._engine.clock.monotonic())

    async def _tell_of_the_unfinished(self) -> None:
        """How the client's sessions stand."""
        after: str | None = None
        seen = 0
        while seen < MOST_SESSIONS:
            try:
                page = await self._engine.list(
                    self._caller, states=_UNFINISHED, after=after, limit=_PAGE
                )
            except Forbidden:  # it may hear of its own, and not list
                return
            for upload in page:
                if rooms.client_of(upload) == self._client:
                    with contextlib.suppress(NotFound, Expired):
                        await self._tell_news(await self._state(upload.id))
            if len(page) < _PAGE:
                return
            seen += len(page)
            after = page[-1].id


def _client(scope: MutableMapping[str, Any]) -> str:
    """The client_id of the address. Raises NotFound, Malformed."""
    path: str = scope["path"]
    client = path[len(PATH) :]
    if not path.startswith(PATH) or not client:
        raise NotFound(
            "There is no WebSocket at this address.",
            why="It is /ws/ and the client_id of your sessions.",
            todo="Use the client_id that /initiate answered.",
        )
    if len(client) > 200 or not client.isprintable():
        raise Malformed(
            "The client_id cannot be read.",
            field="client_id",
            why="It has at most 200 characters, all of them printable.",
            todo="Use the client_id that /initiate answered.",
        )
    return client


async def _refuse(scope: MutableMapping[str, Any], send: Send, error: TowpathError) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.what})
        return
    reply = rooms.refuse_handshake(error)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.fields]
    start = {"type": "websocket.http.response.start", "status": reply.status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": reply.body})
