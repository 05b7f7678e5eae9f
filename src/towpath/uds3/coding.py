"""How a manager codes the chunks of its uploads, and the key that it holds.

Rules: the key is written nowhere and is in no repr; what is encrypted has a file key of its own,
AES-256, that the manager's key wraps; an upload stays coded as it began, whoever goes on with it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

from towpath.codec.keys import KeyFile, Passphrase, parse_key
from towpath.errors import Malformed, SettingsError, WrongKey

_STRETCHING = threading.Lock()  # each takes 128 MiB while it lasts: one at a time
_KNOWN = 1000  # stretched keys that are kept, at most

Key = KeyFile | Passphrase


class Secret(Passphrase):
    """A passphrase that is stretched once for each salt."""

    @cached_property
    def _known(self) -> dict[tuple[bytes, int], bytes]:
        return {}

    def _stretched(self, salt: bytes, work: int) -> bytes:
        with _STRETCHING:
            key = self._known.get((salt, work))
            if key is None:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                key = self._known[salt, work] = super()._stretched(salt, work)
            return key


@dataclass(frozen=True, kw_only=True)
class Codec:
    """What is done to chunks of new uploads."""

    level: int  # of zstd; 0: they are not compressed
    seals: bool  # they are encrypted
    keys: tuple[Key, ...] = field(default=(), repr=False)  # that close and open

    def insist_on_key(self, argument: str) -> None:
        """Raise SettingsError if `argument` asks for encryption, and there is no key."""
        if not self.keys:
            raise SettingsError(
                f"{argument} needs an encryption_key.",
                why="Nobody could read the file without one.",
                todo="Give the manager one: a passphrase, or the line of a key file.",
            )


def codec_of(*, compress: bool, level: int, encrypt: bool, key: str | None) -> Codec:
    """What the arguments of a manager say. Raises SettingsError."""
    if not 1 <= level <= 9:
        raise SettingsError(
            f"compression_level cannot be {level!r}.",
            why="It must be a number from 1 to 9.",
            todo="Correct the argument.",
        )
    keys = (_key(key),) if key else ()
    codec = Codec(level=level if compress else 0, seals=encrypt, keys=keys)
    if encrypt:
        codec.insist_on_key("encrypt_chunks")
    return codec


def insist_on_keys(path: str, *, sealed: bool, keys: tuple[Key, ...]) -> None:
    """Raise WrongKey if an upload is encrypted, and there is no key to go on with."""
    if sealed and not keys:
        raise WrongKey(
            f"The upload of {path} is encrypted.", why="There is no encryption_key.", todo=_TODO
        )


def wrong_key(error: WrongKey) -> WrongKey:
    """The same error, with what callers of this interface can do."""
    return WrongKey(error.what, why=error.why, todo=_TODO)


_TODO = "Make the StreamingManager with the encryption_key that it was encrypted with."


def _key(text: str) -> Key:
    try:
        found = parse_key(text)
    except Malformed:
        return Secret(text)
    if not isinstance(found, KeyFile):
        raise SettingsError(
            "encryption_key cannot be a recipient or an identity.",
            why="One key must both close and open what this manager sends.",
            todo="Give a passphrase, or the line of a key file (towpath keys new).",
        )
    return found
