"""Ctrl-C and SIGTERM: once means pause cleanly, twice means stop now.

Rules: only the main thread of a command uses this; what was there before is put back; what is held
is short and asks nobody, since the first signal waits for its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from towpath.cli.exits import INTERRUPTED, TERMINATED


class Halt(BaseException):
    """Somebody asked the command to stop. `code`: what to exit with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Ear:
    """Hears signals: raises Halt at the first one, ends the process at the second."""

    def __init__(self) -> None:
        self._heard: Halt | None = None
        self._holding = False

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        code = TERMINATED if number == signal.SIGTERM else INTERRUPTED
        if self._heard is not None:
            print("towpath: Stopped.", file=sys.stderr, flush=True)
            os._exit(code)
        self._heard = Halt(code)
        if not self._holding:
            raise self._heard

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Raise Halt at the end of what is within: something begins, and is noted to have begun."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._heard is not None:
                raise self._heard


@contextmanager
def interruptible() -> Iterator[Ear]:
    """Raise Halt at the first signal within, end the process at the second.

    It may be raised while this begins and ends, too: it is to be caught outside.
    """
    ear = Ear()
    before = {number: signal.signal(number, ear.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ear
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
