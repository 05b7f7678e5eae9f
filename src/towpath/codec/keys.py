"""Keys that people hold: key files, passphrases, recipients and their identities.

Rules: each of them wraps the key of a file, never the file itself; what a wrap is for is said by an
id that tells nothing of the key; no secret is in a repr, and none is compared but by the ciphers.
A key may know the `path` of the file that it came from, which is not part of it.
AES key wrap is RFC 3394, scrypt RFC 7914, HPKE RFC 9180 in base mode with X25519, HKDF-SHA256 and
AES-256-GCM.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from towpath.codec.encrypt import FILE_KEY
from towpath.errors import Malformed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

KEY = 32
"""Bytes of every key here."""

WORK = 17
"""scrypt's cost for new passphrases, as a power of two: 128 MiB, some tenths of a second."""

LEAST_WORK, MOST_WORK = 12, 18
"""What a record may ask for: at most 256 MiB."""

SALT = 16
"""Bytes of a passphrase's salt."""

_PURPOSE = b"towpath file key 1"
_KEY_TEXT, _IDENTITY_TEXT, _RECIPIENT_TEXT = (
    "towpath-key-1",
    "towpath-identity-1",
    "towpath-recipient-1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrap:
    """The key of a file, wrapped for one key. `id`: which one; empty for a passphrase."""

    kind: str  # key-file, passphrase, recipient
    wrapped: bytes
    id: str = ""
    salt: bytes = b""
    work: int = 0  # scrypt's cost as a power of two


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A secret that both sides have in a file."""

    kind: ClassVar[str] = "key-file"
    key: bytes = field(repr=False)
    path: str = field(default="", compare=False)

    @classmethod
    def new(cls) -> KeyFile:
        """A random one."""
        return cls(secrets.token_bytes(KEY))

    @property
    def id(self) -> str:
        """Names it, and tells nothing of it."""
        return _id(b"key", self.key)

    def text(self) -> str:
        """One line for its file."""
        return _text(_KEY_TEXT, self.key)

    def wrap(self, file_key: bytes, file_id: bytes) -> Wrap:
        """Wrap a file's key."""
        return Wrap(kind=self.kind, id=self.id, wrapped=_wrap(self.key, file_key))

    def unwrap(self, wrap: Wrap, file_id: bytes) -> bytes | None:
        """The file's key; None if it is not wrapped for this one."""
        if (wrap.kind, wrap.id) != (self.kind, self.id):
            return None
        return _unwrap(self.key, wrap.wrapped)


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A secret that people remember. `work`: scrypt's cost as a power of two, for new wraps."""

    kind: ClassVar[str] = "passphrase"
    words: str = field(repr=False)
    work: int = WORK
    path: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """None: an id would let guesses be tried without scrypt."""
        return ""

    def wrap(self, file_key: bytes, file_id: bytes) -> Wrap:
        """Wrap a file's key, with a salt of its own."""
        salt = secrets.token_bytes(SALT)
        wrapped = _wrap(self._stretched(salt, self.work), file_key)
        return Wrap(kind=self.kind, salt=salt, work=self.work, wrapped=wrapped)

    def unwrap(self, wrap: Wrap, file_id: bytes) -> bytes | None:
        """The file's key; None if it is not wrapped for this one."""
        if wrap.kind != self.kind:
            return None
        return _unwrap(self._stretched(wrap.salt, wrap.work), wrap.wrapped)

    def _stretched(self, salt: bytes, work: int) -> bytes:
        words = unicodedata.normalize("NFC", self.words).encode()
        memory = 128 * 8 * 2**work
        return hashlib.scrypt(words, salt=salt, n=2**work, r=8, p=1, maxmem=2 * memory, dklen=KEY)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody's public key: whoever has it can write to them, and not read it again."""

    kind: ClassVar[str] = "recipient"
    key: bytes
    path: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """Names it."""
        return _id(b"recipient", self.key)

    def text(self) -> str:
        """One line, which is no secret."""
        return _text(_RECIPIENT_TEXT, self.key)

    def wrap(self, file_key: bytes, file_id: bytes) -> Wrap:
        """Seal a file's key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - slow
            X25519PublicKey,
        )

        public = X25519PublicKey.from_public_bytes(self.key)
        sealed = _suite().encrypt(file_key, public, info=_PURPOSE + file_id)
        return Wrap(kind=self.kind, id=self.id, wrapped=sealed)


@dataclass(frozen=True, slots=True)
class Identity:
    """The private key of a recipient."""

    kind: ClassVar[str] = "identity"
    key: bytes = field(repr=False)
    path: str = field(default="", compare=False)

    @classmethod
    def new(cls) -> Identity:
        """A random one."""
        return cls(secrets.token_bytes(KEY))

    @property
    def recipient(self) -> Recipient:
        """Its public key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - slow
            X25519PrivateKey,
        )

        return Recipient(
            X25519PrivateKey.from_private_bytes(self.key).public_key().public_bytes_raw()
        )

    def text(self) -> str:
        """One line for its file."""
        return _text(_IDENTITY_TEXT, self.key)

    def unwrap(self, wrap: Wrap, file_id: bytes) -> bytes | None:
        """The file's key; None if it is not sealed for this one."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - slow
        from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - slow
            X25519PrivateKey,
        )

        if wrap.kind != "recipient" or wrap.id != self.recipient.id:
            return None
        private = X25519PrivateKey.from_private_bytes(self.key)
        try:
            opened = _suite().decrypt(wrap.wrapped, private, info=_PURPOSE + file_id)
        except (InvalidTag, ValueError):
            return None
        return opened if len(opened) == FILE_KEY else None


Locks = KeyFile | Passphrase | Recipient
"""What a file's key can be wrapped for."""

Opens = KeyFile | Passphrase | Identity
"""What can unwrap it again."""


def parse_key(text: str) -> KeyFile | Identity | Recipient:
    """Read the one line of a key's file. Raises Malformed, which never shows the line."""
    kind, _, encoded = text.strip().partition(" ")
    try:
        key = base64.b64decode(encoded.strip(), altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    makes: dict[str, type[KeyFile | Identity | Recipient]] = {
        _KEY_TEXT: KeyFile,
        _IDENTITY_TEXT: Identity,
        _RECIPIENT_TEXT: Recipient,
    }
    if kind not in makes or len(key) != KEY:
        raise Malformed(
            "This is no key.",
            field="key",
            why=f"It is one line: {', '.join(makes)} and {KEY} bytes as base64.",
            todo="Make one with `towpath keys new`.",
        )
    return makes[kind](key)


def _text(kind: str, key: bytes) -> str:
    return f"{kind} {base64.urlsafe_b64encode(key).decode()}\n"


def _id(kind: bytes, key: bytes) -> str:
    return hashlib.sha256(b"towpath id of a " + kind + b"\0" + key).hexdigest()[:16]


def _wrap(key: bytes, file_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap  # noqa: PLC0415 - slow

    return aes_key_wrap(key, file_key)


def _unwrap(key: bytes, wrapped: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.keywrap import (  # noqa: PLC0415 - slow
        InvalidUnwrap,
        aes_key_unwrap,
    )

    try:
        file_key = aes_key_unwrap(key, wrapped)
    except (InvalidUnwrap, ValueError):
        return None
    return file_key if len(file_key) == FILE_KEY else None


def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite  # noqa: PLC0415 - slow

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
