"""How fast bytes move: an average that forgets."""

from __future__ import annotations

import math

_MEMORY = 10.0  # seconds over which the rate is averaged


class Rate:
    """Bytes a second, averaged with a memory of ten seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0  # measured so far
        self._average = 0.0

    def add(self, count: int, seconds: float) -> None:
        """`count` bytes took `seconds`."""
        if seconds > 0:
            weight = math.exp(-seconds / _MEMORY)
            self._average = self._average * weight + count / seconds * (1 - weight)
            self.seconds += seconds

    @property
    def per_second(self) -> float:
        """The average; early on only over the time that there was."""
        known = 1 - math.exp(-self.seconds / _MEMORY)
        return self._average / known if known else 0.0
