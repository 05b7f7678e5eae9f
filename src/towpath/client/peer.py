"""The server a client speaks to: its address, the caller's token, and a few idle connections.

Rules: the token goes to the server's own origin and nowhere else; blocking, called in worker
threads, from several at once.
"""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlencode, urljoin, urlsplit

from towpath.client import words
from towpath.client.dial import Dialer, Origin, split
from towpath.client.location import insist_on_name
from towpath.client.surroundings import Trust
from towpath.client.throttle import FREE, Pace
from towpath.client.wire import Answer, Connection
from towpath.errors import Cut, SettingsError

if TYPE_CHECKING:
    from towpath.client.coded_object import CodedObject

_IDLE = 32  # connections that are kept
_IDLE_SECONDS = 20.0
_AGENT = "towpath"


def _nobody() -> None:
    """No wish to stop."""


class Reply(NamedTuple):
    """An answer whose body is short and here."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """True for a success."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises BadAnswer."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise words.stranger("Its answer is not the JSON that it should be.")
        return found


class Exchange:
    """One request on its way: send its body, then take its answer."""

    def __init__(self, connection: Connection, done: Callable[[Connection, bool], None]) -> None:
        self._connection = connection
        self._done = done
        self.send = connection.send
        self.listen = connection.listen
        self.current: Answer | None = None

    @property
    def interim(self) -> frozenset[int]:
        """Statuses of the 1xx answers that have come so far."""
        return frozenset(self._connection.interim)

    def answer(self) -> Answer:
        """Wait for the answer's head."""
        self.current = self._connection.answer()
        return self.current

    def reply(self, *, within: float = 0.0) -> Reply:
        """Wait for the answer and its short body; `within`: seconds, if that is more than usual."""
        usual = self._connection.timeout
        self._connection.timeout = max(usual, within)
        try:
            answer = self.answer()
            return Reply(answer.status, answer.fields, answer.text())
        finally:
            self._connection.timeout = usual

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._done(self._connection, self.current is not None and self.current.is_reusable)


class _Idle:
    """Connections that wait for their next request; asked from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Origin, Connection]] = []
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """One that leads there and is whole, the one used last first; None if there is none."""
        while True:
            with self._lock:
                mine = [pair for pair in self._waiting if pair[0] == origin]
                if not mine:
                    return None
                pair = mine[-1]
                self._waiting.remove(pair)
            connection = pair[1]
            if time.monotonic() - connection.idle_since < _IDLE_SECONDS and not connection.is_stale:
                return connection
            connection.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep it for a while; after `close`, or if there are too many, one is closed at once."""
        connection.idle_since = time.monotonic()
        with self._lock:
            self._waiting.append((origin, connection))
            full = self._closed or len(self._waiting) > _IDLE
            spare = self._waiting.pop(0) if full else None
        if spare is not None:
            spare[1].close()

    def close(self) -> None:
        """Close them all, and from now on each that comes back."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for _, connection in waiting:
            connection.close()


class Peer:
    """A Towpath (or, for uploads, any tus 1.0 server) at `url`."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        ca: str | os.PathLike[str] | None = None,
        cert: str | os.PathLike[str] | None = None,
        cert_key: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
    ) -> None:
        self.url = url if url.endswith("/") else f"{url}/"
        self.origin, _ = split(self.url)
        self._token = _sendable(token)
        trust = Trust(ca, cert, cert_key)
        self._dialer = Dialer(trust, timeout=timeout, proxy=proxy)
        self._idle = _Idle()
        self._pace = FREE
        self._options: dict[str, Mapping[str, str]] = {}  # of all that share the connections

    def paced(self, pace: Pace) -> Peer:
        """The same server over the same connections, with bodies that go no faster than `pace`."""
        other = copy.copy(self)
        other._pace = pace  # noqa: SLF001 - a copy of ourselves
        return other

    def address(self, reference: str, base: str | None = None) -> str:
        """A reference from the server as a URL, on https if the server itself is.

        A server behind a proxy that ends TLS may not know that it is https, so what it
        says of its own host is corrected.
        """
        url = urljoin(base or self.url, reference)
        parts = urlsplit(url)
        ours = parts.hostname == self.origin.host
        if ours and (parts.scheme, self.origin.scheme) == ("http", "https"):
            parts = parts._replace(scheme="https", netloc=self.origin.authority)
        return parts.geturl()

    def hurried(self, seconds: float) -> Peer:
        """The same server, over connections of its own, where no wait is longer than that."""
        other = self.paced(FREE)
        other._dialer = self._dialer.hurried(seconds)  # noqa: SLF001 - a copy of ourselves
        other._idle = _Idle()  # noqa: SLF001
        return other

    def api(self, *segments: str, **query: object) -> str:
        """A URL of the control API. Raises Malformed for a name that is not UTF-8."""
        path = "/".join(quote(insist_on_name(segment), safe="/") for segment in segments)
        known = {
            key: insist_on_name(str(value))
            for key, value in query.items()
            if value not in (None, "")
        }
        return self.address(f"api/v1/{path}" + (f"?{urlencode(known)}" if known else ""))

    def open(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
        check: Callable[[], None] = _nobody,
    ) -> Exchange:
        """Send the head of a request. `length`: bytes of body that `send` will bring."""
        origin, target = split(url)
        head = {"Host": origin.authority, "User-Agent": _AGENT, **(fields or {})}
        if length is not None:
            head["Content-Length"] = str(length)
        if self._token and origin == self.origin:
            head["Authorization"] = f"Bearer {self._token}"
        connection = self._idle.take(origin) or self._dialer.dial(origin)

        def done(used: Connection, reusable: bool) -> None:
            self._idle.give(origin, used) if reusable else used.close()

        try:
            connection.request(method, target, head.items(), check, self._pace)
        except BaseException:
            connection.close()
            raise
        return Exchange(connection, done)

    def ask(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None = None,
        *,
        check: Callable[[], None] = _nobody,
        again: bool = False,
    ) -> Reply:
        """A request without a body, and its answer. `again`: repeat once if an idle line broke."""
        length = 0 if method in ("POST", "PATCH") else None
        try:
            with self.open(method, url, fields, length=length, check=check) as exchange:
                return exchange.reply()
        except Cut:
            if not again:
                raise
        return self.ask(method, url, fields, check=check)

    @property
    def heard(self) -> Mapping[str, str]:
        """What `options` was told before; nothing if nobody has asked."""
        return self._options.get(self.address("files/"), {})

    def options(self, check: Callable[[], None] = _nobody) -> Mapping[str, str]:
        """What it says of how uploads are created; asked once. Nothing if it does not say."""
        files = self.address("files/")
        if files not in self._options:
            reply = self.ask("OPTIONS", files, check=check, again=True)
            if not reply.ok:
                return {}
            self._options[files] = reply.fields
        return self._options[files]

    def extensions(self, check: Callable[[], None] = _nobody) -> frozenset[str]:
        """What its tus knows beyond the core of it. Nothing if it does not say."""
        return words.extensions(self.options(check))

    @property
    def stored(self) -> Peer:
        """The same server, with its objects as they are stored."""
        return self

    def coded(self, _url: str) -> CodedObject | None:
        """The object as the file in its chunks; None, as here, where it is what is stored."""
        return None

    def done_with(self) -> None:
        """Close the idle connections; one that is still in use is closed once it has been."""
        self._idle.close()


def _sendable(token: str | None) -> str | None:
    """The token, if it can be shown at all. Raises SettingsError, which does not show it."""
    if token is not None and not (token.isascii() and token.isprintable()):
        raise SettingsError(
            "The token cannot be sent.",
            why="It has a line break, or letters that no token has.",
            todo="Give it as `towpath token new` printed it.",
        )
    return token


def expect(reply: Reply, *, api: bool = False) -> Reply:
    """The reply, if it is a success; else the error it stands for is raised.

    `api`: it answers what only a Towpath server knows.
    """
    if reply.ok:
        return reply
    raise words.refusal(reply.status, reply.fields, reply.body, api=api)
