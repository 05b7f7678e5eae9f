"""Links in virtual time: what a transfer over one takes, by whatever settings, within a moment.

Rules: bytes are a fluid, every connection gets the same share; a connection carries at most one
window a round trip; what came before a loss is kept, as the server keeps it; nothing is random but
losses and waits, and those follow the seed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from towpath.client.tuning import LARGEST, NEAR, SWIFT, Tuner

KIB, MIB = 1024, 1024 * 1024
BACKOFF, RETRY_AFTER = 0.5, 1.0  # seconds: after a loss up to so many, after a refusal exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Times in seconds, bytes in bytes. `limit`: requests that the server serves at once."""

    round_trip: float
    window: int  # bytes that a connection may have under way
    shared: float  # bytes a second, for all connections
    loss: float = 0.0  # the odds of each MiB to end its connection
    limit: int | None = None
    answer: float = 0.005  # between the last byte and the answer
    crowd: float = 0.0  # the share of `shared` that each further connection costs
    seconds: float = 60.0  # what the transfer takes about, at best

    @property
    def length(self) -> int:
        """Bytes of the transfer."""
        alone = self.window / self.round_trip
        return int(self.seconds * min(self.shared, alone * min(8, self.limit or 8)))

    def rate(self, flows: int) -> float:
        """Bytes a second of each of so many connections."""
        shared = self.shared * max(0.1, 1 - self.crowd * (flows - 1))
        return min(self.window / self.round_trip, shared / flows)


class Settings(Protocol):
    """What is asked how to go on: a controller, or something that never changes."""

    @property
    def connections(self) -> int:
        """How many should be under way."""

    def answered(self, seconds: float) -> None:
        """The request that began the upload took so long."""

    def chunk(self, left: int) -> int:
        """Bytes of the next chunk, of `left` that are not given out."""

    def done(self, size: int, began: float, ended: float) -> None:
        """An attempt made so many bytes safe."""

    def busy(self, others: int, now: float) -> None:
        """The server refused one that began beside so many others."""


class Fixed:
    """So many connections and chunks of one size, whatever happens."""

    def __init__(self, connections: int, size: int) -> None:
        self._connections = connections
        self._size = size

    @property
    def connections(self) -> int:
        return self._connections

    def answered(self, seconds: float) -> None:
        pass

    def chunk(self, left: int) -> int:
        return min(left, self._size)

    def done(self, size: int, began: float, ended: float) -> None:
        pass

    def busy(self, others: int, now: float) -> None:
        pass


@dataclass(eq=False, slots=True)
class Attempt:
    """A chunk on its way. `credit`: all of it; `rest`: what is still to come."""

    credit: int
    rest: float
    began: float = 0.0
    lives: float = math.inf  # bytes until its connection breaks
    beside: int = 0  # others that were under way when it began


class Ride:
    """One transfer over one link."""

    def __init__(self, link: Link, settings: Settings, seed: int) -> None:
        self.link = link
        self.settings = settings
        self.dice = Random(seed)
        self.now = 0.0
        self.left = link.length  # not given out yet
        self.again: list[Attempt] = []  # cut chunks, to be gone on with
        self.spare: list[float] = []  # open idle connections, by the bytes until they break
        self.flows: list[Attempt] = []
        self.working = self.benched = 0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = 0

    def seconds(self, enough: float = math.inf) -> float:
        """What it takes until all is safe; something beyond `enough` if it takes longer."""
        self._create()
        while self.now <= enough:
            self._begin_what_may()
            if not self.working and not self.left and not self.again:
                return self.now
            rate = self.link.rate(len(self.flows)) if self.flows else 0.0
            nearest = min((min(each.rest, each.lives) for each in self.flows), default=math.inf)
            due = self.events[0][0] if self.events else math.inf
            step = min(due - self.now, nearest / rate if rate else math.inf)
            self.now += step
            for each in self.flows:
                each.rest -= rate * step
                each.lives -= rate * step
            for each in [each for each in self.flows if min(each.rest, each.lives) < 1e-3]:
                self.flows.remove(each)
                self._carried(each) if each.rest < 1e-3 else self._lost(each)
            while self.events and self.events[0][0] <= self.now:
                heapq.heappop(self.events)[2]()
        return self.now

    def _create(self) -> None:
        """Connect and say what is to come; who knows how long that took knows whether it is far."""
        asked = self.link.round_trip + self.link.answer
        self.now = self.link.round_trip + asked
        self.spare.append(self._life())
        self.settings.answered(asked)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (self.now + seconds, self.number, act))

    def _begin_what_may(self) -> None:
        while self.working < self.settings.connections - self.benched and (self.left or self.again):
            wait = self.link.round_trip / 2
            if self.again:
                attempt = self.again.pop()
                wait += self.link.round_trip  # what is missing is asked first
            else:
                size = self.settings.chunk(self.left)
                self.left -= size
                attempt = Attempt(size, size)
            if self.spare:
                attempt.lives = self.spare.pop()
            else:
                attempt.lives = self._life()
                wait += self.link.round_trip
            attempt.began, attempt.beside = self.now, self.working
            self.working += 1
            if self.link.limit is not None and self.working > self.link.limit:
                self._after(wait + self.link.round_trip / 2, partial(self._refused, attempt))
            else:
                self._after(wait, partial(self.flows.append, attempt))

    def _life(self) -> float:
        if not self.link.loss:
            return math.inf
        return MIB * math.log(1 - self.dice.random()) / math.log(1 - self.link.loss)

    def _carried(self, attempt: Attempt) -> None:
        def safe() -> None:
            self.working -= 1
            self.spare.append(attempt.lives)
            self.settings.done(attempt.credit, attempt.began, self.now)

        self._after(self.link.round_trip / 2 + self.link.answer, safe)

    def _lost(self, attempt: Attempt) -> None:
        wait = self.dice.uniform(0, BACKOFF)
        self.settings.done(0, attempt.began, self.now + wait)
        self._stop(attempt, wait)

    def _refused(self, attempt: Attempt) -> None:
        self.spare.append(attempt.lives)
        self.settings.busy(attempt.beside, self.now)
        self._stop(attempt, RETRY_AFTER)

    def _stop(self, attempt: Attempt, wait: float) -> None:
        self.working -= 1
        self.benched += 1
        self.again.append(attempt)

        def ready() -> None:
            self.benched -= 1

        self._after(wait, ready)


LINKS = {
    "loopback": Link(round_trip=0.0002, window=4 * MIB, shared=1.2e9, seconds=20),
    "a gigabit at home": Link(round_trip=0.0005, window=4 * MIB, shared=118e6),
    "an office": Link(round_trip=0.002, window=MIB, shared=12e6),
    "cable": Link(round_trip=0.02, window=512 * KIB, shared=5e6),
    "DSL": Link(round_trip=0.04, window=256 * KIB, shared=125e3, seconds=300),
    "a mobile phone": Link(round_trip=0.06, window=512 * KIB, shared=2e6, loss=0.02),
    "a satellite": Link(round_trip=0.6, window=MIB, shared=6e6),
    "over an ocean": Link(round_trip=0.1, window=MIB, shared=125e6),
    "far and breaking": Link(round_trip=0.25, window=4 * MIB, shared=1e9, loss=0.01),
    "far and breaking often": Link(round_trip=0.25, window=4 * MIB, shared=1e9, loss=0.05),
    "far with small windows": Link(round_trip=0.3, window=256 * KIB, shared=50e6),
    "two at once": Link(round_trip=0.05, window=MIB, shared=1e9, limit=2),
    "three at once": Link(round_trip=0.25, window=4 * MIB, shared=1e9, limit=3),
    "five at once": Link(round_trip=0.1, window=2 * MIB, shared=1e9, limit=5),
    "a slow disk": Link(round_trip=0.01, window=4 * MIB, shared=100e6, answer=0.3),
    "a bad switch": Link(round_trip=0.001, window=4 * MIB, shared=118e6, loss=0.02),
    "so much for each": Link(round_trip=0.04, window=40 * KIB, shared=1e9),
    "so much for each and all": Link(round_trip=0.04, window=128 * KIB, shared=10e6),
    "a crowded one": Link(round_trip=0.03, window=2 * MIB, shared=30e6, crowd=0.08),
    "a train": Link(round_trip=0.08, window=256 * KIB, shared=1e6, loss=0.2),
}


def by_itself() -> Tuner:
    """The controller as an upload has it to which nobody said anything."""
    return Tuner(swift=SWIFT, near=NEAR)


class Steady(Tuner):
    """A controller that always wants so many connections, as far as the server lets it."""

    def __init__(
        self,
        connections: int,
        *,
        largest: int = LARGEST,
        swift: int = 0,
    ) -> None:
        super().__init__(connections, largest=largest, swift=swift)
        self.connections = connections
        self._climbing = False

    def _judge(self, now: float) -> None:
        """Nothing that is learned changes it."""
