"""zstd, one frame a chunk (RFC 8878); a chunk that it hardly shortens stays as it is.

Rules: level 1, which keeps up with a network, unless somebody asks for another; what is undone may
never become longer than was said; a chunk that stays as it is can be framed, so that frames and
such chunks together are what any zstd program can read. What comes out goes piece by piece into
room that the caller gives: nothing else of a chunk's length is made.
"""

from __future__ import annotations

import struct
import sys
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from towpath.errors import DigestMismatch

if TYPE_CHECKING:
    from types import ModuleType

LEVEL = 1
WORTH = 0.95  # of the plain length: what saves less than 5 % is kept raw


_PIECE = 256 * 1024  # bytes that go in at once, and come out
_WINDOW = 20  # bytes that a frame may refer back to, as a power of two, if its chunk is no longer
_BLOCK = 128 * 1024  # bytes, the most that the format allows
_FRAME = struct.Struct("<IBI")  # magic, one segment with a size of four bytes, the size
_MAGIC, _ONE_SEGMENT = 0xFD2FB528, 0xA0
_machines: dict[int, deque[Any]] = defaultdict(
    lambda: deque(maxlen=8)
)  # by level, to be used again
_SKIPPABLE = struct.Struct("<II")  # magic, bytes that follow
_SKIP = 0x184D2A54


def framed_length(length: int) -> int:
    """Bytes of the frame that `framed` makes of `length` bytes, which are at least one."""
    return _FRAME.size + length + 3 * -(-length // _BLOCK)


def framed(plain: memoryview, room: memoryview) -> memoryview:
    """A zstd frame of `plain` as it is, at least one byte (RFC 8878 section 3.1.1), in `room`."""
    length, at = len(plain), _FRAME.size
    room[:at] = _FRAME.pack(_MAGIC, _ONE_SEGMENT, length)
    for start in range(0, length, _BLOCK):
        block = plain[start : start + _BLOCK]
        room[at : at + 3] = _head(len(block), last=start + _BLOCK >= length)
        room[at + 3 : at + 3 + len(block)] = block
        at += 3 + len(block)
    return room[:at]


def unframed(frame: memoryview, length: int, room: memoryview) -> memoryview:
    """The `length` bytes of which `framed` made `frame`, in `room`. Raises DigestMismatch."""
    good = len(frame) == framed_length(length)
    good = good and frame[: _FRAME.size] == _FRAME.pack(_MAGIC, _ONE_SEGMENT, length)
    at = _FRAME.size
    for start in range(0, length if good else 0, _BLOCK):
        size = min(_BLOCK, length - start)
        good = good and frame[at : at + 3] == _head(size, last=start + size == length)
        room[start : start + size] = frame[at + 3 : at + 3 + size]
        at += 3 + size
    if not good:
        raise DigestMismatch(
            "A chunk that is not compressed cannot be read.",
            why=f"It is not the frame of {length} bytes.",
        )
    return room[:length]


def _head(size: int, *, last: bool) -> bytes:
    """What stands before a raw block of a frame."""
    return (size << 3 | last).to_bytes(3, "little")


SKIPPED = _SKIPPABLE.size
"""Bytes that `skippable` makes."""


def skippable(length: int) -> bytes:
    """What stands before `length` bytes that zstd programs shall pass over (section 3.1.2)."""
    return _SKIPPABLE.pack(_SKIP, length)


def compress(plain: memoryview, room: memoryview, level: int = LEVEL) -> memoryview | None:
    """One zstd frame of `plain`, in `room`; None when it saves too little to be worth undoing.

    `room` has as many bytes as `plain` at least, and may be written to in any case.
    """
    if not plain:
        return None
    try:
        machine = _machines[level].pop()
    except IndexError:
        machine = _zstd().ZstdCompressor(level=level)
    machine.set_pledged_input_size(len(plain))
    limit, at = len(plain) * WORTH, 0
    for start in range(0, len(plain), _PIECE):
        ends = start + _PIECE >= len(plain)
        mode = machine.FLUSH_FRAME if ends else machine.CONTINUE
        packed: bytes = machine.compress(plain[start : start + _PIECE], mode)
        if at + len(packed) < limit:
            room[at : at + len(packed)] = packed
        at += len(packed)  # go on also beyond the limit: only a frame that ends lets another begin
    _machines[level].append(machine)
    return room[:at] if at < limit else None


def decompress(packed: memoryview, length: int, room: memoryview) -> memoryview:
    """The `length` bytes of which `packed` is the one frame, in `room`. Raises DigestMismatch.

    `room` has one byte more than that, at least.
    """
    zstd = _zstd()
    window = {zstd.DecompressionParameter.window_log_max: max(_WINDOW, length.bit_length())}
    machine = zstd.ZstdDecompressor(options=window)
    why, at, taken = "", 0, 0
    try:
        while not machine.eof and at <= length and (taken < len(packed) or not machine.needs_input):
            piece = packed[taken : taken + _PIECE] if machine.needs_input else b""
            taken += len(piece)
            plain: bytes = machine.decompress(piece, max_length=min(_PIECE, length + 1 - at))
            room[at : at + len(plain)] = plain
            at += len(plain)
    except zstd.ZstdError as error:
        why = f"{error}."
    whole = at == length and machine.eof and taken == len(packed) and not machine.unused_data
    if not why and not whole:
        why = f"It is not one frame of {length} bytes."
    if why:
        raise DigestMismatch("A compressed chunk cannot be undone.", why=why)
    return room[:length]


def made_by() -> str:
    """Which zstd compresses here: another one may make other frames of the same bytes."""
    return str(_zstd().zstd_version)


def _zstd() -> ModuleType:
    """The standard library's module, or the same one for older Pythons."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - slow to import, and often not needed
    else:
        from backports import zstd  # noqa: PLC0415 - slow to import, and often not needed
    return zstd
