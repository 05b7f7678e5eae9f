"""How large chunks are, by the rules that callers of this interface know. 1 MB is 2**20 bytes.

Rules: the rules themselves stand in core.plan; this file only bounds them.
"""

from __future__ import annotations

from towpath.core.plan import DEFAULT_CHUNK, LARGE_CHUNK, MB, SMALL_CHUNK, Profile, chunk_size
from towpath.errors import Malformed

DEFAULT_CHUNK_SIZE = DEFAULT_CHUNK
LARGE_CHUNK_SIZE = LARGE_CHUNK
SMALL_CHUNK_SIZE = SMALL_CHUNK

_MEMORY_SHARE = 10  # a chunk takes at most this part of the memory at hand
_SECONDS = 10.0  # that a chunk may take on the line
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def calculate_chunk_size(file_size_bytes: int) -> int:
    """Bytes of a chunk: 5 MB below 100 MB, 10 to 500 MB, 20 to 5 GB, 50 above."""
    return chunk_size(Profile.BROAD, _size(file_size_bytes))


def calculate_optimal_chunk_size(
    file_size: int,
    available_memory: int | None = None,
    network_speed_mbps: float | None = None,
) -> int:
    """Bytes of a chunk: 1 MB below 10 MB, 5 to 100 MB, 10 to 500 MB, 20 above.

    Less where a tenth of `available_memory` (bytes) is less, or where `network_speed_mbps`
    (megabits a second) carries less in ten seconds; never less than 1 MB.
    """
    size = chunk_size(Profile.STEADY, _size(file_size))
    if available_memory is not None:
        size = min(size, available_memory // _MEMORY_SHARE)
    if network_speed_mbps is not None and network_speed_mbps > 0:
        size = min(size, int(network_speed_mbps * 1e6 / 8 * _SECONDS))
    return max(size // MB * MB, SMALL_CHUNK_SIZE)


def format_bytes(n: float) -> str:
    """A size for people: "0 B", "1.5 KB", "300.0 MB"."""
    value = float(n)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def _size(size: int) -> int:
    if size < 0:
        raise Malformed("A file cannot have less than no bytes.", field="file_size")
    return size
