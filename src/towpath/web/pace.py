"""How a sender behaves, in numbers: is it silent, too slow, a trickle, a flood. No I/O here.

Only time spent waiting for the sender counts against it: while the disk or the memory budget
holds us up, the sender is not at fault.
"""

from __future__ import annotations

from towpath.web.limits import WireLimits

FLOOD = 64 * 1024  # bytes in one round of reads that are worth a waiting thread
TRICKLE = 16 * 1024  # below this a round was not worth its wake-up
FIRST_PAUSE = 0.010
LONGEST_PAUSE = 0.200


class Pace:
    """Judges one sender. A round is what comes between two waits of the event loop.

    A worker thread calls `came` while the loop may call the rest: every method only moves numbers
    that the other side does not write in the same phase, so no lock is needed.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._round = FLOOD  # a new sender is taken for a fast one
        self._pause = 0.0
        self._silence = 0.0  # seconds waited since the last byte
        self._waited = 0.0  # seconds waited since the rate was judged
        self._counted = 0  # bytes since the rate was judged

    def came(self, count: int) -> None:
        """`count` bytes were read."""
        self._round += count
        self._counted += count
        self._silence = 0.0

    def waited(self, seconds: float) -> None:
        """We waited so long for the sender."""
        self._silence += seconds
        self._waited += seconds

    @property
    def flood(self) -> bool:
        """True while it pays to let a thread wait for the next bytes."""
        return self._round >= FLOOD

    @property
    def silence_left(self) -> float | None:
        """Seconds until the sender has been silent for too long; None if it may be for ever."""
        if not self._limits.body_idle_seconds:
            return None
        return max(0.0, self._limits.body_idle_seconds - self._silence)

    def too_slow(self) -> bool:
        """True if the sender stayed below the slowest rate; asked between rounds."""
        slowest, window = self._limits.slowest_bytes_per_second, self._limits.slowest_seconds
        if not slowest or self._waited < window:
            return False
        slow = self._counted < slowest * self._waited
        self._waited, self._counted = 0.0, 0
        return slow

    def pause(self) -> float:
        """Begin a round; return the seconds that bytes should be let gather before it.

        Doubles while rounds stay small and halves while they are large, so that a trickle costs
        five wake-ups a second and a flood none.
        """
        if self._round < TRICKLE:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        elif self._round >= FLOOD:
            self._pause = self._pause / 2 if self._pause > FIRST_PAUSE else 0.0
        self._round = 0
        return self._pause
