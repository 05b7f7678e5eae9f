"""What everything is bounded by, and the formula for memory.

memory held for bytes in flight, at any moment, is at most

    min(budget, workers x block_largest + uploads x waiting_bytes)

where `workers` is the number of threads that receive, `block_largest` what one of them holds,
and `waiting_bytes` what an upload on an ordinary ASGI connection may have waiting (nothing on a
direct connection: there the kernel's socket buffer waits). Whoever finds no block in the budget
does not read its socket, so the sender waits.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one server. Sizes in bytes, times in seconds; None means no limit."""

    memory: int = 256 * MIB  # all blocks together
    block_smallest: int = 64 * KIB  # a writer's first block
    block_largest: int = 1 * MIB  # what it grows to while it fills them
    workers: int = 16  # threads that receive
    settle_bytes: int = 16 * MIB  # bytes received that may not be durable yet, per upload
    settle_seconds: float = 0.5  # how long a byte may wait to be made durable
    uploads: int = 1024  # uploads that receive at once
    open_uploads: int = 100_000  # unfinished uploads of one tenant
    length: int | None = None  # one upload
    metadata: int = 32 * KIB  # what a client may attach to one upload
    name: int = 1024  # UTF-8 bytes of a name
    lifetime: float = 24 * 3600.0  # an upload without news expires

    @property
    def settle_points(self) -> int:
        """Bytes between two settles: half of settle_bytes, so that receiving overlaps them."""
        return max(self.settle_bytes // 2, 1)

    def memory_bound(self, uploads: int, waiting_bytes: int = 0) -> int:
        """The most bytes that blocks take while `uploads` receive at once."""
        return min(self.memory, self.workers * self.block_largest + uploads * waiting_bytes)
