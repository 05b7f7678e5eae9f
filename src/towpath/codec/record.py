"""The record of a file's wrapped keys, which stands beside the object of its chunks.

Rules: to change who can read a file, this record alone is written anew, and no data moves; what a
stranger wrote here can cost no more than a few stretched passphrases.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from towpath.codec.encrypt import FILE_ID
from towpath.codec.keys import (
    LEAST_WORK,
    MOST_WORK,
    SALT,
    Locks,
    Opens,
    Passphrase,
    Recipient,
    Wrap,
)
from towpath.errors import Malformed, Unreadable, WrongKey

LONGEST_RECORD = 256 * 1024
"""Bytes of a record, at most."""

MOST_KEYS = 200
"""Keys that one file may have: one for each run of an upload that could not read the one before."""

MOST_WRAPS = 64
"""Wraps of one key."""

MOST_STRETCHES = 8
"""Passphrases that are stretched, at most, to open one record."""

FORMAT = "towpath-keys/1"
_KINDS = {"key-file": 40, "recipient": 80, "passphrase": 40}  # bytes that are wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """The keys of one file, in their order, each wrapped for one key or several."""

    file_id: bytes
    keys: tuple[tuple[Wrap, ...], ...] = ()

    def added(self, file_key: bytes, locks: Sequence[Locks]) -> Self:
        """With one more file key. Raises Malformed without locks, Unreadable for too many keys."""
        if not locks:
            raise Malformed(
                "An encrypted file needs at least one key.",
                field="encrypt",
                why="Nobody could read it.",
                todo="Say whom it is for.",
            )
        if len(self.keys) >= MOST_KEYS or len(locks) > MOST_WRAPS:
            raise Unreadable("The record would have too many keys.", todo="Start over (--restart).")
        wraps = tuple(lock.wrap(file_key, self.file_id) for lock in locks)
        return replace(self, keys=(*self.keys, wraps))

    def rewrapped(self, opens: Sequence[Opens], locks: Sequence[Locks]) -> Self:
        """The same file keys for other keys. Raises WrongKey, Malformed, Unreadable."""
        renewed = replace(self, keys=())
        for file_key in self.open(opens):
            renewed = renewed.added(file_key, locks)
        return renewed

    def open(self, opens: Sequence[Opens]) -> list[bytes]:
        """The file keys. Raises WrongKey when one of `keys` is wrapped for none of `opens`."""
        left = [MOST_STRETCHES]
        found = [self._unwrapped(wraps, opens, left) for wraps in self.keys]
        keys = [key for key in found if key is not None]
        if not keys or len(keys) < len(found):
            held = sorted({_said(wrap) for wraps in self.keys for wrap in wraps})
            raise WrongKey(
                "None of the keys opens this file." if opens else "This file is encrypted.",
                why=f"Its keys are wrapped for: {', '.join(held)}.",
                todo="Give one of these (--key-file, --passphrase-file).",
            )
        return keys

    def _unwrapped(
        self, wraps: Sequence[Wrap], opens: Sequence[Opens], left: list[int]
    ) -> bytes | None:
        for wrap in wraps:
            for own in opens:
                if wrap.kind == "passphrase" and isinstance(own, Passphrase):
                    left[0] -= 1
                    if left[0] < 0:
                        return None
                key = own.unwrap(wrap, self.file_id)
                if key is not None:
                    return key
        return None

    def is_for(self, locks: Sequence[Locks]) -> bool:
        """True if each key here is wrapped for just these, as far as their ids tell."""
        wanted = sorted(lock.id for lock in locks)
        return all(sorted(wrap.id for wrap in wraps) == wanted for wraps in self.keys)

    def render(self) -> bytes:
        """The record as it is stored."""
        document = {
            "format": FORMAT,
            "file": self.file_id.hex(),
            "keys": [[_written(wrap) for wrap in wraps] for wraps in self.keys],
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a record. Raises Unreadable."""
        try:
            if len(data) > LONGEST_RECORD:
                raise ValueError("it is too long")
            document = json.loads(data)
            if document["format"] != FORMAT:
                raise ValueError("it has another format")
            file_id = bytes.fromhex(document["file"])
            keys = tuple(tuple(_read(wrap) for wrap in wraps) for wraps in document["keys"])
            if len(file_id) != FILE_ID or not 0 < len(keys) <= MOST_KEYS:
                raise ValueError("it has no id or too many keys")
            if any(not 0 < len(wraps) <= MOST_WRAPS for wraps in keys):
                raise ValueError("it has a key with too many wraps")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"[:200] + "."
            raise Unreadable("The record of a file's keys cannot be read.", why=why) from error
        return cls(file_id=file_id, keys=keys)


def only_recipients(locks: Sequence[Locks]) -> bool:
    """True if whoever wraps for these cannot unwrap it again."""
    return all(isinstance(lock, Recipient) for lock in locks)


def _written(wrap: Wrap) -> dict[str, object]:
    said: dict[str, object] = {"kind": wrap.kind, "wrapped": _text(wrap.wrapped)}
    if wrap.kind == "passphrase":
        return {**said, "salt": _text(wrap.salt), "work": wrap.work}
    return {**said, "id": wrap.id}


def _read(found: Mapping[str, Any]) -> Wrap:
    kind = str(found["kind"])
    wrapped = base64.b64decode(found["wrapped"], validate=True)
    if len(wrapped) != _KINDS[kind]:
        raise ValueError("a wrapped key has another length")
    if kind != "passphrase":
        return Wrap(kind=kind, id=str(found["id"])[:16], wrapped=wrapped)
    salt, work = base64.b64decode(found["salt"], validate=True), found["work"]
    if len(salt) != SALT or type(work) is not int or not LEAST_WORK <= work <= MOST_WORK:
        raise ValueError("a passphrase would be stretched in a way that is not allowed")
    return Wrap(kind=kind, salt=salt, work=work, wrapped=wrapped)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _said(wrap: Wrap) -> str:
    shown = "".join(letter for letter in wrap.id if letter in "0123456789abcdef")
    return f"{wrap.kind} {shown}".strip()
