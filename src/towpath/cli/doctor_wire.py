"""What is between here and the server: name, address, proxy, TLS, clock, and who holds bytes back.

Rules: nothing of the server's changes but an upload of a few bytes, which is given up at once; each
wait is short.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from towpath.cli.amounts import duration
from towpath.cli.exits import ERROR, UNREACHABLE
from towpath.cli.findings import FINE, NOTE, TROUBLE, WARNING, Finding
from towpath.client import words
from towpath.client.dial import Dialer, Origin, proxy_parts
from towpath.client.events import LISTENING, listen
from towpath.client.peer import Peer, Reply, expect
from towpath.errors import BadAnswer, ServerUnreachable, TowpathError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SOON = 14 * 86400  # seconds before a certificate's end
_SKEW = 30.0  # seconds that clocks may differ
_PATIENCE = 5.0  # seconds after which bytes count as held back
_MOMENT = 0.5  # seconds that a 100 Continue has
_PIECE = 64 * 1024
_BODY = 8 * 1024 * 1024  # announced, never sent whole
_NOWHERE = f"files/{'0' * 26}"  # an upload that nobody has

_TLS = {  # by OpenSSL's number of what is wrong with a certificate
    9: "The certificate is not valid yet",
    10: "The certificate has expired",
    18: "The certificate is signed by itself alone",
    19: "The certificate's authority is not trusted here",
    20: "The certificate's authority is not known here",
    62: "The certificate is for another name",
    64: "The certificate is for another address",
}


@dataclass(slots=True)
class Reached:
    """How the server was reached."""

    seconds: float
    certificate: dict[str, Any]


def by_proxy(dialer: Dialer, origin: Origin) -> Iterator[Finding]:
    """Say that there is a proxy, since few people know of theirs."""
    proxy = dialer.proxy(origin)
    if proxy is not None:
        parts, port = proxy_parts(proxy)
        yield Finding(
            "proxy",
            NOTE,
            f"Requests go by way of the proxy {parts.hostname}:{port}.",
            why="--proxy, TOWPATH_PROXY, HTTPS_PROXY, HTTP_PROXY or the system says so.",
            todo="If it is in the way: --proxy none, or name the server in NO_PROXY.",
        )


def reach(dialer: Dialer, origin: Origin) -> Reached | Finding:
    """Connect, with TLS if the address says so."""
    began = time.perf_counter()
    try:
        connection = dialer.dial(origin)
    except TowpathError as error:
        return _unreached(origin, error)
    seconds = time.perf_counter() - began
    certificate = dict(connection.certificate)
    connection.close()
    return Reached(seconds, certificate)


def _unreached(origin: Origin, error: TowpathError) -> Finding:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = _TLS.get(cause.verify_code, "The certificate cannot be trusted")
        return Finding(
            "tls",
            TROUBLE,
            f"{what}: {origin}.",
            why=f"{cause.verify_message}.",
            todo="Renew or correct it there; one of your own authority is trusted with --ca FILE.",
        )
    if isinstance(cause, ssl.SSLError):
        return Finding(
            "tls",
            TROUBLE,
            f"No TLS can be agreed on with {origin}.",
            why=f"{cause.reason or cause}.",
            todo="Does it speak https at that port? Else write http:// in the address.",
        )
    if isinstance(cause, socket.gaierror):
        return Finding(
            "reach",
            TROUBLE,
            f"Nobody knows the name {origin.host}.",
            why=f"{cause.strerror}.",
            todo="Check the address, and the name server of this machine.",
            code=UNREACHABLE,
        )
    code = UNREACHABLE if isinstance(error, ServerUnreachable) else ERROR
    return Finding("reach", TROUBLE, error.what, why=error.why, todo=error.todo, code=code)


def encryption(origin: Origin, reached: Reached) -> Iterator[Finding]:
    """Look whether there is TLS, and for how long there will be."""
    if origin.scheme == "http":
        if origin.host not in _LOOPBACK:
            yield Finding(
                "tls",
                WARNING,
                "Bytes and tokens travel readable by others.",
                why=f"{origin} is not https.",
                todo="Give the server a certificate, or put a proxy with one in front.",
            )
        return
    ends = ssl.cert_time_to_seconds(str(reached.certificate["notAfter"]))
    left = ends - time.time()
    until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d")
    if left < _SOON:
        yield Finding(
            "tls",
            WARNING,
            f"The certificate of {origin} ends on {until}.",
            why=f"That is in less than {_SOON // 86400} days.",
            todo="Renew it.",
        )
    else:
        yield Finding("tls", FINE, f"the certificate is valid until {until}")


def clock(reply: Reply, asked: float, answered: float) -> Iterator[Finding]:
    """Is it the same time there? `asked`, `answered`: seconds since 1970, here."""
    try:
        there = parsedate_to_datetime(reply.fields.get("date", "")).timestamp()
    except ValueError:
        return
    late = max(asked - 1 - there, there - answered, 0.0)  # Date has whole seconds
    if late <= _SKEW:
        yield Finding("clock", FINE, "the server's clock agrees with this one")
        return
    way = "ahead of" if there > answered else "behind"
    yield Finding(
        "clock",
        WARNING,
        f"The server's clock is {late:.0f} s {way} this one.",
        why="Links, tokens and certificates end at moments that both have to agree on.",
        todo="Let both machines keep their time by NTP.",
    )


def bodies(peer: Peer, prefix: str) -> Finding:
    """Look whether the server sees bytes while they are sent. Begins an upload and ends it."""
    name = f"{prefix}.towpath-doctor/{secrets.token_hex(8)}"
    made = expect(peer.ask("POST", peer.address("files/"), words.creation(_BODY, {"name": name})))
    location = made.fields.get("location")
    if not location:
        raise BadAnswer("The server did not say where the upload is.")
    url = peer.address(location, peer.address("files/"))
    key = url.rpartition("/")[2]
    try:
        seconds = _seen_after(peer, url, key)
    finally:
        with suppress(TowpathError):
            peer.ask("DELETE", peer.api("uploads", key), again=True)
    if seconds is None:
        return _held_back("the server saw none of it")
    return Finding("bodies", FINE, f"the server sees bytes {duration(seconds)} after they are sent")


def _seen_after(peer: Peer, url: str, key: str) -> float | None:
    """Seconds from the first byte to when the server has some of them; None: it takes too long."""
    block, began = memoryview(bytes(_PIECE)), time.monotonic()
    with peer.open("PATCH", url, words.chunk(0), length=_BODY) as exchange:
        while (spent := time.monotonic() - began) < _PATIENCE:
            if not exchange.send(block):
                raise words.refusal(*_of(exchange.reply()))
            if expect(peer.ask("GET", peer.api("uploads", key), again=True)).json().get("offset"):
                return spent
            time.sleep(0.1)
    return None


def early_answers(peer: Peer) -> Finding:
    """Look whether what a head has refused is answered before its body. Needs no right."""
    block, began = memoryview(bytes(1024)), time.monotonic()
    with peer.open("PATCH", peer.address(_NOWHERE), words.chunk(0), length=_BODY) as exchange:
        while (spent := time.monotonic() - began) < _PATIENCE:
            if not exchange.send(block):
                exchange.answer()
                return Finding("bodies", FINE, f"a refusal is heard after {duration(spent)}")
            time.sleep(0.05)
    return _held_back("no answer came while the body was on its way")


def expectations(peer: Peer) -> Iterator[Finding]:
    """Look whether somebody on the way asks for bodies in the server's name."""
    fields = {**words.chunk(0), "Expect": "100-continue"}
    with peer.open("PATCH", peer.address(_NOWHERE), fields, length=_BODY) as exchange:
        ends = time.monotonic() + _MOMENT
        while 100 not in exchange.interim and (left := ends - time.monotonic()) > 0:
            if exchange.listen(left):
                break
        if 100 in exchange.interim:
            yield Finding(
                "expect",
                NOTE,
                "Something between here and the server asks for bodies in its name.",
                why="It said 100 Continue to what the server refuses.",
                todo="That is how most proxies are: some of what is refused is sent before that is "
                "heard.",
            )


def _of(reply: Reply) -> tuple[int, Any, bytes]:
    return reply.status, reply.fields, reply.body


def _held_back(seen: str) -> Finding:
    return Finding(
        "bodies",
        TROUBLE,
        "Something between here and the server holds bodies back.",
        why=f"Bytes were sent for {_PATIENCE:.0f} s, and {seen}: a proxy collects whole requests.",
        todo="Turn that off there (nginx: proxy_request_buffering off), or an upload that breaks "
        "loses all of its last request; until then use --chunk-size 8MiB.",
    )


class _Late(Exception):
    """Nothing came in time."""


def events(peer: Peer) -> Finding:
    """Look whether answers come as the server says them."""
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > _PATIENCE:
            raise _Late

    with suppress(_Late):
        for event in listen(peer, check):
            if event.kind == LISTENING:
                spent = time.monotonic() - began
                return Finding(
                    "events", FINE, f"events come {duration(spent)} after they are asked for"
                )
    return Finding(
        "events",
        WARNING,
        "Something between here and the server holds answers back.",
        why=f"A stream of events was asked for, and none came within {_PATIENCE:.0f} s.",
        todo="Turn that off there (nginx: proxy_buffering off); `towpath top` shows nothing else.",
    )


def timed(act: Callable[[], Reply]) -> tuple[Reply, float, float]:
    """What an act gives, and when it began and ended, in seconds since 1970."""
    asked = time.time()
    reply = act()
    return reply, asked, time.time()
