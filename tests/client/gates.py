"""What tests ask in place of a clock: whether many were there at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from towpath.testing.wire import Wire


class Gate:
    """Lets nobody through until so many are there at once, and then everybody."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._here = self.most = 0

    def __call__(self) -> None:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
            if self._here >= self._count:
                self._open.set()
        assert self._open.wait(10)
        with self._lock:
            self._here -= 1


def most_live(wire: Wire) -> Callable[[], int]:
    """Watch a wire from now on; what is returned says how many connections lived at once."""
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, len(wire.live))
        return False

    wire.when(watch)
    return lambda: most
