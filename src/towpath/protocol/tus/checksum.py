"""The digest of a chunk, before its bytes or behind them (Checksum, Upload-Checksum)."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from towpath.core.digest import SIZES
from towpath.errors import Malformed
from towpath.protocol.message import Head
from towpath.protocol.trailers import announced, missing

CHECKSUMS = {
    "sha1": "sha",
    "sha256": "sha-256",
    "sha512": "sha-512",
    "md5": "md5",
    "crc32": "crc32",
}
"""Algorithms by the names of tus, and by ours."""

_FIELD = "upload-checksum"


def read_checksum(head: Head) -> dict[str, bytes]:
    """The digest that stands before the chunk, by our name for it; {} if none does."""
    field = head.get(_FIELD)
    return {} if field is None else _read(field)


def read_trailing(head: Head) -> frozenset[str]:
    """What the digest may be of that is to come behind the chunk. Raises Malformed.

    Its algorithm is not known before it comes, so all are computed.
    """
    return frozenset(CHECKSUMS.values()) if announced(head, _FIELD) else frozenset()


def read_behind(trailers: Mapping[str, str]) -> dict[str, bytes]:
    """The digest that came behind the chunk, and empty values of the others. Raises Malformed."""
    field = trailers.get(_FIELD)
    if field is None:
        raise missing(_FIELD)
    return {**dict.fromkeys(CHECKSUMS.values(), b""), **_read(field)}


def _read(field: str) -> dict[str, bytes]:
    name, _, text = field.strip().partition(" ")
    ours = CHECKSUMS.get(name)
    why = "" if ours else f"The algorithm is none of {', '.join(CHECKSUMS)}."
    value = b""
    if ours is not None:
        try:
            value = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            why = "The value is not base64."
        if not why and len(value) != SIZES[ours]:
            why = f"A {name} has {SIZES[ours]} bytes."
    if ours is None or why:
        raise Malformed(
            "Upload-Checksum cannot be read.",
            field="Upload-Checksum",
            why=why,
            todo="Send the name of an algorithm, a space, and the base64 of the value.",
        )
    return {ours: value}
