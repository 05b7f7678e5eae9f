"""How many chunks a transfer takes, and how long it takes at least, where that can be known before.

Rules: nothing is guessed: what depends on the line, or on what is in the files, is said not to be
known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from towpath.cli.amounts import duration, size


@dataclass(slots=True, kw_only=True)
class Effort:
    """Adds up what `--dry-run` can tell of the files, one by one.

    `chunk_size`: bytes, as asked for. `level`: of compression, as of a Coding; None: nothing is
    coded. `delta`: of each file only what changed is sent. `limit`: a rate or a timetable.
    """

    limit: str | None = None
    chunk_size: int | None = None
    level: int | None = None
    delta: bool = False
    _bytes: int = 0
    _chunks: int = 0
    _sizes: set[int] = field(default_factory=set)

    def add(self, length: int, left: int) -> None:
        """One file of `length` bytes, of which `left` are to be carried."""
        self._bytes += left
        each = self._each(length)
        if each and left:
            self._chunks += -(-left // each)
            self._sizes.add(each)

    def record(self) -> dict[str, Any]:
        """For programs. None stands for what is not known."""
        return {
            "chunks": None if self._is_open else self._chunks,
            "chunk_size": next(iter(self._sizes)) if len(self._sizes) == 1 else None,
            "least_seconds": self._least_seconds(),
        }

    def chunks(self) -> str:
        """The chunks, in words."""
        if self._is_open:
            return "their number is not known: they are as large as the line allows"
        sizes = sorted(self._sizes)
        of = f" of {' or '.join(map(size, sizes))}" if sizes else ""
        if self.level is not None:  # each as long as the file says
            return f"about {self._chunks}{of}"
        return f"at least {self._chunks}{of.replace(' of ', ' of at most ')}"

    def time(self) -> str:
        """The time, in words."""
        seconds = self._least_seconds()
        if seconds is None:
            return "not known before"
        return f"at least {duration(seconds)} by --limit"

    @property
    def _is_open(self) -> bool:
        """Whether the size of chunks shows on the way only."""
        return self.delta or (self.level is None and self.chunk_size is None)

    def _each(self, length: int) -> int | None:
        if self._is_open:
            return None
        if self.level is None:
            return self.chunk_size
        from towpath.client.coded import chunk_size

        return chunk_size(length, self.chunk_size, self.level)

    def _least_seconds(self) -> float | None:
        """Seconds by the limit; None if there is none at some time, or less may be sent."""
        if self.limit is None or self.level or self.delta:
            return None
        from towpath.core.timetable import Timetable

        fastest = 0
        for _, rate in Timetable.parse(self.limit).changes:
            if rate is None:
                return None
            fastest = max(fastest, rate)
        return self._bytes / fastest
