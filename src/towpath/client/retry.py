"""How often and when a transfer tries again.

Rules: what was refused stays refused; only what may pass is tried again. A count of failures in a
row bounds it, and every byte that got through starts the count anew; being offline is no failure,
and is waited out. Waits grow twofold with full jitter, and are never shorter than the server asked
for.
"""

from __future__ import annotations

import logging
import time

from towpath.errors import (
    Interrupted,
    LedgerError,
    LimitReached,
    OffsetConflict,
    ServerUnreachable,
    StoreBusy,
    TowpathError,
    TransferError,
    Unanswered,
)

_log = logging.getLogger(__name__)

_FIRST, _LONGEST = 0.5, 30.0  # seconds
_DOUBLINGS = 16  # more would go beyond the longest wait anyhow
_MADE = 20e6  # bytes a second of which a server makes an object at least
_MAKING = 60.0  # seconds that it may take besides


def may_pass(error: TowpathError) -> bool:
    """True when the same request may work later."""
    if isinstance(error, TransferError):
        return error.retryable
    return isinstance(
        error, (Interrupted, LedgerError, LimitReached, OffsetConflict, StoreBusy, Unanswered)
    )


def asks_to_wait(error: TowpathError) -> bool:
    """True when the server said that it is busy: less at once may get through."""
    return isinstance(error, (LimitReached, StoreBusy)) or error.retry_after is not None


def longest_making(size: int) -> float:
    """Seconds that a server may take to make an object of `size` bytes that it has."""
    return _MAKING + size / _MADE


class Patience:
    """Counts failures in a row. `deadline`: seconds for the whole transfer, None for no end."""

    def __init__(self, retries: int, deadline: float | None = None) -> None:
        self._retries = retries
        self._ends = None if deadline is None else time.monotonic() + deadline
        self._failures = self._waits = 0

    def progress(self) -> None:
        """Something got through: count anew."""
        self._failures = self._waits = 0

    def until(self, seconds: float) -> float:
        """When a wait of so many seconds from now has to end, by time.monotonic."""
        ends = time.monotonic() + seconds
        return ends if self._ends is None else min(ends, self._ends)

    def after(self, error: TowpathError) -> float:
        """Seconds to wait before the next try; raises `error` when there shall be none."""
        import random  # noqa: PLC0415 - most transfers need no second try

        offline = isinstance(error, ServerUnreachable) and error.offline and self._retries > 0
        self._failures += not offline
        self._waits += 1
        if not may_pass(error) or self._failures > self._retries:
            raise error
        longest = min(_LONGEST, _FIRST * 2 ** min(self._waits - 1, _DOUBLINGS))
        spread = random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
        wait = max(spread, error.retry_after or 0.0)
        if self._ends is not None and time.monotonic() + wait > self._ends:
            raise error
        _log.info("Trying again in %.1f s, after: %s", wait, error)
        return wait
