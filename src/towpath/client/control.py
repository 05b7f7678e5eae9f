"""What the owner of a transfer wants of the worker thread that carries it.

Rules: any thread may ask; the worker hears it at its next `check`, at most `SLICE` seconds later;
what was asked first stays until `renew`, except that a cancel overrides a pause.
"""

from __future__ import annotations

import threading
from enum import Enum

from towpath.client.lines import Lines, Share
from towpath.client.throttle import FREE, Pace

SLICE = 0.2  # seconds that a wait may last without a look at `check`


class Stop(Enum):
    """Why a worker is to stop."""

    PAUSE = "pause"  # it will go on later: state is kept
    CANCEL = "cancel"  # it will not


class Stopped(Exception):
    """Raised in the worker when its owner asked for it. Never leaves the package."""

    def __init__(self, why: Stop) -> None:
        super().__init__(why.value)
        self.why = why


class Control:
    """A wish, passed from any thread to one worker.

    `pace`: how fast it may go; `lines`: how many connections it may have, by default any number.
    """

    def __init__(self, pace: Pace = FREE, lines: Share | None = None) -> None:
        self.pace = pace
        self.lines = lines or Lines().share()
        self._asked = threading.Event()
        self._why: Stop | None = None

    def stop(self, why: Stop) -> None:
        """Ask the worker to stop."""
        if self._why is not Stop.CANCEL:
            self._why = why
        self._asked.set()

    def renew(self) -> None:
        """Forget a pause, so that a new worker may run."""
        if self._why is not Stop.CANCEL:
            self._why = None
            self._asked.clear()

    def check(self) -> None:
        """Raise Stopped if that was asked."""
        if self._why is not None:
            raise Stopped(self._why)

    def sleep(self, seconds: float) -> None:
        """Wait, but not when asked to stop: then raise Stopped at once."""
        self._asked.wait(seconds)
        self.check()
