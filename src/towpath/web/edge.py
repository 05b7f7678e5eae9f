"""Where the application meets what stands around it: proxies, mounts, pages of other origins.

Rules: an address that a proxy names counts only if the proxy is trusted; from here on a request's
path is relative to `root_path`, which is all that stands before it outside; the word of a proxy on
scheme and host is put where servers put their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from towpath.errors import NotFound, SettingsError
from towpath.protocol.cors import Pairs, Sharing, read_origin
from towpath.protocol.forwarded import Passed, Trusts, read_forwarded, read_x_forwarded
from towpath.protocol.message import Reply

Scope = MutableMapping[str, Any]

UNIX = "unix"
"""Stands for whoever connects by a Unix socket."""


class Trusted:
    """Peers whose word on a request is taken."""

    def __init__(self, peers: Iterable[str] = ()) -> None:
        """Addresses, networks, and UNIX. Raises ValueError for what is none of these."""
        told = set(peers)
        self._unix = UNIX in told
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(each, strict=False) for each in sorted(told - {UNIX})
        ]
        if any(network.prefixlen == 0 for network in self._networks):
            raise ValueError("everybody cannot be trusted")

    def __call__(self, address: str | None) -> bool:
        """True if it is one of them. None: a peer that has no address."""
        if address is None:
            return self._unix
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def sharing_of(origins: Iterable[str], *, credentials: bool, max_age: float) -> Sharing:
    """Which pages of other origins may ask; "*": all. Raises SettingsError."""
    told = set(origins)
    try:
        named = frozenset(read_origin(each) for each in told - {"*"})
    except ValueError as error:
        raise SettingsError(
            f"“{error}” in cors_origins is no origin.",
            why="An origin is a scheme, a host and perhaps a port, without a path.",
            todo="Write it as https://app.example.org or http://localhost:5173.",
        ) from error
    if "*" in told and credentials:
        raise SettingsError(
            "Pages of all origins cannot be given credentials.",
            why="Any page that a user opens could then do what the user may.",
            todo="Name the origins in cors_origins, or leave cors_credentials out.",
        )
    return Sharing(origins=named, anyone="*" in told, credentials=credentials, max_age=int(max_age))


def edge_of(
    base: str,
    proxies: Iterable[str],
    proxy_fields: str,
    sharing: Sharing,
    *,
    absolute: bool = False,
) -> Edge:
    """What settings say of it. Raises SettingsError."""
    try:
        trusted = Trusted(proxies)
    except ValueError as error:
        raise SettingsError(
            "The trusted proxies cannot be read.",
            why=f"{error}.",
            todo="Write addresses and networks as 10.0.0.7 or 10.0.0.0/24 in proxies, or unix.",
        ) from error
    read = read_forwarded if proxy_fields == "forwarded" else read_x_forwarded
    path = base.strip("/")
    below = f"/{path}" if path else ""
    return Edge(base=below, trusted=trusted, read=read, sharing=sharing, absolute=absolute)


class Edge:
    """What is done to every request before it is looked at."""

    def __init__(
        self,
        *,
        base: str = "",
        trusted: Trusted | None = None,
        read: Callable[[Mapping[str, str], Trusts], Passed] = read_x_forwarded,
        sharing: Sharing | None = None,
        absolute: bool = False,
    ) -> None:
        """`base`: the path that all routes live below; `read`: the fields that proxies write.

        `absolute`: Locations have scheme and host.
        """
        self._base = base
        self._trusted = trusted or Trusted()
        self._read = read
        self._sharing = sharing or Sharing()
        self._absolute = absolute

    @property
    def base(self) -> str:
        """The path that all routes live below, "" or without a slash at its end."""
        return self._base

    def place(self, scope: Scope, fields: Mapping[str, str]) -> tuple[Scope, Mapping[str, str]]:
        """The scope as seen from outside, its path relative to its root; and its fields.

        Raises NotFound for a path that is not below the base, Malformed for what a trusted proxy
        says and cannot be meant.
        """
        placed: Scope = {**scope}
        root = _root(placed)
        if self._base:
            root += self._base
            placed["path"] = _below(self._base, placed["path"])
        client = scope.get("client")
        if self._trusted(client[0] if client else None):
            passed = self._read(fields, self._trusted)
            root = passed.prefix + root
            fields = _tell(placed, fields, passed)
        placed["root_path"] = root
        return placed, fields

    def origin(self, placed: Scope, fields: Mapping[str, str]) -> bytes:
        """What stands before a Location, of a request as it was placed; nothing if it may not."""
        host = fields.get("host")
        if not self._absolute or not host:
            return b""
        return f"{placed['scheme']}://{host}".encode("latin-1")

    def preflight(self, method: str, fields: Mapping[str, str]) -> Reply | None:
        """The answer, if a browser asks whether a page of another origin may ask."""
        return self._sharing.preflight(method, fields)

    def shared(self, fields: Mapping[str, str]) -> Pairs:
        """What answers to a request with these fields have for pages of other origins."""
        return self._sharing.fields(fields.get("origin"))


def _root(placed: Scope) -> str:
    """Where whoever mounted us put us. ASGI has it in the path, too; some servers do not."""
    root: str = placed.get("root_path", "").rstrip("/")
    path: str = placed["path"]
    if root and (path == root or path.startswith(root + "/")):
        placed["path"] = path[len(root) :] or "/"
    return root


def _tell(placed: Scope, fields: Mapping[str, str], passed: Passed) -> Mapping[str, str]:
    """Put what a proxy said into the scope; return the fields as they are then."""
    if passed.client is not None:
        placed["client"] = (passed.client, 0)
    if passed.scheme is not None:
        socket = placed["type"] == "websocket"
        placed["scheme"] = passed.scheme.replace("http", "ws") if socket else passed.scheme
    if passed.host is None:
        return fields
    others = [pair for pair in placed["headers"] if pair[0].lower() != b"host"]
    placed["headers"] = [*others, (b"host", passed.host.encode())]
    return {**fields, "host": passed.host}


def _below(base: str, path: str) -> str:
    if path == base or path.startswith(base + "/"):
        return path[len(base) :] or "/"
    raise NotFound(
        "There is nothing at this address.",
        why=f"Everything lives below {base}/.",
        todo=f"Upload to {base}/files/.",
    )
