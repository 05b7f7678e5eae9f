"""Ctrl-C and SIGTERM: once means pause cleanly, twice means stop now.

Rules: only the main thread of a command uses this; what was there before is put back.
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


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Halt at the first signal within, end the process at the second."""
    seen = 0

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        code = TERMINATED if number == signal.SIGTERM else INTERRUPTED
        seen += 1
        if seen > 1:
            print("towpath: Stopped.", file=sys.stderr, flush=True)
            os._exit(code)
        raise Halt(code)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
