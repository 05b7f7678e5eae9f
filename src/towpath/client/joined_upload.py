"""Carry one file by many connections to any tus server that can join uploads (Concatenation).

Rules: a part is an upload of its own, which one connection at a time fills in order; its address is
on the disk before its first byte leaves, so that another process goes on with it, or removes it.
The server says how far a part is, whenever it may know better. Parts are joined once all are whole;
what becomes of them then is the server's affair, since some servers go on reading from them.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from towpath.client import words
from towpath.client.beginning import tus_metadata
from towpath.client.blocks import crc64nvme
from towpath.client.dial import split
from towpath.client.parallel import Attempt, Crew, TooWide
from towpath.client.peer import Reply, expect
from towpath.client.persist import persist
from towpath.client.progress import Direction
from towpath.client.results import Arrived
from towpath.client.resume import JOINED, Marker, Note
from towpath.client.retry import Patience, longest_making
from towpath.client.tuning import BRITTLE, MOST, Tuner
from towpath.client.watched import Watched
from towpath.client.words import Standing
from towpath.core.ranges import Extent, Span
from towpath.errors import (
    BadAnswer,
    Cut,
    Expired,
    NotFound,
    ServerUnreachable,
    TowpathError,
    TransferError,
)

if TYPE_CHECKING:
    from towpath.client.upload import Errand

MOST_PARTS = 64
SMALLEST_PART = 8 * 1024 * 1024  # bytes: some stores join no smaller ones
_ADDRESSES = 6000  # bytes of all addresses in one field, where many servers take 8 KiB of it
_FRESH_STARTS = 3  # times that the server may lose something before we give up
_FIRST_LOOK, _LAST_LOOK = 0.2, 5.0  # seconds between two looks at uploads that are being joined
_LATER = (408, 423, 425, 429)  # refusals that say nothing of whether parts are known
_UNHEARD = (500, 502, 504)  # these say nothing of whether parts were joined

T = TypeVar("T")


@dataclass(slots=True)
class _Part:
    """The range start <= byte < end of the file."""

    start: int
    end: int
    url: str = ""  # "": the server has none yet
    known: int | None = None  # bytes of it that the server has; None: to be asked


class JoinedUpload:
    """One file on its way."""

    def __init__(self, errand: Errand) -> None:
        self._task = errand.task
        self._peer = errand.peer
        self._notebook = errand.notebook
        self._control = errand.control
        self._meter = errand.meter
        self._memory = errand.memory
        self._source = errand.source
        self._watched = Watched(errand.file, self._task.path, self._source, self._memory)
        self._files = self._peer.address("files/")
        self._noting = threading.Lock()  # the note has many writers
        self._parts: list[_Part] = []
        self._extent = Extent()  # what the server has and we know the CRC of
        self._begun = False
        self._check = self._control.check
        self._most = self._task.connections or MOST
        self._tuner = Tuner(self._most, largest=self._task.chunk_size or BRITTLE)

    def run(self, note: Note | None, patience: Patience) -> Arrived | None:
        """Carry it through; None if the server cannot join uploads.

        `note`: what an earlier run left. Raises Stopped, TowpathError.
        """
        if note is not None:
            self._marker = Marker(self._notebook, note)
            self._parts = [_Part(*part) for part in note.parts]
            for span in note.spans:
                self._extent = self._extent.add(Span(*span))
        elif not self._persist(patience, self._plan):
            return None
        vanished = 0
        while True:
            try:
                if not self._note.url:
                    self._carry(patience)
                standing = self._persist(patience, self._join)
                return Arrived(
                    url=self._note.url,
                    object=self._note.url,
                    name=standing.name,
                    crc=standing.crc,
                    ours=self._watched.whole_crc(self._extent, self._check)
                    if self._task.verify
                    else None,
                    perhaps_twice=self._note.unheard,
                )
            except (NotFound, Expired):
                vanished += 1
                if vanished > _FRESH_STARTS:
                    raise
                if self._note.url:  # what the parts were joined to is gone, if it ever was
                    self._hear("")
                for part in self._parts:
                    part.known = None

    @property
    def _note(self) -> Note:
        return self._marker.note

    def _persist(self, patience: Patience, act: Callable[[], T]) -> T:
        return persist(act, patience, self._control, self._meter)

    # -- the parts

    def _plan(self) -> bool:
        """Begin the first part, and say which ones there will be; False if that cannot be."""
        if "concatenation" not in self._peer.extensions(self._check):
            return False
        size = self._source.size
        count = max(2, min(MOST_PARTS, size // SMALLEST_PART))
        first = _Part(0, -(-size // count))
        reply = self._peer.ask("POST", self._files, words.partial(first.end), check=self._check)
        if 400 <= reply.status < 500 and reply.status not in _LATER:
            return False
        first.url, first.known = self._created(reply), 0
        others = max(1, min(count, _ADDRESSES // len(self._reference(first.url))) - 1)
        length = -(-(size - first.end) // others)
        starts = range(first.end, size, length)
        self._parts = [first, *(_Part(start, min(size, start + length)) for start in starts)]
        for part in self._parts[1:]:
            part.known = 0
        task = self._task
        self._marker = Marker(
            self._notebook,
            Note(
                id=task.id,
                direction=Direction.UPLOAD,
                server=self._peer.url,
                name=task.name,
                path=task.path,
                url="",
                dialect=JOINED,
                source=self._source,
                length=size,
                parts=self._listed(),
                on_conflict=task.on_conflict,
                metadata=task.metadata,
            ),
        )
        return True

    def _created(self, reply: Reply) -> str:
        location = expect(reply).fields.get("location")
        if reply.status != 201 or not location:
            raise BadAnswer("The server did not say where the upload is.")
        return self._peer.address(location, self._files)

    def _reference(self, url: str) -> str:
        """The address as the server is told it: no longer than it must be."""
        origin, target = split(url)
        return target if origin == self._peer.origin else url

    def _listed(self) -> tuple[tuple[int, int, str], ...]:
        return tuple((part.start, part.end, part.url) for part in self._parts)

    # -- the way there

    def _carry(self, patience: Patience) -> None:
        """Send what is missing, until nothing is."""
        before = self._source.size + 1
        while missing := self._persist(patience, self._missing):
            left = sum(end - start for start, end in missing)
            if left >= before:
                raise BadAnswer(
                    "The server keeps nothing of what is sent.",
                    why=f"It took all and still lacks {left} bytes.",
                )
            before = left
            crew = Crew(
                self._send,
                missing,
                extent=self._extent,
                tuner=self._tuner,
                most=self._most,
                patience=patience,
                control=self._control,
                in_order=True,
            )
            self._check = crew.check
            try:
                crew.run(self._meter, self._keep)
            finally:
                self._check = self._control.check
                self._extent = crew.extent
                with self._noting:
                    self._marker.write()

    def _missing(self) -> list[tuple[int, int]]:
        """What the server lacks; asks for each part of which that is not known."""
        for part in self._parts:
            if part.known is None:
                part.known = self._standing_of(part)
        reached = [(part.start + (part.known or 0), part.end) for part in self._parts]
        missing = [(start, end) for start, end in reached if start < end]
        known, self._extent = self._extent.spans(), Extent()
        for span in known:
            if not any(start < span.end and span.start < end for start, end in missing):
                self._extent = self._extent.add(span)
        self._reached(self._source.size - sum(end - start for start, end in missing))
        return missing

    def _reached(self, safe: int) -> None:
        """So many bytes are at the server."""
        if not self._begun:
            self._begun = True
            self._meter.begin(safe)
        self._meter.at(safe)

    def _standing_of(self, part: _Part) -> int:
        """Bytes that the server has of a part; a part that it has lost is to be made again."""
        if not part.url:
            return 0
        try:
            return self._ask(part)
        except (NotFound, Expired):
            part.url = ""
            return 0

    def _ask(self, part: _Part) -> int:
        """The same, or what the server says against it."""
        reply = self._peer.ask("HEAD", part.url, words.TUS, check=self._check, again=True)
        offset = words.standing(expect(reply).fields).offset
        if offset > part.end - part.start:
            raise BadAnswer(
                "The server has more bytes than were sent.",
                why=f"It says {offset} of {part.end - part.start}.",
                todo="Start over (--restart).",
            )
        return offset

    def _keep(self, extent: Extent) -> None:
        self._extent = extent
        spans = tuple((span.start, span.end, span.crc) for span in extent.spans())
        with self._noting:
            self._marker.holds(spans, extent.total)

    # -- in the carriers' threads

    def _send(self, attempt: Attempt) -> None:
        """Send a range of a part; of a doubtful one only what did not get through."""
        at = bisect_right(self._parts, attempt.start, key=lambda part: part.start) - 1
        part, start = self._parts[at], attempt.start
        if not part.url:
            length = part.end - part.start
            made = self._peer.ask("POST", self._files, words.partial(length), check=self._check)
            part.url = self._created(made)
            self._hear(self._note.url)
        elif attempt.doubtful:
            start = self._found(attempt, part)
        if start < attempt.end:
            self._send_run(attempt, part, start)
        part.known = attempt.end - part.start

    def _found(self, attempt: Attempt, part: _Part) -> int:
        """Where to go on: what the server has of the range is safe.

        That is before the range, if the server has lost what it had acknowledged.
        """
        part.known = None
        end = min(part.start + self._ask(part), attempt.end)
        if end > attempt.start:
            crc = self._watched.crc(attempt.start, end, self._check)
            attempt.safe.append(Span(attempt.start, end, crc))
            attempt.found += end - attempt.start
        return end

    def _send_run(self, attempt: Attempt, part: _Part, start: int) -> None:
        check, end = self._check, attempt.end
        part.known = None
        with (
            self._memory.block(check) as buffer,
            self._peer.open(
                "PATCH",
                part.url,
                words.chunk(start - part.start),
                length=end - start,
                check=check,
            ) as exchange,
        ):
            position, crc = start, 0
            for view in self._watched.blocks(start, end, buffer, check):
                if not exchange.send(view):
                    break
                position += len(view)
                attempt.moved += len(view)
                crc = crc64nvme(view, crc)
            reply = exchange.reply()
        if reply.status == 413:  # the part was not too large, so the chunk is
            try:
                expect(reply)
            except TowpathError as error:
                raise TooWide(error) from error
        if reply.status == 409 or (reply.status == 403 and not attempt.doubtful):
            raise Cut(  # a chunk that had been cut off may have come in meanwhile: ask again
                "The server takes no bytes there.", why=f"It answered {reply.status}."
            )
        offset = words.standing(expect(reply).fields).offset
        if position < end or offset != end - part.start:
            raise Cut("The server did not take all of the chunk.")
        attempt.safe.append(Span(start, end, crc))

    # -- at the end

    def _join(self) -> Standing:
        """Have the parts joined, and wait until they are."""
        self._reached(self._source.size)
        patient = longest_making(self._source.size)
        if not self._note.url:
            reply = self._ask_to_join(patient)
            if words.number(reply.fields, "upload-offset") == self._source.size:
                return words.standing(reply.fields)
        ends, wait = time.monotonic() + patient, _FIRST_LOOK
        while True:
            reply = self._peer.ask("HEAD", self._note.url, words.TUS, check=self._check, again=True)
            fields = expect(reply).fields
            if words.number(fields, "upload-offset") == self._source.size:
                return words.standing(fields)
            if words.number(fields, "upload-length") not in (None, self._source.size):
                raise BadAnswer("What the server joined has another length than the file.")
            if time.monotonic() > ends:
                raise TransferError(
                    "The server does not finish joining the parts.",
                    todo="Run the same again later: all bytes are there.",
                )
            self._control.sleep(wait)
            wait = min(2 * wait, _LAST_LOOK)

    def _ask_to_join(self, patient: float) -> Reply:
        """Have the parts joined, once; whoever is killed before the answer leaves that in the note.

        tus has no way to ask for an upload whose address nobody heard. Where it may exist they are
        joined again: better twice than not at all, and it is told.
        """
        before = self._note.unheard
        parts = [self._reference(part.url) for part in self._parts]
        asked = words.joined(parts, tus_metadata(self._task, self._source))
        self._hear("", unheard=True)
        try:
            with self._peer.open(
                "POST", self._files, asked, length=0, check=self._check
            ) as exchange:
                reply = exchange.reply(within=patient)
        except ServerUnreachable:
            self._hear("", unheard=before)
            raise
        if not reply.ok and reply.status not in _UNHEARD:
            self._hear("", unheard=before)
        self._hear(self._created(reply), unheard=before)
        return reply

    def _hear(self, url: str, *, unheard: bool | None = None) -> None:
        """Write down the parts, where the whole is, and what changes in whether it was heard of."""
        with self._noting:
            self._marker.consists(self._listed(), url, unheard=unheard)
