"""How a file is made of what the server has: which ranges are copied there, which are sent.

Rules: no I/O; the pieces of a plan lie one behind the other from the first byte to the last; of a
base only so many chunks are remembered that memory stays bounded, and what lies behind is sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from towpath.codec.cdc import Chunk

MOST_CHUNKS = 1_000_000
"""Chunks of a base that are remembered, at some 300 bytes each."""


class Piece(NamedTuple):
    """Bytes at <= b < end of the file. `source`: where they begin in the base; None: are sent."""

    at: int
    end: int
    source: int | None


class Base:
    """An object that the server has, as its chunks tell."""

    def __init__(self, found: Iterable[Chunk], *, most: int = MOST_CHUNKS) -> None:
        """Takes no more than `most` chunks from `found`."""
        self._first: dict[bytes, int] = {}
        self._at: dict[int, bytes] = {}
        for chunk in islice(found, most):
            self._first.setdefault(chunk.sha256, chunk.start)
            self._at[chunk.start] = chunk.sha256

    def find(self, sha256: bytes, likely: int) -> int | None:
        """Where such a chunk begins, at `likely` if there is one; None: there is none."""
        return likely if self._at.get(likely) == sha256 else self._first.get(sha256)


def plan(found: Iterable[Chunk], base: Base) -> list[Piece]:
    """The pieces of a file with these chunks, as few as there can be."""
    pieces: list[Piece] = []
    likely = 0
    for chunk in found:
        source = base.find(chunk.sha256, likely)
        if source is not None:
            likely = source + chunk.end - chunk.start
        if pieces and _goes_on(pieces[-1], source):
            pieces[-1] = pieces[-1]._replace(end=chunk.end)
        else:
            pieces.append(Piece(chunk.start, chunk.end, source))
    return pieces


def _goes_on(last: Piece, source: int | None) -> bool:
    """Whether a chunk from `source` goes on where the last piece ends."""
    if last.source is None or source is None:
        return last.source is source
    return last.source + last.end - last.at == source


class Round(NamedTuple):
    """What is asked for and sent before it is seen how far the upload is."""

    copies: tuple[tuple[int, int, int], ...]  # bytes start <= b < end of the base, and where to
    sends: tuple[tuple[int, int], ...]


def next_round(
    pieces: Sequence[Piece], offset: int, *, copies: int, copied: int, sent: int
) -> Round:
    """What comes next when `offset` bytes are there: at most so many copies, bytes of them, sent.

    There is something as long as `offset` is not the end.
    """
    ask: list[tuple[int, int, int]] = []
    send: list[tuple[int, int]] = []
    first = max(bisect_right(pieces, offset, key=lambda piece: piece.at) - 1, 0)
    for piece in islice(pieces, first, None):
        at = max(piece.at, offset)
        room = sent if piece.source is None else copied if len(ask) < copies else 0
        end = min(piece.end, at + room)
        if end > at and piece.source is None:
            send.append((at, end))
            sent -= end - at
        elif end > at:
            start = (piece.source or 0) + at - piece.at
            ask.append((start, start + end - at, at))
            copied -= end - at
        if end < piece.end:
            break
    return Round(tuple(ask), tuple(send))
