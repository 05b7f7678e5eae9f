"""Carry one local file to the server: create, ask where it stands, send the rest, verify.

Rules: runs in one worker thread; the upload's URL is on disk before the first byte leaves; after a
failure the server says what it has, and only the rest goes; the source is looked at before every
block, so that bytes of two states of a file are never mixed into one complete upload.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from towpath.client import elsewhere, words
from towpath.client.beginning import insist_on_same, new_note, tus_metadata
from towpath.client.blocks import Blocks, crc64nvme
from towpath.client.control import Control
from towpath.client.memory import SHARED, Memory
from towpath.client.opened import open_source
from towpath.client.peer import Peer, Reply, expect
from towpath.client.progress import Meter, TransferState
from towpath.client.proof import recognised, remembered
from towpath.client.results import UploadResult
from towpath.client.resume import JOINED, RANGES, WHOLE, Marker, Note, Notebook, Source
from towpath.client.retry import Patience
from towpath.client.tuning import PARALLEL_FROM
from towpath.client.whole import SMALL, WholeUpload
from towpath.client.withdraw import removed, terminate, withdraw
from towpath.client.words import Standing
from towpath.errors import (
    BadAnswer,
    Cut,
    DigestMismatch,
    Expired,
    NotFound,
    SourceChanged,
    TowpathError,
)

if TYPE_CHECKING:
    from towpath.client.joined_upload import JoinedUpload
    from towpath.client.parallel_upload import ParallelUpload

_GONE = (NotFound, Expired)
_FRESH_STARTS = 3  # uploads that may vanish on the server before we give up
_PROXY_CHUNK = 64 * 1024 * 1024  # bytes: the first guess at what a proxy lets through
_SMALLEST_CHUNK = 1024 * 1024


class UploadTask(NamedTuple):
    """What is to be uploaded, and how."""

    id: str
    path: str  # absolute
    name: str  # on the server
    metadata: Mapping[str, str] = MappingProxyType({})
    on_conflict: str = ""
    restart: bool = False  # forget what was sent before
    verify: bool = True
    chunk_size: int | None = None  # bytes of one request; None: all that is left, or as is best
    connections: int | None = None  # at most; 1: in order, by tus; None: MOST of tuning
    fingerprint: str = ""  # what it is known by on another machine


class Upload:
    """One upload on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: UploadTask,
        peer: Peer,
        notebook: Notebook,
        control: Control,
        meter: Meter,
        memory: Memory = SHARED,
    ) -> None:
        self._task = task
        self._peer = peer
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._restart = task.restart
        self._chunk = task.chunk_size
        self._marker: Marker | None = None
        self._known: tuple[int, int | None] = (0, 0)  # offset, CRC64NVME of what lies before it
        self._best = 0  # the furthest offset that the server confirmed
        self._perhaps_twice = False

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        with self._notebook.lock(self._task.id), open_source(self._task.path) as file:
            self._handle = file.fileno()
            self._source = Source.of(os.fstat(self._handle))
            self._meter.total = self._source.size
            note = self._recall(file)
            standing = (
                self._at_once(file, note, patience)
                or self._in_parallel(file, note, patience)
                or self._in_order(file, note, patience)
            )
            return self._finish(standing, began)

    def discard(self) -> None:
        """Give the upload up: at the server too, if it can be reached; then forget it."""
        note = self._notebook.read(self._task.id)
        if note is not None:
            self._notebook.remove(note.id)
            if note.dialect == JOINED:
                terminate(self._peer, note)
            else:
                self._peer.ask("DELETE", note.url, words.TUS, again=True)

    def _recall(self, file: io.FileIO) -> Note | None:
        """What an earlier run left. Raises SourceChanged when the file is not the same."""
        if self._restart:
            self._restart = False
            with suppress(TowpathError):  # the old upload waits on the server until it expires
                self.discard()
            self._known_by(file)
            return None
        note = self._notebook.read(self._task.id)
        if note is None or note.dialect == WHOLE:  # what goes whole cannot be there in part
            return self._from_elsewhere(file)
        insist_on_same(note, self._task)

        def crc(start: int, end: int) -> int:
            with self._memory.block(self._control.check) as buffer:
                return Blocks(file, buffer).crc(start, end, 0, self._control.check)

        known = remembered(note) if self._task.verify else None
        return recognised(note, self._source, known=known, crc=crc)

    def _known_by(self, file: io.FileIO) -> None:
        """Let other machines know it again, if it takes long enough to be left there."""
        if self._source.size >= PARALLEL_FROM:
            blocks = Blocks(file, memoryview(bytearray(elsewhere.SAMPLE)))
            mark = elsewhere.fingerprint(self._task, self._source.size, blocks)
            self._task = self._task._replace(fingerprint=mark)

    def _from_elsewhere(self, file: io.FileIO) -> Note | None:
        """A note of what another machine began and left."""
        self._known_by(file)
        task, check = self._task, self._control.check
        if not task.fingerprint or not task.verify:  # without a checksum nothing would be proven
            return None
        said, size = (elsewhere.FINGERPRINT, task.fingerprint), self._source.size
        found = elsewhere.left_elsewhere(self._peer, task.name, said, check, length=size)
        if found is None:
            return None
        many = task.connections != 1
        place = f"{'ranges' if many else 'files'}/{found.id}"
        return new_note(task, self._peer, self._source, place, RANGES if many else "")

    def _at_once(self, file: io.FileIO, note: Note | None, patience: Patience) -> Standing | None:
        """In one request; None if it is not small, or begun, or the server does not know how."""
        if note is not None or self._source.size > min(SMALL, self._chunk or SMALL):
            return None
        way = WholeUpload(self._peer, self._notebook, self._control, self._meter, self._memory)
        metadata = tus_metadata(self._task, self._source)
        arrived = way.run(self._task, file, self._source, metadata, patience)
        if arrived is None:
            return None
        self._url = self._object = arrived.url
        self._known = self._source.size, arrived.ours
        return arrived.standing

    def _in_parallel(
        self, file: io.FileIO, note: Note | None, patience: Patience
    ) -> Standing | None:
        """By many connections; None if that is not wanted, or not known to the server."""
        begun = note is not None and note.dialect in (RANGES, JOINED)
        wanted = note is None and self._task.connections != 1 and self._source.size >= PARALLEL_FROM
        if not begun and not wanted:
            return None
        for way, dialect in _parallel_ways():
            if note is not None and note.dialect != dialect:
                continue
            arrived = way(
                self._task,
                self._peer,
                self._notebook,
                self._control,
                self._meter,
                self._memory,
                file,
                self._source,
            ).run(note, patience)
            if arrived is not None:
                self._url, self._object = arrived.url, arrived.object
                self._known = self._source.size, arrived.ours
                self._perhaps_twice = arrived.perhaps_twice
                return Standing(self._source.size, crc=arrived.crc, name=arrived.name)
        return None

    def _in_order(self, file: io.FileIO, note: Note | None, patience: Patience) -> Standing:
        """By one connection, from the first byte to the last."""
        with self._memory.block(self._control.check) as buffer:
            self._blocks = Blocks(file, buffer)
            self._marker = None if note is None else Marker(self._notebook, note)
            try:
                standing = self._carry(patience)
                self._known = (self._source.size, self._crc_at(self._source.size))
            except BaseException:
                if self._marker is not None and self._known[0]:
                    self._marker.begin(*self._known)
                raise
            assert self._marker is not None  # noqa: S101 - `_carry` came first
            self._url = self._object = self._marker.note.url
            return standing

    def _carry(self, patience: Patience) -> Standing:
        """Try until every byte is there."""
        vanished, begun = 0, False
        while True:
            try:
                standing = self._where()
                if not begun:
                    begun = True
                    self._meter.begin(standing.offset)
                self._resumed(standing, patience)
                while standing.offset < self._source.size:
                    standing = self._send(standing.offset)
                    self._resumed(standing, patience)
                return self._completed(standing)
            except _GONE:
                vanished += 1
                if self._marker is None or vanished > _FRESH_STARTS:
                    raise
                self._notebook.remove(self._task.id)
                self._marker, self._known, self._best = None, (0, 0), 0
            except TowpathError as error:
                wait = patience.after(error)
                self._meter.retry()
                self._control.sleep(wait)

    def _resumed(self, standing: Standing, patience: Patience) -> None:
        """The server has confirmed an offset."""
        if standing.offset > self._source.size:
            raise BadAnswer(
                "The server has more bytes than the file.",
                why=f"It says {standing.offset} of {self._source.size}.",
                todo="Start over (--restart).",
            )
        if standing.offset > self._best:
            self._best = standing.offset
            patience.progress()
        self._meter.at(standing.offset)
        self._meter.state(TransferState.RUNNING)

    def _where(self) -> Standing:
        """How far the upload is at the server; it is created if there is none."""
        if self._marker is None:
            return self._create()
        reply = self._ask("HEAD")
        if reply.status == 409:  # it cannot complete; an answer with a body says why
            reply = self._ask("PATCH", words.chunk(self._source.size))
        return words.standing(expect(reply).fields)

    def _create(self) -> Standing:
        task, source = self._task, self._source
        files = self._peer.address("files/")
        fields = words.creation(source.size, tus_metadata(task, source))
        reply = expect(self._peer.ask("POST", files, fields, check=self._control.check))
        location = reply.fields.get("location")
        if reply.status != 201 or not location:
            raise BadAnswer("The server did not say where the upload is.")
        self._marker = Marker(
            self._notebook,
            new_note(task, self._peer, source, self._peer.address(location, files)),
        )
        return Standing(0, source.size)

    def _send(self, offset: int) -> Standing:
        """Send one chunk, by default all that is left; return where the upload stands then."""
        end = min(self._source.size, offset + (self._chunk or self._source.size))
        crc = self._crc_at(offset)
        assert self._marker is not None  # noqa: S101 - `_where` came first
        self._marker.begin(offset, crc)
        with self._peer.open(
            "PATCH",
            self._marker.note.url,
            words.chunk(offset),
            length=end - offset,
            check=self._control.check,
        ) as exchange:
            position = offset
            while position < end:
                view = self._next_block(position, end)
                if not exchange.send(view):
                    break
                position += len(view)
                crc = None if crc is None else crc64nvme(view, crc)
                self._known = (position, crc)
                self._marker.passed(position, crc)
                self._meter.moved(len(view))
            return self._after_chunk(exchange.reply(), offset, end)

    def _after_chunk(self, reply: Reply, offset: int, end: int) -> Standing:
        if reply.ok:
            standing = words.standing(reply.fields)
            if not offset <= standing.offset <= end:
                raise BadAnswer(
                    "The server's offset cannot be.",
                    why=f"It is {standing.offset} after bytes {offset} to {end}.",
                )
            if standing.offset == offset:
                raise Cut("The server took nothing of what was sent.")
            return standing
        if reply.status == 413 and "tus-resumable" not in reply.fields:
            guess = min(_PROXY_CHUNK, (end - offset) // 2)  # a proxy said so, not the server
            if guess >= _SMALLEST_CHUNK:
                self._chunk = guess
                return Standing(offset)
        expect(reply)
        raise BadAnswer("The server's answer means nothing here.")  # pragma: no cover

    def _next_block(self, position: int, end: int) -> memoryview:
        self._control.check()
        view = self._blocks.read(position, end - position)
        self._source.insist(Source.of(os.fstat(self._handle)), self._task.path)
        if not view:
            raise SourceChanged(f"{self._task.path} has become shorter while it was read.")
        return view

    def _completed(self, standing: Standing) -> Standing:
        """Every byte is there. Ask once more if the server has not said what it made of them."""
        if standing.crc is not None:
            return standing
        again = words.standing(expect(self._ask("HEAD")).fields)
        if again.crc is None:  # filled but without a name, say: an empty chunk makes it speak
            reply = self._ask("PATCH", words.chunk(self._source.size))
            if reply.ok:
                again = words.standing(reply.fields)
            elif reply.status != 404:
                expect(reply)
        return again._replace(name=again.name or standing.name)

    def _finish(self, standing: Standing, began: float) -> UploadResult:
        task, crc = self._task, self._known[1]
        if crc is not None and standing.crc is not None and crc != standing.crc:
            self._mismatch(standing.name or task.name, standing.crc, crc)
        self._notebook.remove(task.id)
        self._meter.state(TransferState.COMPLETE)
        return UploadResult(
            transfer_id=task.id,
            name=standing.name or task.name,
            path=task.path,
            url=self._object,
            length=self._source.size,
            crc64nvme=None if crc is None else f"{crc:016x}",
            verified=crc is not None and standing.crc is not None,
            resumed_from=self._meter.resumed_from,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
            perhaps_twice=self._perhaps_twice,
        )

    def _mismatch(self, name: str, theirs: int, ours: int) -> None:
        """The server has other bytes: take them away again and say so."""
        note = self._notebook.read(self._task.id)
        self._notebook.remove(self._task.id)
        gone = withdraw(self._peer, self._url, name)
        if note is not None and note.dialect == JOINED:
            with suppress(TowpathError):  # they wait on the server until they expire
                terminate(self._peer, note)
        raise DigestMismatch(
            f"What the server has of {self._task.path} are not its bytes.",
            why=f"Its CRC64NVME is {theirs:016x} there and {ours:016x} here.",
            todo=removed(gone=gone),
        )

    def _crc_at(self, offset: int) -> int | None:
        """The CRC64NVME of the source's first `offset` bytes; reads what was not remembered."""
        if not self._task.verify:
            return None
        if self._known[0] != offset or self._known[1] is None:
            start, crc = self._marker.note.before(offset) if self._marker else (0, 0)
            self._known = (offset, self._blocks.crc(start, offset, crc, self._control.check))
        return self._known[1]

    def _ask(self, method: str, fields: Mapping[str, str] = words.TUS) -> Reply:
        assert self._marker is not None  # noqa: S101 - asked only of an upload that exists
        return self._peer.ask(method, self._marker.note.url, fields, check=self._control.check)


def _parallel_ways() -> Iterator[tuple[type[ParallelUpload | JoinedUpload], str]]:
    """The ways of many connections, the best first, each loaded when the one before cannot be."""
    from towpath.client.parallel_upload import ParallelUpload  # noqa: PLC0415 - slow to import

    yield ParallelUpload, RANGES
    from towpath.client.joined_upload import JoinedUpload  # noqa: PLC0415 - slow to import

    yield JoinedUpload, JOINED
