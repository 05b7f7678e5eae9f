"""Links: addresses that let whoever has them read one object, or fill one upload, for a while.

A link is the address with `?link=KEY.WORDS.SIGNATURE`: which key signed it, what it allows, and
HMAC-SHA-256 (RFC 2104) over both and over what the address names. Rules: nothing of a link counts
before its signature was compared, in constant time; a link that is not sound is refused, whoever
shows it; the signature is a secret and stands in no log and in no error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from towpath.core.caller import Caller, Scope
from towpath.errors import Forbidden, Malformed
from towpath.protocol.fields import read_key
from towpath.protocol.message import Head
from towpath.protocol.values import size, text

PARAMETER = "link"
KINDS = ("attachment", "inline")

Act = Literal["read", "write"]

_METHODS: dict[str, frozenset[str]] = {
    "read": frozenset({"GET", "HEAD"}),
    "write": frozenset({"HEAD", "PATCH"}),
}
_SCOPES = {"read": Scope.READ, "write": Scope.WRITE}
_MOST = 8192  # characters of a link
_PURPOSE = b"towpath link 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link allows: to `read` the object `key`, or to `write` the upload `key`."""

    act: Act
    key: str
    tenant: str
    subject: str  # who made it; a writer's is whose upload it is
    expires: int  # seconds since 1970
    kind: str = "attachment"  # or inline: what a browser does with an object
    filename: str | None = None  # what it is saved as; None: what it is called

    @property
    def caller(self) -> Caller:
        """Who uses it."""
        scopes = frozenset({_SCOPES[self.act]})
        return Caller(tenant=self.tenant, subject=self.subject, scopes=scopes)


def write_link(link: Link, key_id: str, secret: bytes) -> str:
    """The query that makes an address of `link.key` a link, without the question mark."""
    said = {
        "a": link.act,
        "t": link.tenant,
        "s": link.subject,
        "e": link.expires,
        "k": link.kind,
        "n": link.filename,
    }
    words = _encode(json.dumps(said, separators=(",", ":")).encode())
    return f"{PARAMETER}={key_id}.{words}.{_encode(_signature(secret, key_id, words, link.key))}"


def read_link(head: Head, secrets: Mapping[str, bytes], *, now: int) -> Link | None:
    """The link that a request below the uploads' address shows, None if it shows none.

    `now`: milliseconds since 1970. Raises Forbidden if the link is not one of ours, is for
    something else, or has expired; NotFound for a path that names nothing.
    """
    if f"{PARAMETER}=" not in head.query:
        return None
    shown = [value for name, value in _pairs(head.query) if name == PARAMETER]
    if not shown:
        return None
    key = read_key(head.path)
    key_id, _, rest = shown[0].partition(".")
    words, _, signature = rest.partition(".")
    wanted = _signature(secrets.get(key_id, b""), key_id, words, key)
    same = hmac.compare_digest(_encode(wanted).encode(), signature.encode())
    if not same or key_id not in secrets or len(shown) > 1 or len(shown[0]) > _MOST:
        raise _refused("It is not signed by this server, or it was made for something else.")
    link = _read(words, key)
    if link.expires * 1000 <= now:
        raise _refused("Its time is over.")
    # An override (of tus) is judged as the method that it stands for.
    meant = head.fields.get("x-http-method-override", head.method).strip().upper()
    if meant not in _METHODS[link.act] or head.method not in {*_METHODS[link.act], "POST"}:
        raise _refused(f"It is for {' and '.join(sorted(_METHODS[link.act]))} alone.")
    return link


def parse_terms(values: Mapping[str, object], *, most: int) -> tuple[int, str, str | None]:
    """Seconds, disposition and file name that a maker of links asks for. Raises Malformed."""
    seconds = size(values, "seconds")
    seconds = min(3600, most) if seconds is None else seconds
    if not 0 < seconds <= most:
        raise Malformed(
            "seconds cannot be that.",
            field="seconds",
            why=f"A link lives from 1 to {most} seconds here.",
            todo="Ask for fewer.",
        )
    kind = text(values, "disposition") or KINDS[0]
    if kind not in KINDS:
        raise Malformed(
            "disposition cannot be read.",
            field="disposition",
            why=f"It is neither {' nor '.join(KINDS)}.",
            todo="Correct it or leave it out.",
        )
    return seconds, kind, text(values, "filename", most=255) or None


def _signature(secret: bytes, key_id: str, words: str, key: str) -> bytes:
    said = b"\n".join((_PURPOSE, key_id.encode(), words.encode(), key.encode()))
    return hmac.new(secret, said, hashlib.sha256).digest()


def _read(words: str, key: str) -> Link:
    """What we wrote ourselves: its signature was compared."""
    said = json.loads(base64.urlsafe_b64decode(words + "=" * (-len(words) % 4)))
    return Link(
        act=said["a"],
        key=key,
        tenant=said["t"],
        subject=said["s"],
        expires=said["e"],
        kind=said["k"],
        filename=said["n"],
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise Malformed(
            "The query cannot be read.",
            field="query",
            why="It has too many fields.",
            todo="Send fewer.",
        ) from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(why: str) -> Forbidden:
    return Forbidden("The link is not valid.", why=why, todo="Ask who gave it to you for another.")
