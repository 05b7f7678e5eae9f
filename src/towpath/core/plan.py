"""Chunk-size profiles: how many bytes one request carries.

A profile is a pure function of the file's size (bytes) and, for `adaptive`, of the measured
rate and the memory at hand. 1 MB is 2**20 bytes here, as everywhere in Towpath.

`adaptive` is the rule for one answer. The client's own transfers adapt, too, by `client.tuning`,
which learns from each chunk and finds the number of connections besides; they do not ask here.
"""

from __future__ import annotations

from enum import StrEnum

MB = 1 << 20
GB = 1 << 30

SMALL_CHUNK = 1 * MB
DEFAULT_CHUNK = 5 * MB
LARGE_CHUNK = 10 * MB

MOST_CHUNKS = 10_000
"""Parts an object may have in the stores with the tightest limit."""

_ADAPTIVE_SMALLEST = 5 * MB
_ADAPTIVE_LARGEST = 1 * GB
_ADAPTIVE_SECONDS = 2.0


class Profile(StrEnum):
    """Whose rule is followed."""

    ADAPTIVE = "adaptive"  # nobody's but ours: for who knows a rate
    STEADY = "steady"  # in-process operations, first document
    BROAD = "broad"  # in-process operations, second document
    DOCUMENT = "document"  # document sessions
    PAGE = "page"  # the page's chunks


def steady(size: int) -> int:
    """Below 10 MB: 1 MB; to 100 MB: 5; to 500 MB: 10; above: 20."""
    if size < 10 * MB:
        return 1 * MB
    if size <= 100 * MB:
        return 5 * MB
    return 10 * MB if size <= 500 * MB else 20 * MB


def broad(size: int) -> int:
    """Below 100 MB: 5 MB; to 500 MB: 10; to 5 GB: 20; above: 50."""
    if size < 100 * MB:
        return 5 * MB
    if size <= 500 * MB:
        return 10 * MB
    return 20 * MB if size <= 5 * GB else 50 * MB


def document(size: int, asked: int) -> int:
    """Below 10 MB: at most 2 MB; to 100 MB: at most 8; above: as asked."""
    if size < 10 * MB:
        return min(asked, 2 * MB)
    return min(asked, 8 * MB) if size <= 100 * MB else asked


def page(size: int) -> int:
    """Below 10 MB: 1 MB; below 100 MB: 5; below 1 GB: 10; above: 25."""
    if size < 10 * MB:
        return 1 * MB
    if size < 100 * MB:
        return 5 * MB
    return 10 * MB if size < GB else 25 * MB


def adaptive(size: int | None, rate: float | None, budget: int, in_flight: int = 1) -> int:
    """About two seconds' worth at `rate` (bytes a second), as a power of two.

    Never below 5 MB, never so small that `size` needs more than MOST_CHUNKS chunks, and never
    so large that `in_flight` chunks and one more exceed `budget` bytes, unless the chunk count
    forces it.
    """
    want = int(rate * _ADAPTIVE_SECONDS) if rate else 8 * MB
    most = max(budget // (in_flight + 1), _ADAPTIVE_SMALLEST)
    want = max(_ADAPTIVE_SMALLEST, min(want, most, _ADAPTIVE_LARGEST))
    chunk = 1 << (want.bit_length() - 1)
    chunk = max(chunk, _ADAPTIVE_SMALLEST)
    if size is not None:
        chunk = max(chunk, -(-size // MOST_CHUNKS))
    return chunk


def chunk_size(
    profile: Profile,
    size: int,
    *,
    asked: int = DEFAULT_CHUNK,
    rate: float | None = None,
    budget: int = 256 * MB,
) -> int:
    """The chunk size in bytes that `profile` gives for a file of `size` bytes."""
    match profile:
        case Profile.STEADY:
            return steady(size)
        case Profile.BROAD:
            return broad(size)
        case Profile.DOCUMENT:
            return document(size, asked)
        case Profile.PAGE:
            return page(size)
        case Profile.ADAPTIVE:
            return adaptive(size, rate, budget)
