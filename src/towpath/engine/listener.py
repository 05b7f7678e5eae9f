"""One listener: what it is still to hear, and how much of it at once.

Rules:
- A slot for each upload holds one piece of news; a newer one takes its place, but what is final
  stays. So a listener that stands still costs a slot for each upload and no more.
- At most four messages about an upload in any second; what is due too early waits in its slot.
- Slots are bounded: progress without a slot is dropped, and a final piece of news without one ends
  the listener, which then has to look how things stand when it comes back.

All methods run on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from towpath.core.caller import Caller
from towpath.core.news import News, Pressure
from towpath.core.ports import Clock

A_SECOND = 4
"""Messages about one upload that a listener gets in any second, at most."""

SLOTS = 1024
"""Uploads that one listener hears of at once."""

Topic = tuple[str, ...]
Item = News | Pressure | None
"""News, or a warning, or nothing: that the line is alive."""


class Listener:
    """Gives out what its caller may hear, in turn. Iterate over it; the end is the end."""

    def __init__(
        self,
        caller: Caller,
        clock: Clock,
        enter: Callable[[Topic, Listener], None],
        leave: Callable[[Topic, Listener], None],
        weigh: Callable[[News], int],
    ) -> None:
        """`weigh`: for how many messages there must be room before news go out."""
        self.caller = caller
        self.topics: set[Topic] = set()
        self._clock = clock
        self._enter = enter
        self._leave = leave
        self._weigh = weigh
        self._slots: dict[str, News] = {}
        self._sent: dict[str, deque[float]] = {}  # when the last few messages went out
        self._pressure: Pressure | None = None
        self._beats = False
        self._closed = False
        self._bell = asyncio.Event()

    @property
    def closed(self) -> bool:
        """True once it has ended."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many pieces of news wait."""
        return len(self._slots)

    def hear(self, topic: Topic) -> None:
        """Hear of what belongs to a topic, if it is the caller's."""
        self.topics.add(topic)
        self._enter(topic, self)

    def ignore(self, topic: Topic) -> None:
        """Hear no more of it, from the next news on."""
        self.topics.discard(topic)
        self._leave(topic, self)

    def close(self) -> None:
        """End it; what waits is not given out any more."""
        self._closed = True
        for topic in list(self.topics):
            self.ignore(topic)
        self._bell.set()

    # --- what the hub does -------------------------------------------------------------------

    def offer(self, news: News, *, wake: bool = True) -> None:
        """Put news into its slot; there it waits for `wake` if that is not to be now."""
        key = news.upload.id
        known = self._slots.get(key)
        if known is not None and (known.is_final or news.kind == "state"):
            return
        if known is None and not self._has_room(key):
            if news.is_final:
                self.close()
            return
        self._slots[key] = news
        self._times(key)
        if wake:
            self._bell.set()

    def wake(self) -> None:
        """Let it give out what waits."""
        self._bell.set()

    def warn(self, pressure: Pressure) -> None:
        """Put a warning into its slot."""
        self._pressure = pressure
        self._bell.set()

    def beat(self) -> None:
        """Let it say that the line is alive."""
        self._beats = True
        self._bell.set()

    def _has_room(self, key: str) -> bool:
        if key in self._sent or len(self._sent) < SLOTS:
            return True
        horizon = self._clock.monotonic() - 1.0
        for other, times in list(self._sent.items()):
            if other not in self._slots and (not times or times[-1] <= horizon):
                del self._sent[other]
        return len(self._sent) < SLOTS

    # --- what the outlet does ----------------------------------------------------------------

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Item:
        """What is to be said next. Say with `sent` how many messages it became."""
        while not self._closed:
            self._bell.clear()
            if self._pressure is not None:
                pressure, self._pressure = self._pressure, None
                return pressure
            news, wait = self._due() if self._slots else (None, None)
            if news is not None:
                return news
            if self._beats:
                self._beats = False
                return None
            if wait is None:
                await self._bell.wait()
            else:
                await self._wait(wait)
        raise StopAsyncIteration

    def room(self, key: str) -> int:
        """How many messages about the upload may go out now."""
        return A_SECOND - len(self._recent(key))

    def sent(self, key: str, count: int = 1) -> None:
        """So many messages about the upload went out."""
        self._times(key).extend([self._clock.monotonic()] * count)

    def _recent(self, key: str) -> Sequence[float]:
        sent = self._sent.get(key)
        if not sent:
            return ()
        horizon = self._clock.monotonic() - 1.0
        return [at for at in sent if at > horizon] if sent[-1] > horizon else ()

    def _times(self, key: str) -> deque[float]:
        times = self._sent.get(key)
        if times is None:
            times = self._sent[key] = deque(maxlen=A_SECOND)
        return times

    def _due(self) -> tuple[News | None, float | None]:
        """News that may go out now, else how many seconds until some may."""
        soonest: float | None = None
        for key, news in self._slots.items():
            recent = self._recent(key)
            too_many = len(recent) - (A_SECOND - self._weigh(news))
            if too_many <= 0:
                del self._slots[key]
                return news, None
            wait = recent[too_many - 1] + 1.0 - self._clock.monotonic()
            soonest = wait if soonest is None else min(soonest, wait)
        return None, soonest

    async def _wait(self, seconds: float) -> None:
        """Until there is something new, or the time is over."""
        bell = asyncio.ensure_future(self._bell.wait())
        timer = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.001)))
        try:
            await asyncio.wait({bell, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            bell.cancel()
            timer.cancel()
