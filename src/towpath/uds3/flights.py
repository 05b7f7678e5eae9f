"""Several pieces of one upload on their way into a data folder at once.

Rules: each is tried again by itself, and goes first then; when it is over, however it ended,
nobody reads or writes any more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TypeVar

from towpath.core.caller import ANONYMOUS
from towpath.core.model import Upload
from towpath.core.transfer import Write
from towpath.errors import SourceChanged
from towpath.uds3.carrier import Job, Rules
from towpath.uds3.errors import StreamingTimeoutError
from towpath.uds3.house import House
from towpath.uds3.source import BytesSource, FileSource, behind

_LOOK_SECONDS = 1.0  # between two looks at the clock while pieces are on their way


@dataclass(kw_only=True)
class Piece:
    """Bytes start <= b < end as they are stored, all of one chunk, on their way."""

    index: int
    start: int
    end: int
    failures: int = 0
    source: FileSource | BytesSource | None = None
    deadline: float = 0.0
    late: bool = False


P = TypeVar("P", bound=Piece)


class Flights:
    """Carries the pieces of one operation."""

    def __init__(self, house: House, rules: Rules, job: Job) -> None:
        self._house = house
        self._rules = rules
        self._job = job

    def carry(
        self,
        pieces: Iterator[P],
        begin: Callable[[P], Write],
        landed: Callable[[P], None],
        *,
        most: int,
    ) -> None:
        """Send all, `most` at once.

        `begin` gives a piece its source, before each try, and says how it is written; `landed` is
        told of what is durable. Raises Stopped, SourceChanged, and what failed for good.
        """
        again: deque[P] = deque()
        flying: dict[Future[Upload], P] = {}
        try:
            while True:
                self._job.control.check()
                while len(flying) < most:
                    piece = again.popleft() if again else next(pieces, None)
                    if piece is None:
                        break
                    flying[self._start(piece, begin(piece))] = piece
                if not flying:
                    return
                done, _ = wait(flying, min(self._rules.timeout, _LOOK_SECONDS), FIRST_COMPLETED)
                for future in done:
                    piece = flying.pop(future)
                    if self._has_landed(future, piece):
                        landed(piece)
                        self._job.moved()
                    else:
                        again.append(piece)
                _stop_late(flying.values())
        finally:
            for piece in flying.values():
                if piece.source is not None:
                    piece.source.stop()
            wait(flying)

    def _start(self, piece: Piece, write: Write) -> Future[Upload]:
        source = piece.source
        assert source is not None  # noqa: S101 - `begin` gave it one
        piece.late = False
        piece.deadline = time.monotonic() + self._rules.timeout
        return self._house.submit(
            self._house.service.engine.write(
                ANONYMOUS, self._job.record.key, write, lambda: source, behind
            )
        )

    def _has_landed(self, future: Future[Upload], piece: Piece) -> bool:
        """True if the piece is durable; False if it is to be sent again, after a wait."""
        error = future.exception()
        if error is None:
            return True
        job = self._job
        job.control.check()
        if isinstance(piece.source, FileSource) and piece.source.ran_dry:
            raise SourceChanged(f"{job.record.path} has become shorter while it was read.")
        if piece.late:
            error = StreamingTimeoutError(
                "A chunk took too long.", why=f"It may take {self._rules.timeout} seconds."
            )
        piece.failures += 1
        delay = self._rules.wait(error, piece.failures)
        job.record.retries += 1
        job.control.sleep(delay)
        return False


def _stop_late(pieces: Iterable[Piece]) -> None:
    """End pieces that take too long."""
    for piece in pieces:
        if time.monotonic() > piece.deadline and piece.source is not None:
            piece.late = True
            piece.source.stop()
