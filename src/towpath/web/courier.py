"""Calls other servers: one POST of a bounded body, one bounded answer, within a bounded time.

Rules: HTTP/1.1 by h11, a connection for each call; redirects are never followed; where only public
addresses may be called, the address that was looked at is the one that is called. Proxies of the
environment are not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import h11

from towpath.errors import SettingsError, Unanswered

MOST_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read."""

_MOST_HEAD = 32 * 1024
_READ = 16 * 1024
_MOST_ADDRESSES = 3  # of one name that are tried


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other server said; names of fields in lower case."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Courier:
    """Makes calls. All methods run on the event loop."""

    def __init__(
        self, *, seconds: float, public_only: bool = False, context: ssl.SSLContext | None = None
    ) -> None:
        """`seconds`: for a call, from the name's look-up to the answer's end."""
        self._seconds = seconds
        self._public_only = public_only
        self._context = context

    async def post(self, url: str, fields: Iterable[tuple[str, str]], body: bytes) -> Answer:
        """The answer. Raises Unanswered; `reached` is False if nothing can have been heard."""
        parts = urlsplit(url)
        sent = False
        try:
            async with asyncio.timeout(self._seconds):
                reader, writer = await self._connect(parts)
                try:
                    sent = True
                    return await _talk(reader, writer, _request(parts, fields, body), body)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise _silent(parts, f"No answer within {self._seconds:g} s.", sent) from None
        except (OSError, h11.ProtocolError) as error:
            raise _silent(parts, str(error) or type(error).__name__, sent) from error

    async def _connect(
        self, parts: SplitResult
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if self._public_only and not all(map(_is_public, addresses)):
            raise OSError("its address is not a public one, and only those are called")
        last: OSError | None = None
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                if parts.scheme == "https":
                    context = self._context or await asyncio.to_thread(ssl.create_default_context)
                    self._context = context
                    return await asyncio.open_connection(
                        address, port, ssl=context, server_hostname=host, limit=_READ
                    )
                return await asyncio.open_connection(address, port, limit=_READ)
            except OSError as error:
                last = error
        raise last or OSError("its name has no address")


def check_address(url: str, setting: str) -> str:
    """The URL, if it can be called. Raises SettingsError."""
    parts = urlsplit(url)
    with contextlib.suppress(ValueError):
        fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if fine and "@" not in parts.netloc and not parts.fragment:
            return url
    raise SettingsError(
        f"An address in {setting} cannot be called.",
        why="It is not an http or https URL without user and fragment.",
        todo="Correct it.",
    )


def _request(parts: SplitResult, fields: Iterable[tuple[str, str]], body: bytes) -> h11.Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return h11.Request(
        method="POST",
        target=target,
        headers=[
            ("host", parts.netloc),
            ("user-agent", "towpath"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            *fields,
        ],
    )


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> Answer:
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
    for part in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(wire.send(part) or b"")
    with contextlib.suppress(ConnectionError):  # it may have answered before it had heard all
        await writer.drain()
    status, answer = 0, b""
    fields: dict[str, str] = {}
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Response):
            status = event.status_code
            fields = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            answer += bytes(event.data)
            if len(answer) > MOST_ANSWER:
                raise OSError(f"its answer is longer than {MOST_ANSWER} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, fields, answer)
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise OSError("it closed the connection without an answer")


def _is_public(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_global) and not found.is_multicast


def _silent(parts: SplitResult, why: str, sent: bool) -> Unanswered:
    return Unanswered(
        f"{parts.scheme}://{parts.netloc} did not answer.",
        why=why,
        todo="See whether it runs and can be reached from here.",
        reached=sent,
    )
