"""What measurements have to reach, and how they say whether it was reached.

Rules: a bar is one line and one truth; a measurement ends with 1 if any of its bars is not met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Bar(NamedTuple):
    """One thing that has to hold: what was found beside what was asked for; whether it holds."""

    says: str
    met: bool


def at_least(what: str, found: float, bar: float, unit: str = "") -> Bar:
    """Hold a number against the least that it may be."""
    return Bar(f"{what}: {found:.3f}{unit}, at least {bar:g}{unit}", found >= bar)


def at_most(what: str, found: float, bar: float, unit: str = "") -> Bar:
    """Hold a number against the most that it may be."""
    return Bar(f"{what}: {found:.3f}{unit}, at most {bar:.4g}{unit}", found <= bar)


def judged(bars: Sequence[Bar]) -> int:
    """Say each in a line; the exit code of the measurement."""
    for bar in bars:
        print(f"{'met' if bar.met else 'NOT MET'}: {bar.says}")
    return int(not all(bar.met for bar in bars))
