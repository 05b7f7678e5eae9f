"""How a transfer's progress is shown, on stderr: bars, plain lines, JSON, or not at all.

Rules: showing never changes what is done; rich is imported for bars only.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from towpath.cli.amounts import duration, size
from towpath.cli.output import json_line, printable

if TYPE_CHECKING:
    from towpath.client.progress import Progress

WAYS = ("auto", "bar", "plain", "json", "none")
_STEP, _SECONDS = 10, 30.0  # a plain line per so many percent, or seconds
_SHORT = 2.0  # seconds: what is done sooner gets no lines


class Show(Protocol):
    """Shows progress."""

    def update(self, label: str, progress: Progress) -> None:
        """There is a newer value for the transfer called `label`."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


def show_for(way: str, *, as_json: bool) -> Show:
    """The one to use. auto: bars on a terminal, lines elsewhere, nothing with --json."""
    if way == "auto":
        way = "none" if as_json else "bar" if _is_terminal() else "plain"
    if way == "bar":
        from towpath.cli.bars import Bars

        return Bars()
    kinds: dict[str, type[Show]] = {"plain": Lines, "json": Objects, "none": Silence}
    return kinds[way]()


def _is_terminal() -> bool:
    from rich.console import Console

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


class Silence:
    """Shows nothing."""

    def update(self, label: str, progress: Progress) -> None: ...

    def close(self) -> None: ...


class Objects:
    """One JSON object per value."""

    def update(self, label: str, progress: Progress) -> None:
        line = json_line("progress", label=label, **progress.to_dict())
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None: ...


class Lines:
    """A line every ten percent or half minute, and on trouble; nothing for what is done at once."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int, float, str]] = {}  # begun, step, when, state

    def update(self, label: str, progress: Progress) -> None:
        step, now = int(progress.percent // _STEP), time.monotonic()
        begun, last, when, state = self._told.get(label, (now, 0, now, ""))
        due = now - begun >= _SHORT and (step > last or now - when >= _SECONDS)
        trouble = progress.state == "waiting" != state
        if trouble or (due and progress.state in ("running", "complete")):
            print(
                printable(f"{label}: {describe(progress)}", lines=False),
                file=sys.stderr,
                flush=True,
            )
            last, when = step, now
        self._told[label] = (begun, last, when, progress.state)
        if progress.state.is_final:
            del self._told[label]

    def close(self) -> None: ...


def describe(progress: Progress) -> str:
    """Percent, speed and time to the end, or what is in the way."""
    done = f"{int(progress.percent):3} %"  # never 100 before it is
    if progress.total_bytes is None:
        done = size(progress.transferred_bytes)
    if progress.state == "waiting":
        return f"{done}  waiting to try again"
    if progress.state in ("queued", "paused", "failed", "cancelled"):
        return f"{done}  {progress.state}"
    parts = [done]
    if progress.bytes_per_second:
        parts.append(f"{size(progress.bytes_per_second)}/s")
    if progress.eta_seconds and progress.eta_seconds >= 1:
        parts.append(f"{duration(progress.eta_seconds)} left")
    return "  ".join(parts)
