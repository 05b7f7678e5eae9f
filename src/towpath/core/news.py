"""What listeners are told, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from towpath.core.model import Upload
from towpath.core.ranges import Extent

FINAL = frozenset({"completed", "cancelled", "expired", "failed"})
"""Kinds of news after which nothing more is said of an upload."""

KINDS = ("state", "created", "progress", "completed", "cancelled", "expired", "failed")
"""All kinds. `state` is how things stand, said to who begins to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """How an upload stands, and what happened to it last."""

    kind: str
    upload: Upload
    extent: Extent  # what is durable
    received: int  # bytes that have come, durable or not yet
    rate: float = 0.0  # bytes a second
    told: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_final(self) -> bool:
        """True if it is the last that is said of the upload."""
        return self.kind in FINAL

    @property
    def left(self) -> float | None:
        """Seconds until all bytes have come at this rate; None where that is not known."""
        if self.upload.length is None or (not self.rate and self.received < self.upload.length):
            return None
        missing = max(self.upload.length - self.received, 0)
        return missing / self.rate if missing else 0.0

    def once(self, way: str, write: Callable[[News], str]) -> str:
        """The text that `write` makes of it, made once for all who listen in the same way."""
        text = self.told.get(way)
        if text is None:
            text = self.told[way] = write(self)
        return text


@dataclass(frozen=True, slots=True)
class Pressure:
    """The memory for uploads is nearly used up. Sizes in bytes."""

    used: int
    limit: int


WARN_ABOVE = 0.8
"""Share of the memory limit above which the server's health is a warning."""

TELL_ABOVE = 0.9
"""Share above which listeners are told."""


def weighs(used: int, limit: int, share: float) -> bool:
    """True if `used` is more than that share of `limit`; without a limit it never is."""
    return bool(limit) and used > share * limit
