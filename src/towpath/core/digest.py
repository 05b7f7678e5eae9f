"""Digests: the one every byte is counted with, and the fields that carry them.

CRC64NVME (the parameters of CRC-64/NVME in the NVM Command Set specification) is always kept,
because ranges' values combine in any order and stores verify it. Values are unsigned 64-bit
integers inside and big-endian bytes outside.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from towpath.core.crc import crc, crc32c
from towpath.errors import Malformed

CRC64NVME = "crc64nvme"

SHA256 = "sha-256"

SIZES = {
    CRC64NVME: 8,
    SHA256: 32,
    "sha-512": 64,
    "sha": 20,
    "md5": 16,
    "crc32c": 4,
    "crc32": 4,
}
"""Names as RFC 9530 writes them, with their sizes in bytes; and two of our own."""


class Hasher(Protocol):
    """A digest in the making."""

    def update(self, block: memoryview, /) -> None:
        """Go on with `block`."""
        ...

    def digest(self) -> bytes:
        """The value so far."""
        ...


class _Cyclic:
    """A cyclic redundancy check as a hasher."""

    def __init__(self, step: Callable[[memoryview, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, block: memoryview) -> None:
        self._value = self._step(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def hasher(name: str) -> Hasher:
    """A new hasher for an algorithm of SIZES. Raises KeyError for another."""
    match name:
        case "crc64nvme":
            return _Cyclic(crc, 8)
        case "crc32c":
            return _Cyclic(crc32c, 4)
        case "crc32":
            return _Cyclic(zlib.crc32, 4)
        case "sha":
            return hashlib.sha1(usedforsecurity=False)
        case "md5":
            return hashlib.md5(usedforsecurity=False)
        case "sha-256":
            return hashlib.sha256()
        case "sha-512":
            return hashlib.sha512()
    raise KeyError(name)


def crc_bytes(value: int) -> bytes:
    """A CRC64NVME as the 8 bytes that travel."""
    return value.to_bytes(8, "big")


def format_digests(digests: Mapping[str, bytes]) -> str:
    """A Repr-Digest or Content-Digest field value (RFC 9530 section 2; RFC 8941 dictionary)."""
    return ", ".join(
        f"{name}=:{base64.b64encode(value).decode('ascii')}:" for name, value in digests.items()
    )


def parse_digests(field: str) -> dict[str, bytes]:
    """Read a digest field. Names we do not know are left out, as RFC 9530 section 2 asks.

    Raises Malformed when a known one cannot be read.
    """
    digests: dict[str, bytes] = {}
    for member in filter(None, (part.strip() for part in field.split(","))):
        name, _, rest = member.partition("=")
        name = name.strip().lower()
        if name not in SIZES:
            continue
        text = rest.strip()
        try:
            if not (text.startswith(":") and text.endswith(":") and len(text) > 1):
                raise ValueError
            value = base64.b64decode(text[1:-1], validate=True)
        except (ValueError, binascii.Error):
            value = b""
        if len(value) != SIZES[name]:
            raise Malformed(
                f"The {name} digest cannot be read.",
                field="Repr-Digest",
                why=f"It must be {SIZES[name]} bytes as :base64:.",
                todo=f"Send {name}=:<base64 of {SIZES[name]} bytes>:.",
            )
        digests[name] = value
    return digests
