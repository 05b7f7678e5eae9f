"""Carry what is no file by a path: a window of it at a time, kept until the server has it.

Rules: runs in one worker thread; memory is one window, which waits for no other's. A cut loses
nothing, since the window is sent again from where the server stands; nor does a pause, over which
it is kept. What the server has lost beyond it can come again only from a source that rewinds, or,
with a fingerprint, from its beginning in another run: then what the server has is read over, and
counted in the checksum. An upload that nobody can go on with is removed from the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from towpath.client import words
from towpath.client.blocks import BLOCK, crc64nvme
from towpath.client.control import Control, Stopped
from towpath.client.memory import SHARED, Memory
from towpath.client.peer import Peer, Reply, expect
from towpath.client.progress import Direction, Meter, TransferState
from towpath.client.results import UploadResult
from towpath.client.resume import Note, Notebook
from towpath.client.retry import Patience
from towpath.client.sources import Feed
from towpath.client.withdraw import removed, withdraw
from towpath.client.words import Standing
from towpath.errors import (
    BadAnswer,
    Cut,
    DigestMismatch,
    Expired,
    NotFound,
    ServerUnreachable,
    SourceChanged,
    StateConflict,
    TowpathError,
    TransferError,
)

CHUNK = 8 * 1024 * 1024  # bytes kept until they are acknowledged
_LINGER = 1.0  # seconds after which a window is sent that is not full
_SMALLEST_CHUNK = 1024 * 1024  # bytes: what a proxy must let through
_FRESH_STARTS = 3  # uploads that may vanish on the server before we give up
_GONE = (NotFound, Expired)
_MARK = "stream:"  # no path that is absolute begins so


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTask:
    """What is to be uploaded, and under which name."""

    id: str
    feed: Feed
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    on_conflict: str = ""
    chunk_size: int | None = None  # bytes
    verify: bool = True
    fingerprint: str | None = None  # the same word says: the same bytes
    restart: bool = False  # forget what was sent before


class StreamUpload:
    """One stream on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: StreamTask,
        peer: Peer,
        notebook: Notebook,
        control: Control,
        meter: Meter,
        memory: Memory = SHARED,
    ) -> None:
        self._task = task
        self._feed = task.feed
        self._peer = peer
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._restart = task.restart
        self._begun = False
        self._url = ""
        self._window = memoryview(b"")  # there while it runs
        self._kept = b""  # of the window, while it is paused
        self._start = 0  # of the stream, where the window begins
        self._filled = 0  # bytes of the window that are read
        self._crc = 0  # CRC64NVME of what lies before the window
        self._ended = False  # the feed has no more
        self._chunk = task.chunk_size or CHUNK

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        alone = self._notebook.lock(self._task.id) if self._task.fingerprint else nullcontext()
        with alone:
            try:
                if not self._begun:
                    self._feed.begin()
                    self._begun = True
                    self._recall()
                self._meter.total = self._feed.length
                with self._opened():
                    result = self._finish(self._carry(patience), began)
            except TowpathError as error:
                self._give_up(error)
                raise
        self._feed.close()
        self._meter.state(TransferState.COMPLETE)
        return result

    def discard(self) -> None:
        """Remove from the server what is there, and forget it."""
        self._feed.close()
        self._notebook.remove(self._task.id)
        if self._url:
            self._peer.ask("DELETE", self._url, words.TUS, again=True)

    def leave(self) -> None:
        """Its owner goes away for good: what nobody can go on with does not stay."""
        if not self._task.fingerprint:
            with suppress(TowpathError):  # it waits on the server until it expires
                self.discard()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Have a window; what is in it when the owner asks to stop is there the next time."""
        length, kept = self._feed.length, self._kept
        wanted = self._chunk if length is None else min(self._chunk, length)
        with self._memory.window(wanted, least=len(kept)) as window:
            window[: len(kept)] = kept
            self._window, self._kept = window, b""
            try:
                yield
            except Stopped:
                self._kept = bytes(window[: self._filled])
                raise
            finally:
                self._window = memoryview(b"")

    def _recall(self) -> None:
        """Find what an earlier run of the same fingerprint left. Raises SourceChanged."""
        if not self._task.fingerprint or (note := self._notebook.read(self._task.id)) is None:
            return
        self._url = note.url
        if self._restart:
            with suppress(TowpathError):  # the old upload waits on the server until it expires
                self.discard()
            self._url = ""
        elif note.on_conflict != self._task.on_conflict or dict(note.metadata) != dict(
            self._task.metadata
        ):
            raise StateConflict(
                f"The upload of {self._task.name} began with other settings.",
                why="Its metadata and what to do in a conflict cannot change on the way.",
                todo="Say the same again, or start over (restart).",
            )
        elif note.length != self._feed.length:
            self._url = ""  # it stays as it is: another call may go on with it
            raise SourceChanged(
                f"{self._task.fingerprint!r} was something else when this upload began.",
                why=f"It had {note.length} bytes, and has {self._feed.length} now.",
                todo="Start over (restart), or choose another fingerprint.",
            )

    def _carry(self, patience: Patience) -> Standing:
        """Try until every byte is there."""
        vanished, begun = 0, False
        while True:
            try:
                standing = self._where()
                if not begun:
                    begun = True
                    self._meter.begin(standing.offset)
                self._meter.at(standing.offset)
                self._meter.state(TransferState.RUNNING)
                while self._has_at(standing.offset):
                    standing = self._send(standing.offset)
                    self._meter.at(standing.offset)
                    patience.progress()
                return self._close(standing)
            except _GONE as error:
                vanished += 1
                if not self._url or vanished > _FRESH_STARTS:
                    raise
                self._insist_on(0, error)
                self._notebook.remove(self._task.id)
                self._url = ""
            except TowpathError as error:
                wait = patience.after(error)
                self._meter.retry()
                self._control.sleep(wait)

    def _has_at(self, offset: int) -> bool:
        """Bring the window to `offset`; False when the stream ends there."""
        if offset < self._start:
            self._insist_on(offset)
            self._feed.rewind()
            self._start = self._filled = self._crc = 0
            self._ended = False
        while offset >= self._start + self._filled:
            self._pass()
            if not self._fill():
                break
        if offset > self._start + self._filled:
            raise SourceChanged(
                "The stream is shorter than what the server has of it.",
                why=f"It ends after {self._start} bytes; the server has {offset}.",
                todo="Start over (restart), if these are the bytes that you mean.",
            )
        return offset < self._start + self._filled

    def _insist_on(self, offset: int, cause: TowpathError | None = None) -> None:
        """Raise TransferError unless the bytes from `offset` on can still be had."""
        if offset < self._start and not self._feed.rewindable:
            raise TransferError(
                "The server lost bytes that cannot be read again.",
                why=f"It wants those after {offset}, and of a stream only those after "
                f"{self._start} are kept.",
                todo="Send it again from its beginning.",
            ) from cause

    def _pass(self) -> None:
        """The server has what is in the window: make room for what follows."""
        if self._task.verify:
            self._crc = crc64nvme(self._window[: self._filled], self._crc)
        self._start += self._filled
        self._filled = 0

    def _fill(self) -> int:
        """Read into the window until it is full, the stream ends, or somebody waits too long."""
        began = time.monotonic()
        while not self._ended and self._filled < len(self._window):
            self._control.check()
            room = self._window[self._filled : self._filled + BLOCK]
            taken = self._feed.read_into(room, self._control.check)
            self._filled += taken
            self._ended = not taken
            if time.monotonic() - began > _LINGER:
                break
        return self._filled

    def _where(self) -> Standing:
        """How far the upload is at the server; it is created if there is none."""
        if not self._url:
            return self._create()
        reply = self._ask("HEAD")
        if reply.status == 409:  # it cannot complete; an answer with a body says why
            end = self._start + self._filled if self._feed.length is None else self._feed.length
            reply = self._ask("PATCH", words.chunk(end))
        return words.standing(expect(reply).fields)

    def _create(self) -> Standing:
        task = self._task
        metadata = {**task.metadata, "name": task.name, "filename": task.name.rpartition("/")[2]}
        if task.on_conflict:
            metadata["on-conflict"] = task.on_conflict
        files = self._peer.address("files/")
        fields = words.creation(self._feed.length, metadata)
        reply = expect(self._peer.ask("POST", files, fields, check=self._control.check))
        location = reply.fields.get("location")
        if reply.status != 201 or not location:
            raise BadAnswer("The server did not say where the upload is.")
        self._url = self._peer.address(location, files)
        if task.fingerprint:
            self._notebook.write(
                Note(
                    id=task.id,
                    direction=Direction.UPLOAD,
                    server=self._peer.url,
                    name=task.name,
                    path=_MARK + task.fingerprint,
                    url=self._url,
                    length=self._feed.length,
                    on_conflict=task.on_conflict,
                    metadata=task.metadata,
                )
            )
        return Standing(0, self._feed.length)

    def _send(self, offset: int) -> Standing:
        """Send what the window has from `offset` on; return where the upload stands then."""
        view = self._window[offset - self._start : self._filled][: self._chunk]
        end = offset + len(view)
        with self._peer.open(
            "PATCH", self._url, words.chunk(offset), length=len(view), check=self._control.check
        ) as exchange:
            for at in range(0, len(view), BLOCK):
                block = view[at : at + BLOCK]
                if not exchange.send(block):
                    break
                self._meter.moved(len(block))
            reply = exchange.reply()
        if reply.status == 413 and "tus-resumable" not in reply.fields:
            smaller = len(view) // 2  # a proxy said so, not the server
            if smaller >= _SMALLEST_CHUNK:
                self._chunk = smaller
                return Standing(offset)
        standing = words.standing(expect(reply).fields)
        if not offset <= standing.offset <= end:
            raise BadAnswer(
                "The server's offset cannot be.",
                why=f"It is {standing.offset} after bytes {offset} to {end}.",
            )
        if standing.offset == offset:
            raise Cut("The server took nothing of what was sent.")
        return standing

    def _close(self, standing: Standing) -> Standing:
        """Every byte is there: tell the length, unless it is known, and hear what became of it."""
        end = self._start
        if standing.crc is not None and standing.offset == end:
            return standing
        if standing.length is None:
            standing = words.standing(expect(self._ask("HEAD")).fields)
        if standing.length is None:
            told = self._ask("PATCH", words.chunk(end, length=end))
            standing = words.standing(expect(told).fields)
        elif standing.length != end:
            raise SourceChanged(
                "The stream has another length than the upload.",
                why=f"It ended after {end} bytes; {standing.length} were announced.",
            )
        if standing.crc is not None:
            return standing
        again = words.standing(expect(self._ask("HEAD")).fields)
        if again.crc is None:  # filled but without a name, say: an empty chunk makes it speak
            reply = self._ask("PATCH", words.chunk(end))
            if not reply.ok and reply.status != 404:
                expect(reply)
        return again._replace(name=again.name or standing.name)

    def _finish(self, standing: Standing, began: float) -> UploadResult:
        task, crc = self._task, self._crc if self._task.verify else None
        name = standing.name or task.name
        if crc is not None and standing.crc is not None and crc != standing.crc:
            gone = withdraw(self._peer, self._url, name)
            raise DigestMismatch(
                f"What the server has of {task.name} are not the bytes that were sent.",
                why=f"Its CRC64NVME is {standing.crc:016x} there and {crc:016x} here.",
                todo=removed(gone=gone),
            )
        self._notebook.remove(task.id)
        self._meter.total = self._start
        return UploadResult(
            transfer_id=task.id,
            name=name,
            path="-",
            url=self._url,
            length=self._start,
            crc64nvme=None if crc is None else f"{crc:016x}",
            verified=crc is not None and standing.crc is not None,
            resumed_from=self._meter.resumed_from,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )

    def _give_up(self, error: TowpathError) -> None:
        """It failed: what nobody can go on with does not stay, and its owner hears so."""
        self._feed.close()
        if isinstance(error, DigestMismatch):
            self._notebook.remove(self._task.id)
            return
        if self._task.fingerprint:
            return
        if not error.todo and not self._feed.rewindable:
            error.todo = "A stream is read only once: send it again from its beginning."
        if not isinstance(error, ServerUnreachable):
            with suppress(TowpathError):  # it waits on the server until it expires
                self.discard()

    def _ask(self, method: str, fields: Mapping[str, str] = words.TUS) -> Reply:
        return self._peer.ask(method, self._url, fields, check=self._control.check)


def is_stream(note: Note) -> bool:
    """True for a note of a stream, which has no path."""
    return note.path.startswith(_MARK)


def forget_stream(note: Note, peer: Peer, notebook: Notebook) -> None:
    """Give it up, here and at the server."""
    with notebook.lock(note.id):
        notebook.remove(note.id)
        peer.ask("DELETE", note.url, words.TUS, again=True)


def refuse_stream(note: Note) -> None:
    """Raise StateConflict for a note of a stream: where its bytes come from is not known here."""
    if is_stream(note):
        raise StateConflict(
            f"{note.name} was not uploaded from a path.",
            why=f"Its bytes came from the caller, as {note.path.removeprefix(_MARK)!r}.",
            todo="Upload the same bytes with the same name and fingerprint: that goes on with it.",
        )
