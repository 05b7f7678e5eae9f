"""What one connection may cost: sizes in bytes, times in seconds; 0 turns a limit on time off."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds of one connection; every wait for a client is bounded by one of these."""

    header_bytes: int = 64 * 1024  # request line and header fields together; beyond it 431
    request_line_bytes: int = 16 * 1024  # the request target alone; beyond it 414
    head_seconds: float = 20.0  # from the first byte of a request head to its last; then 408
    body_idle_seconds: float = 60.0  # silence within a body; every byte renews it
    slowest_bytes_per_second: float = 1024.0  # judged whenever we have waited slowest_seconds
    slowest_seconds: float = 30.0  # waiting that is granted before the rate is judged
    stall_seconds: float = 60.0  # a reader of a response that takes nothing for so long is cut
    keep_bytes: int = 64 * 1024  # an unread body up to this is swallowed to keep the connection
    linger_bytes: int = 8 * 1024 * 1024  # of an unread body, swallowed before a close
    linger_seconds: float = 2.0  # for the client to read an answer that it did not wait for
