"""Those who listen: to Server-Sent Events by hand, and to rooms by a WebSocket client."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.web.running import PATIENCE, Served
from tests.web.talk import Gone, Line
from tests.web.tokens import token


@dataclass
class Heard:
    """One event."""

    kind: str
    data: dict[str, Any]
    id: str = ""
    at: float = field(default_factory=time.monotonic)


class Stream:
    """A stream of events on a connection of its own."""

    def __init__(self, served: Served, path: str, who: str | None = None, last: str = "") -> None:
        self._line = Line(served)
        known = {} if who is None else {"Authorization": f"Bearer {token(who)}"}
        more = {"Last-Event-ID": last} if last else {}
        self._line.send_head("GET", path, {"Accept": "text/event-stream", **known, **more})
        self.status, self.fields = self._line.head()
        self._chunked = self.fields.get("transfer-encoding") == "chunked"
        self._text = ""

    def close(self) -> None:
        """Go away."""
        self._line.close()

    def _more(self) -> bool:
        """Read on; False at the end."""
        if self._chunked:
            size = b""
            while not size.endswith(b"\r\n"):
                size += self._line.read(1)
            piece = self._line.read(int(size, 16) + 2)[:-2]
        else:
            try:
                piece = self._line.read(1)
            except Gone:
                piece = b""
        self._text += piece.decode()
        return bool(piece)

    def blocks(self) -> Iterator[str]:
        """Each block of lines."""
        while True:
            while "\n\n" not in self._text:
                if not self._more():
                    return
            block, _, self._text = self._text.partition("\n\n")
            yield block

    def events(self) -> Iterator[Heard]:
        """Each event, until the stream ends."""
        for block in self.blocks():
            lines = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
            if "event" in lines:
                yield Heard(lines["event"], json.loads(lines["data"]), lines.get("id", ""))

    def until(self, kind: str) -> list[Heard]:
        """Events up to the first of this kind, with it."""
        heard: list[Heard] = []
        for event in self.events():
            heard.append(event)
            if event.kind == kind:
                return heard
        raise AssertionError(f"no {kind} in {heard}")


@contextmanager
def stream(served: Served, path: str = "/api/v1/events", **how: Any) -> Iterator[Stream]:
    """A stream until the `with` ends."""
    with contextlib.closing(Stream(served, path, **how)) as made:
        yield made


class Socket:
    """A WebSocket in a room."""

    def __init__(self, line: ClientConnection) -> None:
        self.line = line
        self.heard: list[dict[str, Any]] = []
        self.times: list[float] = []

    def say(self, **words: Any) -> None:
        """Send a message."""
        self.line.send(json.dumps(words))

    def hear(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next message."""
        found: dict[str, Any] = json.loads(self.line.recv(timeout))
        self.heard.append(found)
        self.times.append(time.monotonic())
        return found

    def until(self, **like: Any) -> dict[str, Any]:
        """The first message with these members."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(TimeoutError):
            while True:
                found = self.hear(deadline - time.monotonic())
                if all(found.get(name) == value for name, value in like.items()):
                    return found
        raise AssertionError(f"no {like} in {self.heard}")

    def quiet(self, seconds: float) -> bool:
        """True if nothing comes for so long."""
        try:
            self.hear(seconds)
        except TimeoutError:
            return True
        return False


@contextmanager
def room(
    served: Served,
    client: str,
    *,
    who: str | None = None,
    fields: dict[str, str] | None = None,
    protocols: list[str] | None = None,
) -> Iterator[Socket]:
    """A WebSocket until the `with` ends."""
    url = f"{served.url.replace('http', 'ws', 1)}/ws/{client}"
    known = {} if who is None else {"Authorization": f"Bearer {token(who)}"}
    context = ssl.create_default_context(cafile=served.trust) if served.trust else None
    with connect(
        url,
        additional_headers={**known, **(fields or {})},
        subprotocols=protocols,  # type: ignore[arg-type]  # any text is one
        ssl=context,
        open_timeout=PATIENCE,
        compression=None,
    ) as line:
        yield Socket(line)
