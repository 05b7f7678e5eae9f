"""The connections of one client: so many at once for all of its transfers, given out fairly.

Rules: a transfer has one line for as long as it runs, and waits for it before it begins; what goes
by many connections takes further lines a chunk at a time, and never waits while it has none. A line
that is free goes to who has the fewest of those that want one; among equals, to who asked first. So
whoever comes last gets its share as chunks end, and a line that nobody else wants is not left idle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST = 24  # connections of one client, unless somebody says another number
_SLICE = 0.2  # seconds that a wait may last without a look at `check`


class Lines:
    """At most `most` lines at once, and at least one; None: as many as are asked for."""

    def __init__(self, most: int | None = None) -> None:
        self._most = None if most is None else max(1, most)
        self._changed = threading.Condition()
        self._taken = 0
        self._wanting: dict[Share, None] = {}  # in the order in which they asked

    def share(self) -> Share:
        """What one transfer has of them."""
        return Share(self)

    def take(self, share: Share) -> bool:
        """Give it one more line, if it is its turn; if not, it is known to want one."""
        with self._changed:
            return self._take(share)

    def wait(self, share: Share, check: Callable[[], None]) -> None:
        """Give it one more line when it is its turn; what `check` raises ends the wait."""
        with self._changed:
            try:
                while not self._take(share):
                    check()
                    self._changed.wait(_SLICE)
            except BaseException:
                self._forget(share)
                raise

    def give_back(self, share: Share, count: int) -> None:
        """Take `count` lines away from it."""
        with self._changed:
            share.held -= count
            self._taken -= count
            self._changed.notify_all()

    def forget(self, share: Share) -> None:
        """It wants no more than it has."""
        with self._changed:
            self._forget(share)

    def _take(self, share: Share) -> bool:
        self._wanting.setdefault(share)
        full = self._most is not None and self._taken >= self._most
        if full or min(self._wanting, key=lambda each: each.held) is not share:
            return False
        del self._wanting[share]
        share.held += 1
        self._taken += 1
        self._changed.notify_all()
        return True

    def _forget(self, share: Share) -> None:
        if share in self._wanting:
            del self._wanting[share]
            self._changed.notify_all()


class Share:
    """The lines of one transfer. `held`: how many it has now."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.held = 0

    @contextmanager
    def first(self, check: Callable[[], None]) -> Iterator[None]:
        """One line for the time of a `with`, and none when it ends; `check` may end the wait."""
        self._lines.wait(self, check)
        try:
            yield
        finally:
            self._lines.forget(self)
            self._lines.give_back(self, self.held)

    def more(self) -> bool:
        """One more line, if there is one for us. If not: ask again soon, or say `enough`."""
        return self._lines.take(self)

    def less(self) -> None:
        """One line fewer."""
        self._lines.give_back(self, 1)

    def enough(self) -> None:
        """No more lines are wanted: what is free is for others."""
        self._lines.forget(self)
