"""Content-defined chunks: where a file is cut follows from its bytes, not from their places.

Rules: the same bytes under the same cut give the same chunks, on every machine and in every
release: a cut never changes, a better one gets another name. One buffer of twice the largest chunk
is held, whatever the file's length.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

ReadInto = Callable[[memoryview], int]
"""Puts the next bytes into a view and returns how many; 0 at the end."""

_RECORD = struct.Struct(">I32s")
_NORMALIZED: Final = 2  # how strongly sizes are drawn to the average (FastCDC 2020, section 3.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A way to cut, under the name that others ask for it by. Sizes in bytes.

    FastCDC of 2020 with its own table, two bits of normalization and no seed.
    """

    name: str
    smallest: int
    average: int
    largest: int


_ALL = (
    Cut(name="v1-256k", smallest=64 * KIB, average=256 * KIB, largest=512 * KIB),
    Cut(name="v1-1m", smallest=256 * KIB, average=MIB, largest=2 * MIB),
    Cut(name="v1-4m", smallest=MIB, average=4 * MIB, largest=8 * MIB),
)
CUTS = {cut.name: cut for cut in _ALL}


def cut_for(length: int) -> Cut:
    """The cut for a file of `length` bytes: at most some 65,000 chunks up to 256 GiB."""
    fine, middle, coarse = _ALL
    if length <= 16 * GIB:
        return fine
    return middle if length <= 64 * GIB else coarse


class Chunk(NamedTuple):
    """Bytes start <= b < end with their SHA-256."""

    start: int
    end: int
    sha256: bytes


def chunks(read_into: ReadInto, cut: Cut) -> Iterator[Chunk]:
    """Cut what `read_into` gives. Blocks."""
    from pyfastcdc import FastCDC  # noqa: PLC0415 - only who cuts needs it

    cutter = FastCDC(
        cut.average,
        min_size=cut.smallest,
        max_size=cut.largest,
        normalized_chunking=_NORMALIZED,
    )
    for found in cutter.cut_stream(_Stream(read_into)):
        digest = hashlib.sha256(found.data).digest()
        yield Chunk(found.offset, found.offset + found.length, digest)


def write_map(found: Iterable[Chunk]) -> bytes:
    """Chunks, one behind the other, as they travel: 4 bytes of length (big-endian), SHA-256."""
    return b"".join(_RECORD.pack(each.end - each.start, each.sha256) for each in found)


def read_map(blocks: Iterable[memoryview | bytes]) -> Iterator[Chunk]:
    """The chunks of a map that comes in blocks. Raises ValueError for what is none."""
    rest, at = b"", 0
    for block in blocks:
        whole = rest + bytes(block)
        usable = len(whole) - len(whole) % _RECORD.size
        for length, sha256 in _RECORD.iter_unpack(memoryview(whole)[:usable]):
            if not length:
                raise ValueError("a chunk has no bytes")
            yield Chunk(at, at + length, sha256)
            at += length
        rest = whole[usable:]
    if rest:
        raise ValueError("the map ends in the middle of a record")


class _Stream:
    """What the cutter reads from."""

    def __init__(self, read_into: ReadInto) -> None:
        self.readinto = read_into
