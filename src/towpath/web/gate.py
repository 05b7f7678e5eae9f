"""Who asks: decided from the head alone, before a byte of body is read.

Rules: with tokens, everybody needs one; without, only callers on this machine are let in, and
only by a name of this machine (Host) and from our own pages (Origin): a foreign web page that
makes a browser on this machine ask is refused. Secrets are kept hashed and compared in constant
time; they never reach a log, an address or an error.
"""

from __future__ import annotations

import hashlib
import hmac
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from towpath.core.caller import ANONYMOUS, Caller, Scope
from towpath.errors import Forbidden, SettingsError, Unauthenticated

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine that nobody else can have."""

_NOBODY = hashlib.sha256(b"").digest()


class Gate(Protocol):
    """Says who asks."""

    def admit(self, fields: Mapping[str, str], peer: str | None = None) -> Caller:
        """The caller. `fields` are lower-case; `peer` is the address that asks, if it is known.

        Raises Unauthenticated, Forbidden.
        """
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token, without its secret."""

    digest: bytes  # SHA-256 of the secret
    caller: Caller


class Tokens(Protocol):
    """Knows tokens by their ids."""

    def get(self, key: str, /) -> Token | None:
        """The token of that id, as it is now."""
        ...


class TokenGate:
    """Everybody shows a bearer token: tow_<id>_<secret> (RFC 6750 section 2.1)."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, fields: Mapping[str, str], peer: str | None = None) -> Caller:
        scheme, _, text = fields.get("authorization", "").partition(" ")
        parts = text.strip().split("_", 2)
        known = len(parts) == 3 and scheme.lower() == "bearer" and parts[0] == "tow"
        token = self._tokens.get(parts[1]) if known else None
        secret = parts[2] if known else ""
        shown = hashlib.sha256(secret.encode()).digest()
        # An unknown id costs as much time as a wrong secret.
        if not hmac.compare_digest(shown, token.digest if token else _NOBODY) or token is None:
            raise Unauthenticated(
                "You are not known here.",
                why="No bearer token came with the request, or it is not one of this server's.",
                todo="Send Authorization: Bearer <token>.",
            )
        return token.caller


class LoopbackGate:
    """Nobody shows a token; whoever is on this machine is let in."""

    def __init__(
        self,
        hosts: tuple[str, ...] = (),
        *,
        anywhere: bool = False,
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        """`allows` says of an origin whether its pages may ask, beside those of this machine."""
        self._hosts = frozenset(host.lower() for host in (*LOOPBACK, *hosts))
        self._anywhere = anywhere
        self._allows = allows

    def admit(self, fields: Mapping[str, str], peer: str | None = None) -> Caller:
        if self._anywhere:
            return ANONYMOUS
        if peer is not None and _is_elsewhere(peer):
            raise Forbidden(
                "Only this machine is served.",
                why="No tokens are set, and the request comes from another machine.",
                todo="Ask who runs the server to set tokens.",
            )
        host = fields.get("host", "")
        if _without_port(host) not in self._hosts:
            raise Forbidden(
                "That is not a name of this server.",
                why="Without tokens, only names of this machine are answered.",
                todo="Use http://127.0.0.1, or start the server with tokens or --hosts.",
            )
        origin = fields.get("origin")
        if origin is not None and not self._may_ask(origin):
            raise Forbidden(
                "A page from elsewhere may not ask this server.",
                why="Its Origin is not this machine, and no tokens are set.",
                todo="Open the server's own page, or allow its origin by the setting cors_origins.",
            )
        return ANONYMOUS

    def _may_ask(self, origin: str) -> bool:
        ours = _without_port(origin.partition("://")[2]) in self._hosts
        return ours or (self._allows is not None and self._allows(origin))


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone; a name could come to mean another."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_elsewhere(peer: str) -> bool:
    """True for the address of another machine; what is no address came by no network."""
    try:
        return not ip_address(peer.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """The host in lower case, without port; an IPv6 address keeps its brackets."""
    name, colon, port = host.strip().lower().rpartition(":")
    if colon and (port.isdigit() or not port) and not (name.startswith("[") and "]" not in name):
        return name.rstrip(".")
    return host.strip().lower().rstrip(".")


def read_tokens(file: Path) -> dict[str, Token]:
    """The tokens of a TOML file: [[token]] id, sha256, tenant, subject, scopes, prefix.

    Raises SettingsError naming what is wrong.
    """
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("token", [])
        tokens = {str(entry["id"]): _token(entry) for entry in entries}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"The token file {file} cannot be read.", why=f"{error}.", todo="Correct it."
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"A token in {file} is not complete.",
            why=f"{type(error).__name__}: {error}.",
            todo="Make tokens with `towpath token new`.",
        ) from error
    if len(tokens) != len(entries) or any("_" in key or not key for key in tokens):
        raise SettingsError(
            f"The ids in {file} are not usable.",
            why="Each token has an id of its own, without underscore.",
            todo="Make tokens with `towpath token new`.",
        )
    return tokens


def _token(entry: Mapping[str, object]) -> Token:
    digest = bytes.fromhex(str(entry["sha256"]))
    if len(digest) != hashlib.sha256().digest_size:
        msg = "sha256 is not 64 hexadecimal digits"
        raise ValueError(msg)
    scopes = entry.get("scopes", ["write", "read", "list", "remove"])
    if not isinstance(scopes, list):
        msg = "scopes is not a list"
        raise TypeError(msg)
    return Token(
        digest,
        Caller(
            tenant=str(entry["tenant"]),
            subject=str(entry["subject"]),
            scopes=frozenset(Scope(scope) for scope in scopes),
            prefix=str(entry.get("prefix", "")),
        ),
    )
