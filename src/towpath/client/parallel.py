"""Many connections for one transfer: who carries which range, and what becomes of one that fails.

Rules: ranges are given out in order, the next one to whoever is free; a range that failed comes
first again, and is doubtful: nobody knows how much of it got through. Failures of one moment count
as one; while nothing gets through, one connection tries for all. A connection beyond the first
needs a line of the client, chunk by chunk. `run` keeps what is safe and tells how far it is, in the
thread that called it; the carriers do nothing else than carry.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable

from towpath.client.control import Control
from towpath.client.progress import Meter, TransferState
from towpath.client.retry import Patience, asks_to_wait, may_pass
from towpath.client.tuning import Tuner
from towpath.core.ranges import Extent, Span
from towpath.errors import TowpathError

_LOOK = 0.1  # seconds between two looks at wishes, benches and counts
_ENDLESS = 1 << 62
_BUSY = 1.0  # seconds to leave a busy server alone that did not say how long


class Attempt:
    """A range on its way by one connection; `work` fills in what became of it."""

    def __init__(
        self, start: int, end: int, until: int, began: float, *, beside: int, doubtful: bool
    ) -> None:
        self.start = start
        self.end = end
        self.until = until  # what follows up to here is nobody else's while this goes on
        self.began = began  # by time.monotonic
        self.beside = beside  # others that were under way then
        self.doubtful = doubtful  # it was tried before: some of it may be at the other side
        self.moved = 0  # bytes that went over the wire
        self.found = 0  # bytes of a doubtful one that had got through, `safe` now
        self.safe: list[Span] = []  # what this attempt made safe, with its CRC


class TooWide(Exception):
    """Something between us and the server takes no chunk so large. `refusal`: what it said."""

    def __init__(self, refusal: TowpathError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Halted(Exception):
    """Raised in a carrier when the transfer has ended otherwise. Never leaves the crew."""


class Crew:
    """Carries ranges by `work`, which is called in several threads at once.

    `extent`: what is safe already, with its CRC. `unkept`: bytes that may be safe before they are
    kept, where whoever dies loses what is not kept, which is kept of ranges under way, too; None:
    no matter how many, and ranges are kept when they end. `cut`: where a range
    ends, of a start and about how many bytes; None: anywhere. `in_order`: each of the `missing`
    ranges is carried from its first byte to its last, by one connection at a time.
    """

    def __init__(  # noqa: PLR0913 - all but two are given by name
        self,
        work: Callable[[Attempt], None],
        missing: Iterable[tuple[int, int]],
        *,
        extent: Extent,
        tuner: Tuner,
        most: int,
        patience: Patience,
        control: Control,
        unkept: int | None = None,
        cut: Callable[[int, int], int] | None = None,
        in_order: bool = False,
    ) -> None:
        self._work = work
        self._pile = [(start, end, False) for start, end in missing]
        heapq.heapify(self._pile)
        self._left = sum(end - start for start, end, _ in self._pile)
        self._tuner = tuner
        self._most = most
        self._patience = patience
        self._control = control
        self._unkept = unkept
        self._cut = cut
        self._in_order = in_order
        self._short = False  # a line is wanted that is not to be had
        self._short_at = float("-inf")  # when that was so last
        self._kept = extent.total
        self._keeping = False  # for good, if that failed
        self._changed = threading.Condition()
        self._carriers: list[threading.Thread] = []
        self._working: set[Attempt] = set()
        self._benched: list[float] = []  # connections that failed, by when they may try again
        self._failure: BaseException | None = None
        self._counted = self._due = float("-inf")  # the last failure that counted, its wait's end
        self._row = 0  # failures that counted since something got through
        self._waiting = False
        self._moved = self._told = self._retries = 0
        self.extent = extent

    def run(self, meter: Meter, keep: Callable[[Extent], None]) -> None:
        """Carry all. `keep` makes last what is safe. Raises Stopped, TowpathError."""
        try:
            self._staff()
            while self._goes_on():
                self._control.check()
                self._staff()
                self._report(meter)
                self._keep(keep)
        except BaseException as error:  # noqa: BLE001 - raised below, when all have stopped
            self._halt(error)
        for carrier in self._carriers:
            carrier.join()
        self._report(meter)
        if not self._keeping:  # a disk that failed says so once, and of bytes that it lost
            self._keep(keep)
        if self._failure is not None:
            raise self._failure

    def _staff(self) -> None:
        """As many carriers as connections were ever wanted: more would only be in the way."""
        while len(self._carriers) < min(self._most, self._tuner.connections):
            carrier = threading.Thread(target=self._live, name="towpath-carrier", daemon=True)
            self._carriers.append(carrier)
            carrier.start()

    def check(self) -> None:
        """For `work` to call while it waits: raises when it shall stop."""
        self._control.check()
        if self._failure is not None:
            raise Halted

    def keep_up(self) -> None:
        """For `work` to call when more is safe: waits while too much is not kept, as `check`."""
        self.check()
        with self._changed:
            if self._is_behind(by=0.5):  # half of it comes while the other one is kept
                self._changed.notify_all()
            while self._is_behind():
                self._changed.wait(_LOOK)
                self.check()

    def _goes_on(self) -> bool:
        """Wait a moment; False at the end."""
        with self._changed:
            if self._working or (self._pile and self._failure is None):
                self._changed.wait(_LOOK)
            return bool(self._working or (self._pile and self._failure is None))

    def _halt(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _safe(self) -> Extent:
        """What is safe; where nothing else keeps it, of ranges that are under way, too."""
        extent = self.extent
        for span in self._on_the_way():
            extent = extent.add(span)
        return extent

    def _on_the_way(self) -> list[Span]:
        """What is safe of ranges that are under way, where we are the ones who keep it."""
        if self._unkept is None:
            return []
        return [span for each in self._working for span in list(each.safe)]

    def _is_behind(self, by: float = 1.0) -> bool:
        """Whether more is safe and not kept than may be, or than that share of it."""
        if self._unkept is None:
            return False
        under_way = sum(span.end - span.start for span in self._on_the_way())
        return self.extent.total + under_way - self._kept > by * self._unkept

    def _keep(self, keep: Callable[[Extent], None]) -> None:
        with self._changed:
            extent = self._safe()
        if extent.total != self._kept:
            self._keeping = True
            keep(extent)
            self._keeping = False
            with self._changed:
                self._kept = extent.total
                self._changed.notify_all()

    def _report(self, meter: Meter) -> None:
        with self._changed:
            moved = self._moved + sum(each.moved for each in self._working)
            still = (each.end - each.start - each.found - each.moved for each in self._working)
            left = self._left + sum(max(0, count) for count in still)
            stalled = bool(self._pile and self._benched and not self._working)
            retries, self._retries = self._retries, 0
        new, self._told = moved - self._told, moved
        meter.retries += retries
        meter.at((meter.total or 0) - left - new)
        meter.moved(new)
        if stalled != self._waiting:
            self._waiting = stalled
            meter.state(TransferState.WAITING if stalled else TransferState.RUNNING)

    # -- in the carriers' threads

    def _live(self) -> None:
        try:
            while (attempt := self._take()) is not None:
                failure: BaseException | None = None
                try:
                    self._work(attempt)
                except BaseException as error:  # noqa: BLE001 - raised again by `run`
                    failure = error
                self._settle(attempt, failure)
        except BaseException as error:  # noqa: BLE001 - a fault of ours: nobody may wait for us
            self._halt(error)

    def _take(self) -> Attempt | None:
        """The next range, when there is room for one more connection; None at the end."""
        with self._changed:
            while self._failure is None and (self._pile or self._working):
                now = time.monotonic()
                wanted = bool(self._pile) and self._has_room(now)
                if wanted and self._has_line(now):
                    return self._begin(now)
                if not wanted:
                    self._control.lines.enough()
                    self._short = False
                self._changed.wait(_LOOK if wanted or self._benched else None)
            self._control.lines.enough()
        return None

    def _has_room(self, now: float) -> bool:
        self._benched = [due for due in self._benched if due > now]
        most = 1 if self._row > 1 else self._tuner.connections
        if self._is_behind():
            return False
        return len(self._working) + len(self._benched) < most

    def _has_line(self, now: float) -> bool:
        """The first connection goes by the transfer's own line, each other one by one more."""
        if not self._working:
            return True
        before, self._short = self._short, not self._control.lines.more()
        if before or self._short:
            self._short_at = now
        return not self._short

    def _tells(self, attempt: Attempt) -> bool:
        """Whether as many connections were under way as the tuner asked for."""
        return not self._short and attempt.began > self._short_at

    def _begin(self, now: float) -> Attempt:
        start, end, doubtful = heapq.heappop(self._pile)
        chunk = self._tuner.chunk(_ENDLESS if doubtful else self._left)
        stop = min(end, start + chunk if self._cut is None else self._cut(start, chunk))
        if stop < end and not self._in_order:
            heapq.heappush(self._pile, (stop, end, doubtful))
            end = stop
        self._left -= stop - start
        beside = len(self._working)
        attempt = Attempt(start, stop, end, now, beside=beside, doubtful=doubtful)
        self._working.add(attempt)
        return attempt

    def _settle(self, attempt: Attempt, failure: BaseException | None) -> None:
        with self._changed:
            now = time.monotonic()
            self._working.discard(attempt)
            if self._working:
                self._control.lines.less()
            self._moved += attempt.moved
            for span in attempt.safe:
                if not self.extent.overlaps(span.start, span.end):
                    self.extent = self.extent.add(span)
            if failure is None:
                size, tells = attempt.end - attempt.start, self._tells(attempt)
                self._tuner.done(size, attempt.began, now, tells=tells)
                if attempt.end < attempt.until:
                    heapq.heappush(self._pile, (attempt.end, attempt.until, False))
            if failure is None or attempt.safe:
                self._patience.progress()
                self._row = 0
            if failure is not None:
                self._put_back(attempt)
                if self._failure is None:
                    self._failed(attempt, failure, now)
            self._changed.notify_all()

    def _put_back(self, attempt: Attempt) -> None:
        position = attempt.start
        if self._in_order:
            position = max((span.end for span in attempt.safe), default=position)
            if position < attempt.until:
                heapq.heappush(self._pile, (position, attempt.until, True))
            self._left += attempt.end - position
            return
        for span in [*sorted(attempt.safe), Span(attempt.end, attempt.end, 0)]:
            if span.start > position:
                heapq.heappush(self._pile, (position, span.start, True))
                self._left += span.start - position
            position = span.end

    def _failed(self, attempt: Attempt, failure: BaseException, now: float) -> None:
        """Wait and try again, or end it all."""
        if isinstance(failure, TooWide):
            if not self._tuner.narrow(attempt.end - attempt.start):
                self._failure = failure.refusal
            return
        if not isinstance(failure, TowpathError):
            self._failure = failure
            return
        busy = asks_to_wait(failure)
        try:
            wait = self._wait_after(attempt, failure, now)
        except TowpathError as error:
            self._failure = error
            return
        if busy:
            self._tuner.busy(attempt.beside, now)
        else:
            safe = sum(span.end - span.start for span in attempt.safe)
            tells = self._tells(attempt)
            self._tuner.done(safe, attempt.began, now + wait, tells=tells)
        self._benched.append(now + wait)
        self._retries += 1

    def _wait_after(self, attempt: Attempt, failure: TowpathError, now: float) -> float:
        """Seconds; raises the failure when there is no use in waiting, or not any more."""
        asked = failure.retry_after or 0.0
        if not may_pass(failure):
            raise failure
        if asks_to_wait(failure) and self._working:
            return max(asked, _BUSY)  # others are served: this one is one too many
        if attempt.began > self._counted:
            self._row += 1
            self._counted = now
            self._due = now + self._patience.after(failure)
        return max(self._due - now, asked)
