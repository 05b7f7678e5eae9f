"""How far a transfer is: the value people see, and the meter that makes it.

Rules: the meter is touched by one worker thread; it hands out at most ten values a second, and
always the last one of a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from towpath.core.rate import Rate

_PAUSE = 0.1  # seconds between two values
_MEASURED = 1.0  # seconds of sending before a time to the end is told


class Direction(StrEnum):
    """Which way the bytes go."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


class TransferState(StrEnum):
    """Where a transfer is on its way."""

    QUEUED = "queued"  # others go first
    RUNNING = "running"
    WAITING = "waiting"  # it failed, and tries again in a moment
    PAUSED = "paused"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """True when nothing can happen to the transfer any more."""
        return self in (TransferState.COMPLETE, TransferState.CANCELLED, TransferState.FAILED)


class Progress(NamedTuple):
    """How far a transfer is. Bytes are bytes, times are seconds since 1970 (UTC)."""

    transfer_id: str
    direction: Direction
    state: TransferState
    total_bytes: int | None  # None while nobody knows
    transferred_bytes: int  # of the whole, also what earlier runs carried
    sent_bytes: int  # over the wire in this run, repeats included
    resumed_from: int  # where this run began
    bytes_per_second: float
    eta_seconds: float | None  # None until it is measured
    retries: int
    started_at: float
    updated_at: float
    begun_anew: bool = False  # what another machine began of it could not be gone on with

    @property
    def percent(self) -> float:
        """0 to 100. An unknown total is 0 until the transfer is complete."""
        if self.state is TransferState.COMPLETE or self.total_bytes == 0:
            return 100.0
        if self.total_bytes is None:
            return 0.0
        return min(100.0, self.transferred_bytes * 100 / self.total_bytes)

    def to_dict(self) -> dict[str, object]:
        """For JSON: the fields by name, `percent`, and times as RFC 3339 text."""
        found: dict[str, object] = self._asdict()
        for name in ("started_at", "updated_at"):
            found[name] = rfc3339(getattr(self, name))
        return {**found, "percent": round(self.percent, 2)}


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 text in UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Meter:
    """Counts what one transfer moves and publishes Progress."""

    def __init__(
        self, transfer_id: str, direction: Direction, publish: Callable[[Progress], None]
    ) -> None:
        self._id = transfer_id
        self._direction = direction
        self._publish = publish
        self._started = time.time()
        self._state = TransferState.QUEUED
        self._rate = Rate()
        self._counted = 0  # sent bytes that the rate knows
        self._looked = self._told = time.monotonic()
        self.total: int | None = None
        self.transferred = 0
        self.sent = 0
        self.resumed_from = 0
        self.retries = 0
        self.begun_anew = False  # though another machine had begun it

    def state(self, state: TransferState) -> None:
        """Enter a state; told at once."""
        self._state = state
        self._tell()

    def begin(self, offset: int) -> None:
        """A run begins at `offset`; told at once."""
        self.resumed_from = offset
        self._looked = time.monotonic()
        self.at(offset)
        self.state(TransferState.RUNNING)

    def at(self, offset: int) -> None:
        """The true offset is this: what was sent beyond it did not get through."""
        self.transferred = offset

    def moved(self, count: int) -> None:
        """`count` more bytes went over the wire; told now and then."""
        self.transferred += count
        self.sent += count
        if time.monotonic() - self._told >= _PAUSE:
            self._tell()

    def retry(self) -> None:
        """A try failed; the next one comes after a wait."""
        self.retries += 1
        self.state(TransferState.WAITING)

    def snapshot(self) -> Progress:
        """The value as of now."""
        speed = self._rate.per_second
        eta = None
        if self.total is not None and speed > 0 and self._rate.seconds >= _MEASURED:
            eta = max(0, self.total - self.transferred) / speed
        return Progress(
            transfer_id=self._id,
            direction=self._direction,
            state=self._state,
            total_bytes=self.total,
            transferred_bytes=self.transferred,
            sent_bytes=self.sent,
            resumed_from=self.resumed_from,
            bytes_per_second=speed,
            eta_seconds=0.0 if self._state is TransferState.COMPLETE else eta,
            retries=self.retries,
            started_at=self._started,
            updated_at=time.time(),
            begun_anew=self.begun_anew,
        )

    def _tell(self) -> None:
        now = time.monotonic()
        if self._state in (TransferState.RUNNING, TransferState.COMPLETE):
            self._rate.add(self.sent - self._counted, now - self._looked)
        self._counted, self._looked, self._told = self.sent, now, now
        self._publish(self.snapshot())
