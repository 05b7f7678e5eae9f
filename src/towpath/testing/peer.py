"""A server at a URL, asked by hand: what the suites for servers send with and read with.

Rules: one connection for a request; bodies may be cut, stalled, chunked and have trailers; the
fields that the user gives (a token) go to the origin of his URL only, and are shown nowhere.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from towpath.testing.rawhttp import Answer, Gone, Line

CONTENT = bytes(range(251)) * 2088  # somewhat more than half a MiB; its period is a prime
Fields = Mapping[str, str | int]


class Failed(AssertionError):
    """The server did not do what was asked; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, with what was asked, so that a failure explains itself."""

    asked: str
    answer: Answer

    @property
    def status(self) -> int:
        """The status of the final answer."""
        return self.answer.status

    @property
    def refused(self) -> bool:
        """True for a client's error."""
        return 400 <= self.status < 500

    @property
    def done(self) -> bool:
        """True for a success."""
        return 200 <= self.status < 300

    def want(self, *statuses: int) -> Self:
        """Fail unless the status is one of these."""
        if self.status not in statuses:
            raise self.wrong(f"not {' or '.join(map(str, statuses))}")
        return self

    def want_done(self) -> Self:
        """Fail unless it is a success."""
        if not self.done:
            raise self.wrong("not a success")
        return self

    def want_refused(self) -> Self:
        """Fail unless it is a client's error."""
        if not self.refused:
            raise self.wrong("not refused by a 4xx")
        return self

    def has(self, name: str) -> bool:
        """True if the field is there."""
        return name.lower() in self.answer.fields

    def field(self, name: str) -> str:
        """A field that must be there."""
        value = self.answer.fields.get(name.lower())
        if value is None:
            raise self.wrong(f"without {name}")
        return value

    def number(self, name: str) -> int:
        """A field that must be there and be a number without sign."""
        value = self.field(name)
        if not (value.isascii() and value.isdigit()):
            raise self.wrong(f"{name}: {value!r} is no number")
        return int(value)

    def want_number(self, name: str, wanted: int) -> Self:
        """Fail unless the field is this number."""
        if self.number(name) != wanted:
            raise self.wrong(f"{name}: {self.field(name)}, not {wanted}")
        return self

    def want_field(self, name: str, wanted: str) -> Self:
        """Fail unless the field is this text."""
        if self.field(name) != wanted:
            raise self.wrong(f"{name}: {self.field(name)!r}, not {wanted!r}")
        return self

    def want_no(self, name: str) -> Self:
        """Fail if the field is there."""
        if self.has(name):
            raise self.wrong(f"with {name}: {self.field(name)}")
        return self

    def words(self, name: str) -> list[str]:
        """The members of a list field; none if it is not there."""
        text = self.answer.fields.get(name.lower(), "")
        return [word.strip() for word in text.split(",") if word.strip()]

    def wrong(self, what: str) -> Failed:
        """The failure that says this of the answer."""
        return Failed(f"{self.asked}: {self.status}, {what}")


class Begun:
    """A request whose head is sent; its body is the check's to send."""

    def __init__(self, line: Line, asked: str, *, chunked: bool) -> None:
        self.line = line
        self.asked = asked
        self.chunked = chunked

    def __enter__(self) -> Self:
        """Give the open request."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connection: a body that is not whole is cut."""
        self.line.close()

    def send(self, data: bytes) -> None:
        """Send the next bytes of the body. That the server has answered and gone is no error."""
        if self.chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        with contextlib.suppress(ConnectionError):
            self.line.socket.sendall(data)

    def end(self, trailers: Fields | None = None) -> None:
        """End a chunked body."""
        if self.chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
            with contextlib.suppress(ConnectionError):
                self.line.socket.sendall(f"0\r\n{lines}\r\n".encode("latin-1"))

    def next(self) -> Heard:
        """Read the next head, interim or final."""
        return Heard(self.asked, self.line.next_head())

    def heard(self) -> Heard:
        """Read the final answer."""
        return Heard(self.asked, self.line.answer(without_body=self.asked.startswith("HEAD")))

    def ended_within(self, seconds: float) -> bool:
        """True if the server answers or closes in this time; what it says is not looked at."""
        self.line.socket.settimeout(seconds)
        try:
            self.line.head()
        except TimeoutError:
            return False
        except (Gone, OSError):
            return True
        return True


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class Peer:
    """A server at a URL, and what a check has created there."""

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is not an http or https URL")
        self.url = url
        self.headers = dict(headers or {})
        self.timeout = timeout
        self.last = "nothing was asked yet"
        self.created: list[str] = []

    def line(self, url: str) -> Line:
        """Connect to where a URL lives."""
        parts = urlsplit(url)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return Line(parts.hostname or "", port, tls, self.timeout)

    def begin(self, method: str, url: str, fields: Fields, *, length: int | None = None) -> Begun:
        """Send a request's head. Without a length the body is chunked."""
        chunked: Fields = {"Transfer-Encoding": "chunked"}
        framing = chunked if length is None else {"Content-Length": length}
        return self._begin(method, url, _target(url), {**fields, **framing})

    def ask(
        self,
        method: str,
        url: str,
        fields: Fields | None = None,
        body: bytes | None = None,
        *,
        chunked: bool = False,
        trailers: Fields | None = None,
        target: str | None = None,
    ) -> Heard:
        """Send a request and read its answer. `target` is another request target (`*`)."""
        framing: dict[str, str | int] = {}
        if chunked:
            framing = {"Transfer-Encoding": "chunked"}
        elif body is not None or method in ("POST", "PATCH", "PUT"):
            framing = {"Content-Length": len(body or b"")}
        with self._begin(
            method, url, target or _target(url), {**(fields or {}), **framing}
        ) as begun:
            if body:
                begun.send(body)
            begun.end(trailers)
            return begun.heard()

    def _begin(self, method: str, url: str, target: str, fields: Fields) -> Begun:
        framing = ("content-length", "transfer-encoding")
        shown = [
            f"{name}: {value}" for name, value in fields.items() if name.lower() not in framing
        ]
        self.last = f"{method} with {', '.join(shown)}" if shown else method
        ours = urlsplit(url)[:2] == urlsplit(self.url)[:2]
        line = self.line(url)
        line.send_head(method, target, {**(self.headers if ours else {}), **fields})
        chunked = "Transfer-Encoding" in fields
        return Begun(line, self.last, chunked=chunked)

    def location(self, heard: Heard) -> str:
        """The URL that an answer's Location names; it will be cleaned away."""
        url = urljoin(self.url, heard.field("Location"))
        if url not in self.created:
            self.created.append(url)
        return url

    def missing(self, url: str) -> str:
        """A URL much like this one, where no upload is."""
        head, slash, name = url.rpartition("/")
        swap = {letter: "0" if letter != "0" else "1" for letter in name if letter.isalnum()}
        return head + slash + "".join(swap.get(letter, letter) for letter in name)

    def clean(self) -> None:
        """Remove what was created. What cannot be removed is left."""
        for url in self.created:
            with contextlib.suppress(Gone, OSError, ValueError, LookupError):
                self.remove(url)
        self.created.clear()

    def remove(self, url: str) -> None:
        """Remove one upload, in the words of the protocol."""
        self.ask("DELETE", url)
