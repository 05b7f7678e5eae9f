"""Take one small file from the server in one request, and have it whole before it is written.

Rules: what it is was told before, by a list of names; if it is another one by now, the long way
finds out. Nothing is remembered of it: a kill leaves at most a `.part` that is the beginning of the
very same bytes, and such a one may be written over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from towpath.client import words
from towpath.client.blocks import crc64nvme
from towpath.client.control import Control
from towpath.client.memory import Memory
from towpath.client.peer import Peer
from towpath.client.persist import persist
from towpath.client.progress import Meter
from towpath.client.records import NameRecord
from towpath.client.retry import Patience
from towpath.client.whole import SMALL
from towpath.codec import MEDIA_TYPES

_ANOTHER = (404, 410, 412)  # it is not what it was


@dataclass(frozen=True, slots=True)
class Came:
    """The bytes of a small file; valid while they are held."""

    url: str
    view: memoryview
    crc: int  # CRC64NVME of them
    announced: int | None  # what the server said it is


class WholeDownload:
    """One small file on its way."""

    def __init__(self, peer: Peer, control: Control, meter: Meter, memory: Memory) -> None:
        self._peer = peer
        self._control = control
        self._meter = meter
        self._memory = memory

    @contextmanager
    def of(self, known: NameRecord, patience: Patience) -> Iterator[Came | None]:
        """All of an object, for the time of a `with`; None if it is none for this way.

        Raises Stopped when asked to, TowpathError when it cannot be had.
        """
        if (
            known.length > SMALL
            or not known.etag.startswith('"')
            or known.media_type in MEDIA_TYPES
        ):
            yield None
            return
        url = self._peer.address(known.href)
        with self._memory.block(self._control.check) as buffer:
            self._meter.total = known.length
            self._meter.begin(0)
            yield persist(
                lambda: self._take(url, known, buffer), patience, self._control, self._meter
            )

    def _take(self, url: str, known: NameRecord, buffer: memoryview) -> Came | None:
        fields, check = {"If-Match": known.etag}, self._control.check
        self._meter.at(0)
        with self._peer.open("GET", url, fields, check=check) as exchange:
            answer = exchange.answer()
            if answer.status in _ANOTHER:
                answer.text()
                return None
            if answer.status != 200:
                raise words.refusal(answer.status, answer.fields, answer.text())
            filled = 0
            while taken := answer.read_into(buffer[filled:]):
                filled += taken
        self._meter.moved(filled)
        if filled != known.length:
            return None
        view = buffer[:filled]
        return Came(url, view, crc64nvme(view, 0), words.crc_of(answer.fields))


def is_begun(part: Path, view: memoryview) -> bool:
    """Whether a file has the first of these bytes and nothing else. Raises OSError."""
    if not part.is_file() or part.is_symlink() or part.stat().st_size > len(view):
        return False
    there = part.read_bytes()
    return there == view[: len(there)]
