"""A token bucket with a queue: how many bytes may move now, and whose turn it is.

Rules: pure, the caller brings the time; a byte is counted once, whatever becomes of it. Turns go to
flows, not to those who ask: a flow that asks four at a time gets no more than one that asks once
(start-time fair queueing). Little is saved up while nobody asks: a pause is followed by no flood.
"""

from __future__ import annotations

import heapq
from itertools import count

SMALLEST, LARGEST = 64 * 1024, 256 * 1024  # bytes of one turn
_TURNS = 16  # a second, where that makes a turn between the smallest and the largest
_SAVED = 0.1  # seconds' worth of bytes that may be saved up
_EXACT = 1.0  # byte: what rounding may make of a time


def grain(rate: int) -> int:
    """Bytes of one turn at `rate` bytes a second: 64 to 256 KiB, but never more than a second's."""
    return min(rate, max(SMALLEST, min(LARGEST, rate // _TURNS)))


class Flow:
    """Those who share one place in the turns of a bucket: the connections of one transfer."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        self.ends = 0.0  # the bucket's count at which all that it asked for is served


class Ticket:
    """A wish for bytes. `granted`: how many of them may move; 0 while it waits."""

    __slots__ = ("granted", "wanted", "withdrawn")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.granted = 0
        self.withdrawn = False


class Bucket:
    """Hands out `rate` bytes a second; None hands out whatever is asked."""

    def __init__(self, rate: int | None, now: float) -> None:
        """`now`: seconds that only grow, here and wherever a time is asked for."""
        self._rate = rate
        self._level = 0.0  # bytes that may move; below 0 they have moved already
        self._filled_at = now
        self._served = 0.0  # the place in the turns of who was served last
        self._order = count()
        self._waiting: list[tuple[float, int, Ticket]] = []

    @property
    def rate(self) -> int | None:
        """Bytes a second."""
        return self._rate

    @property
    def first(self) -> Ticket | None:
        """Whose turn is next."""
        while self._waiting and self._waiting[0][2].withdrawn:
            heapq.heappop(self._waiting)
        return self._waiting[0][2] if self._waiting else None

    def set_rate(self, rate: int | None, now: float) -> None:
        """Another rate from now on. Nobody waits longer for what was handed out before."""
        self._fill(now)
        before, self._rate = self._rate, rate
        if rate is None or before is None:
            self._level = 0.0
        elif self._level < 0:
            self._level = max(self._level, self._level * rate / before)
        else:
            self._level = min(self._level, rate * _SAVED)

    def ask(self, flow: Flow, wanted: int) -> Ticket:
        """Queue up for at most `wanted` bytes; `grant` says when, and how many they are."""
        ticket = Ticket(wanted if self._rate is None else min(wanted, grain(self._rate)))
        begins = max(self._served, flow.ends)
        flow.ends = begins + ticket.wanted
        heapq.heappush(self._waiting, (begins, next(self._order), ticket))
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """Somebody no longer waits. What was granted is counted all the same."""
        ticket.withdrawn = True

    def give_back(self, flow: Flow, count: int) -> None:
        """Of what was granted, so many bytes have not moved."""
        if self._rate is not None:
            flow.ends -= count
            self._level = min(self._level + count, max(self._level, self._rate * _SAVED))

    def grant(self, now: float) -> list[Ticket]:
        """Serve those whose time has come, in turn; return them."""
        self._fill(now)
        served = []
        while (ticket := self.first) is not None and self._level > -_EXACT:
            self._served = heapq.heappop(self._waiting)[0]
            ticket.granted = ticket.wanted
            if self._rate is not None:
                ticket.granted = min(ticket.wanted, grain(self._rate))
                self._level -= ticket.granted
            served.append(ticket)
        return served

    def due_in(self, now: float) -> float:
        """Seconds until somebody can be served."""
        self._fill(now)
        return 0.0 if self._rate is None else max(0.0, -self._level / self._rate)

    def _fill(self, now: float) -> None:
        if self._rate is not None and now > self._filled_at:
            more = (now - self._filled_at) * self._rate
            self._level = min(self._level + more, max(self._level, self._rate * _SAVED))
        self._filled_at = max(now, self._filled_at)
