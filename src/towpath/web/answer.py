"""The way out of the application: what every answer has, whatever it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from towpath.protocol.cors import Pairs
from towpath.protocol.message import Reply
from towpath.protocol.problem import refuse

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Answer:
    """ASGI send that knows what was answered, and adds what every answer has."""

    def __init__(self, send: Send, identity: str, shared: Pairs = ()) -> None:
        self._send = send
        self._identity = identity
        self._shared = shared
        self.status = 0
        self.origin = b""
        self.always: tuple[tuple[str, str], ...] = ()
        self.refuse: Callable[[BaseException], Reply] = refuse

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = [
                (name.encode(), value.encode("latin-1"))
                for name, value in (*self.always, *self._shared)
            ]
            headers = [*message.get("headers", []), *more]
            headers.append((b"x-request-id", self._identity.encode()))
            message = {**message, "headers": headers}
        if self.origin and "headers" in message:
            message = {**message, "headers": [self._absolute(*pair) for pair in message["headers"]]}
        await self._send(message)

    def _absolute(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        there = name.lower() == b"location" and value.startswith(b"/")
        return name, self.origin + value if there else value
