"""Digests: the one every byte is counted with, and the fields that carry them.

CRC64NVME (the parameters of CRC-64/NVME in the NVM Command Set specification) is always kept,
because ranges' values combine in any order and stores verify it. Values are unsigned 64-bit
integers inside and big-endian bytes outside.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from awscrt.checksums import combine_crc64nvme, crc64nvme

from towpath.errors import Malformed

CRC64NVME = "crc64nvme"

SIZES = {CRC64NVME: 8, "sha-256": 32, "sha-512": 64, "sha": 20, "md5": 16}
"""Names as RFC 9530 writes them, with their sizes in bytes."""


def crc(block: memoryview | bytes | bytearray, before: int = 0) -> int:
    """CRC64NVME of `block` after bytes whose value is `before`."""
    value: int = crc64nvme(block, before)
    return value


def combine(left: int, right: int, right_length: int) -> int:
    """The CRC64NVME of two neighbours, from theirs and the right one's length in bytes."""
    value: int = combine_crc64nvme(left, right, right_length)
    return value


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
