"""Bring one object by many connections at once into a file of its full length.

Rules: what the note says is here lies on the disk: data is synced before it is noted, and what an
earlier run left is read again, since others may have written there meanwhile. Nothing is asked for
without the object's ETag, so that bytes of two objects are never mixed. Of a coded object whole
chunks come, each proven before it is written, by up to three connections, as memory lets.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from towpath.client import words
from towpath.client.blocks import Blocks, crc64nvme, put
from towpath.client.control import Control
from towpath.client.disk import refused
from towpath.client.memory import Memory
from towpath.client.parallel import Attempt, Crew
from towpath.client.peer import Peer, expect
from towpath.client.progress import Meter
from towpath.client.resume import RANGES, Marker
from towpath.client.retry import Patience
from towpath.client.tuning import MIB, MOST, SWIFT, Tuner
from towpath.client.wire import Answer
from towpath.core.ranges import Extent, Span
from towpath.errors import BadAnswer, Cut, StateConflict

_UNKEPT = 24 * MIB  # bytes that are here and not kept yet, at most: they are lost with the process
_CODED = 3  # connections of a coded object, so that four of its chunks are lost at most
_UNWRITABLE = "The file cannot be written."


class ParallelDownload:
    """One object on its way. `file` is open; the marker's note has URL, ETag and length.

    `connections`: at most; None: MOST of tuning.
    """

    def __init__(
        self,
        connections: int | None,
        peer: Peer,
        control: Control,
        meter: Meter,
        memory: Memory,
        file: io.FileIO,
        marker: Marker,
    ) -> None:
        self._peer = peer
        self._control = control
        self._meter = meter
        self._memory = memory
        self._file = file
        self._marker = marker
        self._length = marker.note.length or 0
        self._coded = peer.coded(marker.note.url)
        self._most, self._unkept = connections or MOST, _UNKEPT
        if self._coded is None:
            self._tuner = Tuner(self._most, swift=SWIFT)
        else:
            self._most = min(self._most, self._coded.readers, _CODED)
            self._unkept = max(MIB, self._coded.longest)
            self._tuner = Tuner(self._most, largest=self._unkept)

    def run(self, patience: Patience) -> tuple[int, int | None]:
        """Bring all of it; the CRC64NVME of what came, and the one that the server announces.

        Raises Stopped, TowpathError.
        """
        crc64nvme(memoryview(b""))  # loaded now: the first chunk is to tell of the wire alone
        began = time.monotonic()
        announced = words.crc_of(expect(self._peer.ask("HEAD", self._marker.note.url)).fields)
        self._tuner.answered(time.monotonic() - began)
        extent = self._prepare()
        self._meter.total = self._length
        self._meter.begin(extent.total)
        self._crew = Crew(
            self._fetch,
            extent.missing(self._length),
            extent=extent,
            tuner=self._tuner,
            most=self._most,
            patience=patience,
            control=self._control,
            unkept=self._unkept,
            cut=None if self._coded is None else self._coded.cut,
        )
        self._crew.run(self._meter, self._keep)
        return self._crew.extent.crc, announced

    def _prepare(self) -> Extent:
        """What is here already; a file that we did not leave so has nothing."""
        note, extent = self._marker.note, Extent()
        whole = os.fstat(self._file.fileno()).st_size == self._length
        if note.dialect == RANGES and whole:
            for span in note.spans:
                if self._is_as_noted(found := Span(*span)):
                    extent = extent.add(found)
            return extent
        try:
            self._file.truncate(self._length)
        except OSError as error:
            raise refused(error, _UNWRITABLE) from error
        self._marker.note = replace(note, dialect=RANGES, spans=(), marks=(), offset=0)
        self._marker.write()
        return extent

    def _is_as_noted(self, span: Span) -> bool:
        """Whether the bytes that an earlier run left are still those that came."""
        check = self._control.check
        with self._memory.block(check) as buffer:
            return Blocks(self._file, buffer).crc(span.start, span.end, 0, check) == span.crc

    def _keep(self, extent: Extent) -> None:
        """Make the bytes last, then the word that they are here."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise refused(error, _UNWRITABLE) from error
        spans = tuple((span.start, span.end, span.crc) for span in extent.spans())
        self._marker.note = replace(self._marker.note, spans=spans, offset=extent.total)
        self._marker.write()

    # -- in the carriers' threads

    def _fetch(self, attempt: Attempt) -> None:
        """Ask for a range and write it; what came of it before a failure is safe, too."""
        position, crc = attempt.start, 0
        arriving = self._blocks if self._coded is None else self._chunks
        with closing(arriving(attempt)) as views:
            for view in views:
                position, crc = position + len(view), crc64nvme(view, crc)
                attempt.moved += len(view)
                attempt.safe[:] = [Span(attempt.start, position, crc)]
                self._crew.keep_up()

    def _blocks(self, attempt: Attempt) -> Generator[memoryview, None, None]:
        """The bytes of a range, each block of them written."""
        note, check = self._marker.note, self._crew.check
        fields = {"Range": f"bytes={attempt.start}-{attempt.end - 1}", "If-Range": note.etag}
        with (
            self._memory.block(check) as buffer,
            self._peer.open("GET", note.url, fields, check=check) as exchange,
        ):
            answer = exchange.answer()
            self._insist_on_range(answer, attempt.start)
            blocks, position = Blocks(self._file, buffer), attempt.start
            while position < attempt.end:
                try:
                    view = blocks.fill(answer.read_into, position, attempt.end - position)
                except OSError as error:
                    raise refused(error, _UNWRITABLE) from error
                if not view:
                    raise Cut("The server sent less than was asked for.")
                position += len(view)
                yield view

    def _chunks(self, attempt: Attempt) -> Generator[memoryview, None, None]:
        """The bytes of a range of a coded object, each chunk of them proven and written."""
        assert self._coded is not None  # noqa: S101 - `_fetch` has looked
        position, check = attempt.start, self._crew.check
        with closing(self._coded.blocks(attempt.start, attempt.end, check)) as views:
            for view in views:
                try:
                    put(self._file, view, position)
                except OSError as error:
                    raise refused(error, _UNWRITABLE) from error
                position += len(view)
                yield view

    def _insist_on_range(self, answer: Answer, start: int) -> None:
        if answer.status == 200:
            raise _replaced()
        if answer.status != 206:
            raise words.refusal(answer.status, answer.fields, answer.text())
        first, length = words.content_range(answer.fields)
        etag = answer.fields.get("etag", self._marker.note.etag)
        if etag != self._marker.note.etag or length not in (None, self._length):
            raise _replaced()  # by a server that does not heed If-Range
        if first != start:
            raise BadAnswer(
                "The server sent another range.", why=f"It begins at {first}, not at {start}."
            )


def _replaced() -> StateConflict:
    return StateConflict(
        "The object is another one than it was.",
        why="It was replaced while it was downloaded.",
        todo="Download it again.",
    )
