"""What proxies say of a request that they pass on: RFC 7239, or the older X-Forwarded-* fields.

Rules: lists are read from their right end, where the nearest proxy wrote, and only as far as those
who wrote are trusted; what stands further left is the client's own word and is never used. What
cannot be read is refused, so that nobody hides a client behind garbage. A client that is not named
is UNKNOWN, never local.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from towpath.errors import Malformed

UNKNOWN = "0.0.0.0"  # noqa: S104  # nothing listens here
"""The address of a client that no proxy names: nobody's, and not one of this machine."""

Trusts = Callable[[str], bool]
"""Whether the word of who has this address is taken."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(
    rf'[ \t]*({_WORD})=({_WORD}|"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*")[ \t]*'
)
_NODE = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\])|([^:\[\]]*))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What was said: None or "" where nothing was."""

    client: str | None = None  # an address; UNKNOWN: passed on for somebody who was not named
    scheme: str | None = None  # http or https
    host: str | None = None  # with its port, if that is not the scheme's
    prefix: str = ""  # a path that the proxy took off, without a slash at its end


def read_forwarded(fields: Mapping[str, str], trusts: Trusts) -> Passed:
    """What `Forwarded` says (RFC 7239 section 4). Raises Malformed.

    Of several trusted proxies the one nearest to the client knows its request best.
    """
    field = fields.get("forwarded")
    if field is None:
        return Passed()
    client, said = UNKNOWN, dict[str, str]()
    for element in reversed(list(_elements(field))):
        said |= element
        client = _address(element.get("for", ""))
        if not trusts(client):
            break
    return Passed(client=client, scheme=_scheme(said.get("proto")), host=_host(said.get("host")))


def read_x_forwarded(fields: Mapping[str, str], trusts: Trusts) -> Passed:
    """What X-Forwarded-For, -Proto, -Host and -Prefix say. Raises Malformed.

    A list that is as long as the one of X-Forwarded-For has its entries in the same order.
    """
    names = ("for", "proto", "host", "prefix")
    lists = {name: _list(fields.get(f"x-forwarded-{name}")) for name in names}
    if not any(lists.values()):
        return Passed()
    client, depth = UNKNOWN, 1
    for depth, entry in enumerate(reversed(lists["for"]), start=1):  # noqa: B007  # used below
        client = _address(entry)
        if not trusts(client):
            break

    def told(name: str) -> str | None:
        entries = lists[name]
        return entries[-min(depth, len(entries))] if entries else None

    return Passed(
        client=client,
        scheme=_scheme(told("proto")),
        host=_host(told("host")),
        prefix=_prefix(told("prefix")),
    )


def _list(field: str | None) -> list[str]:
    return [part.strip() for part in (field or "").split(",") if part.strip()]


def _elements(field: str) -> Iterator[dict[str, str]]:
    """The elements of `Forwarded`, their names in lower case (section 4)."""
    element: dict[str, str] = {}
    at = 0
    while at <= len(field):
        pair = _PAIR.match(field, at)
        if pair is not None:
            name, value = pair[1].lower(), pair[2]
            if name in element:
                raise _bad("Forwarded", "A parameter is there twice in one element.")
            quoted = value.startswith('"')
            element[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
            at = pair.end()
        else:
            while field[at : at + 1] in {" ", "\t"}:
                at += 1
        if field[at : at + 1] not in {"", ",", ";"}:
            raise _bad("Forwarded", "It is not a list of pairs such as for=192.0.2.43;proto=https.")
        if field[at : at + 1] != ";" and element:
            yield element
            element = {}
        at += 1


def _address(node: str) -> str:
    """The address of a node (section 6), with or without port; UNKNOWN for what is none."""
    try:
        return str(ip_address(node))  # X-Forwarded-For has IPv6 without brackets
    except ValueError:
        found = _NODE.fullmatch(node)
    try:
        return str(ip_address((found[1] or found[2]).strip("[]"))) if found else UNKNOWN
    except ValueError:
        return UNKNOWN


def _scheme(text: str | None) -> str | None:
    if text is None or text.lower() in {"http", "https"}:
        return text and text.lower()
    raise _bad("X-Forwarded-Proto", "It is neither http nor https.")


def _host(text: str | None) -> str | None:
    if text is None or _HOST.fullmatch(text):
        return text
    raise _bad("X-Forwarded-Host", "It is not the name of a host.")


def _prefix(text: str | None) -> str:
    """A path that is safe in a Location: of this host, and without dots that lead elsewhere."""
    path = text or ""
    if _PREFIX.fullmatch(path) and not {".", ".."} & set(path.split("/")):
        return path.rstrip("/")
    raise _bad("X-Forwarded-Prefix", "It is not a plain path such as /files.")


def _bad(field: str, why: str) -> Malformed:
    return Malformed(
        "What the proxy says of the request cannot be read.",
        field=field,
        why=why,
        todo="Correct what the proxy sends, or do not name it as a trusted one.",
    )
