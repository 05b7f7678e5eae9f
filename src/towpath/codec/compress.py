"""zstd, one frame a chunk (RFC 8878); a chunk that it hardly shortens stays as it is.

Rules: level 1, which keeps up with a network, unless somebody asks for another; what is undone may
never become longer than was said; a chunk that stays as it is can be framed, so that frames and
such chunks together are what any zstd program can read.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

from towpath.errors import DigestMismatch

if TYPE_CHECKING:
    from types import ModuleType

LEVEL = 1
WORTH = 0.95  # of the plain length: what saves less than 5 % is kept raw


_BLOCK = 128 * 1024  # bytes, the most that the format allows
_FRAME = struct.Struct("<IBI")  # magic, one segment with a size of four bytes, the size
_MAGIC, _ONE_SEGMENT = 0xFD2FB528, 0xA0
_SKIPPABLE = struct.Struct("<II")  # magic, bytes that follow
_SKIP = 0x184D2A54


def framed_length(length: int) -> int:
    """Bytes of the frame that `framed` makes of `length` bytes, which are at least one."""
    return _FRAME.size + length + 3 * -(-length // _BLOCK)


def framed(plain: memoryview) -> bytes:
    """A zstd frame of `plain` as it is, at least one byte (RFC 8878 section 3.1.1)."""
    length = len(plain)
    parts: list[bytes | memoryview] = [_FRAME.pack(_MAGIC, _ONE_SEGMENT, length)]
    for at in range(0, length, _BLOCK):
        block = plain[at : at + _BLOCK]
        last = at + _BLOCK >= length
        parts += [(len(block) << 3 | last).to_bytes(3, "little"), block]
    return b"".join(parts)


SKIPPED = _SKIPPABLE.size
"""Bytes that `skippable` makes."""


def skippable(length: int) -> bytes:
    """What stands before `length` bytes that zstd programs shall pass over (section 3.1.2)."""
    return _SKIPPABLE.pack(_SKIP, length)


def compress(plain: memoryview, level: int = LEVEL) -> bytes | None:
    """One zstd frame of `plain`; None when it saves too little to be worth undoing."""
    packed: bytes = _zstd().compress(plain, level=level)
    return packed if len(packed) < len(plain) * WORTH else None


def decompress(packed: memoryview, length: int) -> bytes:
    """The `length` bytes of which `packed` is the one frame. Raises DigestMismatch."""
    zstd = _zstd()
    machine = zstd.ZstdDecompressor()
    why = ""
    plain = b""
    try:
        plain = machine.decompress(packed, max_length=length + 1)
    except zstd.ZstdError as error:
        why = f"{error}."
    if not why and not (len(plain) == length and machine.eof and not machine.unused_data):
        why = f"It is not one frame of {length} bytes."
    if why:
        raise DigestMismatch("A compressed chunk cannot be undone.", why=why)
    return plain


def _zstd() -> ModuleType:
    """The standard library's module, or the same one for older Pythons."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - slow to import, and often not needed
    else:
        from backports import zstd  # noqa: PLC0415 - slow to import, and often not needed
    return zstd
