"""Bounds how fast bytes move: for a whole client, and for each of its transfers.

Rules: bytes are counted where they enter and leave the socket, a turn of 64 to 256 KiB at a time,
and only once: what a cut wastes makes nothing slower. A new limit holds at once, for those who wait
too. A wait is cut into slices, so that `check` is heard. Transfers take turns, whatever the number
of their connections.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from towpath.core.bucket import Bucket, Flow, Ticket, grain
from towpath.core.timetable import Timetable
from towpath.errors import SettingsError

Limit = (
    int | str | Timetable | None
)  # bytes a second, `20M`, `08:00,512k 19:00,off`; None: no limit
_SLICE = 0.2  # seconds that a wait may last without a look at `check`
_LOOK = 0.5  # seconds between two looks at the timetable
_FREE = 1024 * 1024  # bytes of one turn where there is no limit
_NONE = Timetable.always(None)


class Clock(Protocol):
    """Time for threads that wait, so that tests can hold it."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    def local(self) -> datetime:
        """What the clock on the wall says."""
        ...

    def wait(self, called: threading.Condition, seconds: float) -> None:
        """Wait until notified, but no longer."""
        ...


class SystemClock:
    """The time of this machine, in its own zone."""

    def monotonic(self) -> float:
        return time.monotonic()

    def local(self) -> datetime:
        return datetime.now(UTC).astimezone()

    def wait(self, called: threading.Condition, seconds: float) -> None:
        called.wait(seconds)


def timetable(limit: Limit) -> Timetable:
    """What a limit says, as a timetable. Raises SettingsError."""
    try:
        if limit is None or isinstance(limit, int):
            return Timetable.always(limit)
        return Timetable.parse(limit) if isinstance(limit, str) else limit
    except ValueError as error:
        raise SettingsError(f"The limit {limit!r} cannot be used.", why=f"{error}.") from error


class Throttle:
    """One limit that any number of threads keep together."""

    def __init__(self, limit: Limit = None, *, clock: Clock | None = None) -> None:
        """Raises SettingsError for a limit that cannot be read."""
        self.clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._bucket = Bucket(None, self.clock.monotonic())
        self._waiting: dict[Ticket, threading.Condition] = {}
        self._look_at: float | None = None  # None: the timetable has one rate only
        self.is_free = True  # no limit, now or later: nobody need ask
        self.set_limit(limit)

    @property
    def rate(self) -> int | None:
        """Bytes a second as of now; None without a limit."""
        with self._lock:
            self._follow(self.clock.monotonic())
            return self._bucket.rate

    def set_limit(self, limit: Limit) -> None:
        """Another limit from now on, for those who wait too. Raises SettingsError."""
        found = timetable(limit)
        with self._lock:
            self._timetable = found
            self.is_free = found == _NONE
            now = self.clock.monotonic()
            self._look_at = now
            self._follow(now)
            if found.is_constant:
                self._look_at = None

    def take(self, flow: Flow, wanted: int, check: Callable[[], None]) -> int:
        """Wait until bytes may move; return how many, at least 1 and at most `wanted`.

        What `check` raises ends the wait.
        """
        with self._lock:
            self._follow(self.clock.monotonic())
            if self._bucket.rate is None and self._bucket.first is None:
                return wanted
            ticket = self._bucket.ask(flow, wanted)
            try:
                self._wait(ticket, check)
            except BaseException:
                self._bucket.withdraw(ticket)
                self._call_first()
                raise
            return ticket.granted

    def give_back(self, flow: Flow, count: int) -> None:
        """Of what was taken, so many bytes have not moved."""
        with self._lock:
            self._bucket.give_back(flow, count)
            self._call_first()

    def _wait(self, ticket: Ticket, check: Callable[[], None]) -> None:
        """Wait for a turn; whoever is first keeps the time for all."""
        called = threading.Condition(self._lock)
        self._waiting[ticket] = called
        try:
            while True:
                now = self.clock.monotonic()
                self._follow(now)
                self._serve(now)
                if ticket.granted:
                    return
                check()
                due = self._bucket.due_in(now) if self._bucket.first is ticket else _SLICE
                self.clock.wait(called, min(due, _SLICE))
        finally:
            del self._waiting[ticket]

    def _serve(self, now: float) -> None:
        """Hand out what there is, and call those who are concerned."""
        served = self._bucket.grant(now)
        for ticket in served:
            self._waiting[ticket].notify()
        if served:
            self._call_first()

    def _call_first(self) -> None:
        first = self._bucket.first
        if first is not None:
            self._waiting[first].notify()

    def _follow(self, now: float) -> None:
        """Keep to the timetable."""
        if self._look_at is None or now < self._look_at:
            return
        self._look_at = now + _LOOK
        rate = self._timetable.at(self.clock.local())
        if rate != self._bucket.rate:
            self._bucket.set_rate(rate, now)
            self._call_first()


class Pace:
    """How fast one transfer may go: its own limit, and its turns in that of the client."""

    def __init__(self, shared: Throttle) -> None:
        self._shared, self._turns = shared, Flow()
        self._own, self._alone = Throttle(clock=shared.clock), Flow()

    def set_limit(self, limit: Limit) -> None:
        """Another limit for this transfer from now on; None leaves only that of the client."""
        self._own.set_limit(limit)

    @property
    def grain(self) -> int:
        """Bytes that move at once."""
        rates = [rate for rate in (self._own.rate, self._shared.rate) if rate is not None]
        return grain(min(rates)) if rates else _FREE

    def take(self, wanted: int, check: Callable[[], None]) -> int:
        """Wait until bytes may move; return how many, at least 1 and at most `wanted`."""
        if self._own.is_free and self._shared.is_free:
            return min(wanted, _FREE)
        wanted = min(wanted, self.grain)
        allowed = self._own.take(self._alone, wanted, check)
        granted = 0
        try:
            while granted < allowed:
                granted += self._shared.take(self._turns, allowed - granted, check)
        except BaseException:
            self.give_back(granted)
            self._own.give_back(self._alone, allowed - granted)
            raise
        return allowed

    def give_back(self, count: int) -> None:
        """Of what was taken, so many bytes have not moved."""
        if count and not (self._own.is_free and self._shared.is_free):
            self._own.give_back(self._alone, count)
            self._shared.give_back(self._turns, count)


FREE = Pace(Throttle())  # of those whom nobody bounds
