"""Who listens to what happens to uploads: from any thread to every listener, conflated.

Rules:
- `tell` waits for nobody and keeps the newest of each upload until the next beat; while nobody
  listens it keeps nothing.
- Every beat, somewhat more than twice a second, what is new goes to those who listen to it and may
  hear it; uploads whose chunks move are looked at, too, so that a long chunk is heard of while it
  comes.
- In a crowd, who is patient hears of progress with every second beat, half of them with each.
- Who listens to a topic hears only of uploads that its caller owns, judged for every piece of news.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from towpath.core.caller import Caller, Scope
from towpath.core.model import Upload
from towpath.core.news import FINAL, TELL_ABOVE, News, Pressure, weighs
from towpath.core.ports import Clock
from towpath.core.ranges import Extent
from towpath.core.rate import Rate
from towpath.engine.listener import Listener, Topic
from towpath.errors import LimitReached

BEAT = 0.45
"""Seconds between two beats: more than two a second, never more than three."""

ALIVE = 15.0
"""Seconds between two signs that the line is alive."""

PRESSED = 10.0
"""Seconds between two warnings."""

CROWD = 100
"""Listeners to one upload; with more of them, patience counts."""

_AT_ONCE = 64  # listeners that are woken in one turn of the loop
_MEASURED = 10_000  # uploads whose rate is kept

Moving = Callable[[], Iterable[tuple[Upload, Extent, int]]]


def of_owner(caller: Caller) -> Topic:
    """All uploads that the caller owns; with ADMIN, all of its tenant."""
    if Scope.ADMIN in caller.scopes:
        return "tenant", caller.tenant
    return "owner", caller.tenant, caller.subject


def of_upload(key: str) -> Topic:
    """One upload."""
    return "upload", key


def of_label(caller: Caller, label: str) -> Topic:
    """Uploads of the caller's tenant that carry a label."""
    return "label", caller.tenant, label


class _Track:
    """How fast one upload moves."""

    def __init__(self, received: int, at: float) -> None:
        self.rate = Rate()
        self.received = received
        self.at = at

    def follow(self, received: int, at: float) -> float:
        self.rate.add(max(received - self.received, 0), at - self.at)
        self.received, self.at = received, at
        return self.rate.per_second


class Hub:
    """An EventSink with listeners. All but `tell` runs on the event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        label: Callable[[Upload], str | None] = lambda _: None,
        most: int = 2048,
    ) -> None:
        """`label`: the word by which an upload's dialect groups it; `most`: listeners at once."""
        self._clock = clock
        self._label = label
        self._most = most
        self._listeners: set[Listener] = set()
        self._topics: dict[Topic, set[Listener]] = {}
        self._fresh: dict[str, tuple[str, Upload, Extent | None]] = {}
        self._guard = threading.Lock()
        self._tracks: dict[str, _Track] = {}
        self._told: dict[str, int] = {}  # what was said of uploads whose chunks move
        self._patient: dict[Listener, int] = {}  # with which beats they hear: even or odd ones
        self._owed: list[Listener] = []  # what waits for them goes out with the next beat
        self._turn = 0
        self._somebody = asyncio.Event()
        self._alive = 0.0
        self._pressed = -PRESSED
        self._closed = False

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """Something happened. Any thread; see `EventSink`."""
        if not self._listeners:
            return
        with self._guard:
            known = self._fresh.get(upload.id)
            if known is None or known[0] not in FINAL:
                self._fresh[upload.id] = kind, upload, extent

    def open(
        self,
        caller: Caller,
        weigh: Callable[[News], int] = lambda _: 1,
        *,
        patient: bool = False,
    ) -> Listener:
        """A listener that hears of nothing yet; forget it at its end. Raises LimitReached.

        `weigh`: how many messages its outlet makes of news. `patient`: once a second is enough.
        """
        if self._closed or len(self._listeners) >= self._most:
            raise LimitReached(
                "Nobody else can listen now.",
                why="The server is stopping." if self._closed else f"{self._most} listen already.",
                todo="Try again later, or ask for the state from time to time.",
                retry_after=30,
            )
        listener = Listener(caller, self._clock, self._enter, self._leave, weigh)
        self._listeners.add(listener)
        if patient:
            self._patient[listener] = len(self._patient) % 2
        self._somebody.set()
        return listener

    def forget(self, listener: Listener) -> None:
        """Close a listener and let go of it."""
        listener.close()
        self._listeners.discard(listener)
        self._patient.pop(listener, None)
        if not self._listeners:
            self._somebody.clear()
            self._tracks.clear()
            self._told.clear()
            self._owed.clear()
            with self._guard:
                self._fresh.clear()

    def close(self) -> None:
        """End all listeners; nobody else can come."""
        self._closed = True
        for listener in list(self._listeners):
            listener.close()

    def stands(self, upload: Upload, extent: Extent) -> News:
        """How an upload stands, for who begins to listen to it."""
        return self._news("state", upload, extent, extent.total)

    async def run(self, moving: Moving, memory: Callable[[], tuple[int, int]]) -> None:
        """Beat while somebody listens. `memory`: bytes used, and how many may be."""
        while True:
            await self._somebody.wait()
            began = self._clock.monotonic()
            await self.beat(moving(), memory())
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(BEAT - took, BEAT / 4))

    async def beat(
        self, moving: Iterable[tuple[Upload, Extent, int]], memory: tuple[int, int]
    ) -> None:
        """Hand out what is new, once."""
        with self._guard:
            fresh, self._fresh = self._fresh, {}
        told, self._told = self._told, {}
        received: dict[str, int] = {}
        for each, now, count in moving:
            received[each.id] = self._told[each.id] = count
            if told.get(each.id) != count:
                fresh.setdefault(each.id, ("progress", each, now))
        turns = 0
        self._turn = 1 - self._turn
        owed, self._owed = self._owed, []
        for key, (kind, upload, extent) in fresh.items():
            heard = self._who_hears(upload)
            if not heard:
                continue
            durable = Extent(upload.offset, upload.crc) if extent is None else extent
            news = self._news(kind, upload, durable, max(received.get(key, 0), durable.total))
            crowded = kind == "progress" and len(heard) > CROWD
            for listener in heard:
                later = crowded and self._patient.get(listener, self._turn) != self._turn
                listener.offer(news, wake=not later)
                if later:
                    self._owed.append(listener)
                turns += 1
                if turns % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        for listener in owed:
            listener.wake()
        self._say_alive()
        self._warn(*memory)

    # --- inside ------------------------------------------------------------------------------

    def _enter(self, topic: Topic, listener: Listener) -> None:
        self._topics.setdefault(topic, set()).add(listener)

    def _leave(self, topic: Topic, listener: Listener) -> None:
        there = self._topics.get(topic, set())
        there.discard(listener)
        if not there:
            self._topics.pop(topic, None)

    def _who_hears(self, upload: Upload) -> list[Listener]:
        topics: list[Topic] = [
            ("tenant", upload.tenant),
            ("owner", upload.tenant, upload.owner),
            ("upload", upload.id),
        ]
        if (label := self._label(upload)) is not None:
            topics.append(("label", upload.tenant, label))
        found: set[Listener] = set()
        for topic in topics:
            found |= self._topics.get(topic, set())
        return [each for each in found if each.caller.owns(upload.tenant, upload.owner)]

    def _news(self, kind: str, upload: Upload, extent: Extent, received: int) -> News:
        now = self._clock.monotonic()
        track = self._tracks.get(upload.id)
        if track is None:
            track = self._tracks[upload.id] = _Track(received, now)
            if len(self._tracks) > _MEASURED:
                del self._tracks[next(iter(self._tracks))]
        rate = track.follow(received, now) if kind == "progress" else track.rate.per_second
        if kind in FINAL:
            del self._tracks[upload.id]
        return News(kind=kind, upload=upload, extent=extent, received=received, rate=rate)

    def _say_alive(self) -> None:
        now = self._clock.monotonic()
        if now - self._alive >= ALIVE:
            self._alive = now
            for listener in self._listeners:
                listener.beat()

    def _warn(self, used: int, limit: int) -> None:
        now = self._clock.monotonic()
        if weighs(used, limit, TELL_ABOVE) and now - self._pressed >= PRESSED:
            self._pressed = now
            for listener in self._listeners:
                listener.warn(Pressure(used, limit))
