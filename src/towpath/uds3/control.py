"""What the owner of an operation wants of the thread that carries it.

Rules: any thread may ask; a cancel overrides a pause; whoever carries looks before every block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum


class Wish(Enum):
    """Why to stop."""

    PAUSE = "pause"
    CANCEL = "cancel"


class Stopped(Exception):
    """Raised where bytes move, because the owner asked for it. Never leaves the package."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish.value)
        self.wish = wish


class Control:
    """A wish, passed from any thread to the one that carries."""

    def __init__(self) -> None:
        self.wish: Wish | None = None
        self._asked = threading.Event()
        self._guard = threading.Lock()
        self._hooks: list[Callable[[], None]] = []

    def ask(self, wish: Wish) -> None:
        """Ask to stop; returns when everybody who is to hear of it has."""
        with self._guard:
            if self.wish is not Wish.CANCEL:
                self.wish = wish
            hooks = list(self._hooks)
        self._asked.set()
        for hook in hooks:
            hook()

    def check(self) -> None:
        """Raise Stopped if that was asked."""
        if self.wish is not None:
            raise Stopped(self.wish)

    def sleep(self, seconds: float) -> None:
        """Wait, but not when asked to stop: then raise Stopped at once."""
        self._asked.wait(seconds)
        self.check()

    @contextmanager
    def telling(self, hook: Callable[[], None]) -> Iterator[None]:
        """Meanwhile a wish is told to `hook`, too; at once if there is one."""
        with self._guard:
            self._hooks.append(hook)
            asked = self.wish is not None
        if asked:
            hook()
        try:
            yield
        finally:
            with self._guard:
                self._hooks.remove(hook)
