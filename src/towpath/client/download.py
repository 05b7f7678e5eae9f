"""Carry one object from the server into a local file: `NAME.part` first, its name at last.

Rules: runs in one worker thread; the final name never stands for bytes that were not compared with
what the server announced, and what is compared is read from the file where an earlier run wrote it;
a cut download goes on with Range and If-Range, so that bytes of two objects are never mixed.
"""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.client import words
from towpath.client.blocks import Blocks, crc64nvme, put
from towpath.client.control import Control
from towpath.client.disk import refused
from towpath.client.memory import SHARED, Memory
from towpath.client.part import give_name, insist_on, refuse_existing
from towpath.client.peer import Peer, expect
from towpath.client.progress import Direction, Meter, TransferState
from towpath.client.records import NameRecord
from towpath.client.results import DownloadResult
from towpath.client.resume import RANGES, Marker, Note, Notebook
from towpath.client.retry import Patience
from towpath.client.tuning import PARALLEL_FROM
from towpath.client.whole_download import WholeDownload, is_begun
from towpath.client.wire import Answer
from towpath.errors import (
    BadAnswer,
    Cut,
    DigestMismatch,
    NameConflict,
    TowpathError,
    TransferError,
)

_NOTHING: tuple[int, int | None] = (0, 0)  # offset, CRC64NVME of what lies before it


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTask:
    """What is to be downloaded, and where to."""

    id: str
    name: str  # on the server, or the URL of an object
    path: str  # absolute
    overwrite: bool = False
    restart: bool = False  # forget what came before
    verify: bool = True
    connections: int | None = None  # at most; None: MOST of tuning
    keys: tuple[tuple[str, str], ...] = ()  # what is remembered of those that may open it
    known: NameRecord | None = None  # what was told of it, if that was just now


class Download:
    """One download on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: DownloadTask,
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
        self._target = Path(task.path)
        self._part = self._target.with_name(self._target.name + ".part")
        self._known = _NOTHING
        self._announced: int | None = None  # the object's CRC64NVME, as the server says
        self._begun = False
        self._in_parts = True  # the server gives parts of it, as far as is known
        self._worthless = False  # what came is to be removed, once its file is closed

    def run(self, patience: Patience) -> DownloadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        refuse_existing(self._target, overwrite=self._task.overwrite)
        with self._notebook.lock(self._task.id):
            came = self._arrived(patience)
            try:
                insist_on(self._part, came)
            except TransferError:
                self._notebook.remove(self._task.id)
                raise
            give_name(self._part, self._target, overwrite=self._task.overwrite)
            self._notebook.remove(self._task.id)
        self._meter.state(TransferState.COMPLETE)
        crc = self._known[1]
        return DownloadResult(
            transfer_id=self._task.id,
            name=self._task.name,
            path=self._task.path,
            url=self._url,
            length=self._known[0],
            crc64nvme=None if crc is None else f"{crc:016x}",
            verified=crc is not None and self._announced is not None,
            resumed_from=self._meter.resumed_from,
            received_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )

    def _arrived(self, patience: Patience) -> os.stat_result:
        """Have it in the part; which file that is. Not every system removes a file that is open."""
        self._worthless = False
        try:
            return self._at_once(patience) or self._by_and_by(patience)
        finally:
            if self._worthless:
                self._forget()

    def _at_once(self, patience: Patience) -> os.stat_result | None:
        """In one request, if it is small and enough is known of it; which file that filled."""
        known = self._task.known
        if known is None or self._restart or self._notebook.read(self._task.id) is not None:
            return None
        way = WholeDownload(self._peer.stored, self._control, self._meter, self._memory)
        with way.of(known, patience) as came:
            if came is None:
                return None
            with self._open_whole(came.view) as file:
                self._url, self._announced = came.url, came.announced
                self._known = (len(came.view), came.crc if self._task.verify else None)
                try:
                    put(file, came.view, 0)
                    os.fsync(file.fileno())
                except OSError as error:
                    self._worthless = True
                    raise refused(error, f"{self._part} cannot be written.") from error
                self._verify()
                return os.fstat(file.fileno())

    def _by_and_by(self, patience: Patience) -> os.stat_result:
        """Block by block, from where an earlier run stopped; which file that filled."""
        note = None if self._restart else self._notebook.read(self._task.id)
        with self._open_part(note) as file:
            self._restart = False
            self._file = file
            self._known, self._begun = _NOTHING, False
            self._marker = Marker(self._notebook, note or self._fresh())
            try:
                self._carry(patience)
            except BaseException as error:
                if not self._length or isinstance(error, DigestMismatch):
                    self._worthless = True
                elif self._marker.note.dialect != RANGES:
                    with suppress(OSError):  # on a disk that is full the older note stands
                        self._marker.begin(*self._known)
                raise
            self._verify()
            self._url = self._marker.note.url
            os.fsync(file.fileno())
            return os.fstat(file.fileno())

    def discard(self) -> None:
        """Remove what came so far, and forget it."""
        if self._notebook.read(self._task.id) is not None:
            self._forget()

    def _fresh(self) -> Note:
        task = self._task
        return Note(
            id=task.id,
            direction=Direction.DOWNLOAD,
            server=self._peer.url,
            name=task.name,
            path=task.path,
            url="",
            keys=task.keys,
        )

    def _open_part(self, note: Note | None) -> io.FileIO:
        """The file that bytes go to. One that we know nothing of is not ours to overwrite."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        if note is None and not self._restart:
            flags |= os.O_EXCL
        try:
            handle = os.open(self._part, flags, 0o666)
        except FileExistsError as error:
            raise NameConflict(
                f"{self._part} exists.",
                why="It is not from a download that is remembered here.",
                todo="Remove it, or start over (--restart).",
            ) from error
        except OSError as error:
            raise refused(error, f"{self._part} cannot be written.") from error
        file = io.FileIO(handle, "r+")
        try:
            if note is None:
                file.truncate(0)
        except OSError as error:
            file.close()
            raise refused(error, f"{self._part} cannot be written.") from error
        return file

    def _open_whole(self, view: memoryview) -> io.FileIO:
        """The file for bytes that are all here, also if a kill left the first of them in it."""
        try:
            return self._open_part(None)
        except NameConflict:
            if not is_begun(self._part, view):
                raise
            return io.FileIO(self._part, "r+")

    def _carry(self, patience: Patience) -> None:
        """Try until every byte is here."""
        while True:
            before = self._known[0]
            try:
                self._locate()
                if self._goes_by_many():
                    self._receive_by_many(patience)
                    return
                with self._memory.block(self._control.check) as buffer:
                    self._blocks = Blocks(self._file, buffer)
                    self._receive()
                return
            except TowpathError as error:
                if self._known[0] > before:
                    patience.progress()
                wait = patience.after(error)
                self._meter.retry()
                self._control.sleep(wait)

    def _locate(self) -> None:
        """Find the object's URL; a name may point to another object than it did."""
        note = self._marker.note
        if "://" in self._task.name:
            url = self._peer.address(self._task.name)
            etag, length = self._survey(url)
            if length is None:
                etag, length = note.etag, note.length
        else:
            reply = self._peer.ask("GET", self._peer.api("names", self._task.name), again=True)
            record = expect(reply, api=True).json()
            if not isinstance(record.get("href"), str):
                raise BadAnswer("The server did not say where the object is.")
            url = self._peer.address(record["href"])
            etag, length = record.get("etag") or note.etag, record.get("length")
        if note.url != url or note.etag != etag:
            note = replace(note, url=url, etag=etag, length=length, offset=0)
            note = replace(note, marks=(), dialect="", spans=())
            self._file.truncate(0)
            self._known = _NOTHING
        self._marker.note = replace(note, length=length)

    def _survey(self, url: str) -> tuple[str, int | None]:
        """ETag and length of an object of which only the address is known, if it is said."""
        reply = self._peer.ask("HEAD", url, again=True)
        if not reply.ok:
            return "", None
        self._in_parts = "bytes" in reply.fields.get("accept-ranges", "")
        return reply.fields.get("etag", ""), words.number(reply.fields, "content-length")

    def _goes_by_many(self) -> bool:
        """True for what went so before, for chunks, and for much that is not begun."""
        note = self._marker.note
        if note.dialect == RANGES or self._peer.coded(note.url) is not None:
            return True
        wanted = self._task.connections != 1 and self._in_parts
        wanted = wanted and (note.length or 0) >= PARALLEL_FROM
        return wanted and not self._length and note.etag.startswith('"')

    def _receive_by_many(self, patience: Patience) -> None:
        from towpath.client.parallel_download import ParallelDownload  # noqa: PLC0415 - slow

        crc, self._announced = ParallelDownload(
            self._task.connections,
            self._peer,
            self._control,
            self._meter,
            self._memory,
            self._file,
            self._marker,
        ).run(patience)
        self._known = (self._length, crc if self._task.verify else None)

    @property
    def _length(self) -> int:
        """Bytes that the file has now."""
        return os.fstat(self._file.fileno()).st_size

    def _receive(self) -> None:
        """Ask for what is missing and write it."""
        note, offset = self._marker.note, self._length
        crc = self._crc_at(offset)
        if offset and offset == note.length:
            self._begin(offset)
            self._announced = words.crc_of(expect(self._peer.ask("HEAD", note.url)).fields)
            return
        fields: dict[str, str] = {}
        if offset and note.etag and not note.etag.startswith("W/"):
            fields = {"Range": f"bytes={offset}-", "If-Range": note.etag}
        with self._peer.open("GET", note.url, fields, check=self._control.check) as exchange:
            answer = exchange.answer()
            start = self._start_of(answer, offset)
            if start != offset:
                self._blocks.truncate(start)
                offset, crc = start, 0 if self._task.verify else None
            self._known = (offset, crc)
            self._begin(offset)
            while view := self._fill(answer, offset):
                offset += len(view)
                crc = None if crc is None else crc64nvme(view, crc)
                self._known = (offset, crc)
                self._marker.passed(offset, crc)
                self._meter.moved(len(view))
        if self._meter.total is not None and offset != self._meter.total:
            raise BadAnswer(
                "The object is not as long as announced.",
                why=f"It has {offset} bytes; {self._meter.total} were announced.",
            )

    def _fill(self, answer: Answer, offset: int) -> memoryview:
        self._control.check()
        try:
            return self._blocks.fill(answer.read_into, offset)
        except OSError as error:
            raise refused(error, f"{self._part} cannot be written.") from error

    def _start_of(self, answer: Answer, asked: int) -> int:
        """Where the bytes of the answer belong; learns length, ETag and digest from its head."""
        if answer.status not in (200, 206):
            raise words.refusal(answer.status, answer.fields, answer.text())
        start, total = 0, words.number(answer.fields, "content-length")
        if answer.status == 206:
            start, total = words.content_range(answer.fields)
            self._insist_on(answer.fields.get("etag", self._marker.note.etag))
            if start != asked:
                raise BadAnswer(
                    "The server sent another range.", why=f"It begins at {start}, not at {asked}."
                )
        self._announced = words.crc_of(answer.fields)
        self._meter.total = total
        etag = answer.fields.get("etag", "")
        note = replace(self._marker.note, etag=etag, length=total, offset=start)
        self._marker.note = note if start else replace(note, marks=())
        return start

    def _insist_on(self, etag: str) -> None:
        """Begin anew if a part is of another object: not every server heeds If-Range."""
        if etag != self._marker.note.etag:
            self._marker.note = replace(self._marker.note, etag="", length=None, marks=())
            self._file.truncate(0)
            self._known = _NOTHING
            raise Cut("The object is another one than it was.", why="It was replaced meanwhile.")

    def _begin(self, offset: int) -> None:
        if self._marker.note.length is not None:
            self._meter.total = self._marker.note.length
        if not self._begun:
            self._begun = True
            self._meter.begin(offset)
        self._meter.at(offset)
        self._meter.state(TransferState.RUNNING)
        self._marker.begin(offset, self._known[1])

    def _crc_at(self, offset: int) -> int | None:
        if not self._task.verify:
            self._known = (offset, None)
        elif self._known[0] != offset or self._known[1] is None:
            at, crc = self._known  # of this run; what an earlier one wrote is read again
            start, before = (0, 0) if crc is None or at > offset else (at, crc)
            crc = self._blocks.crc(start, offset, before, self._control.check)
            self._known = (offset, crc)
        return self._known[1]

    def _verify(self) -> None:
        crc = self._known[1]
        if crc is not None and self._announced is not None and crc != self._announced:
            self._worthless = True
            raise DigestMismatch(
                f"What came of {self._task.name} are not the bytes that the server announced.",
                why=f"Their CRC64NVME is {crc:016x}, not {self._announced:016x}.",
                todo="They were removed; download it again.",
            )

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._notebook.remove(self._task.id)
