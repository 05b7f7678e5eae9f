"""Carry a local file to the server by what it has already: only what is new there is sent.

Rules: the server holds the whole against the file's digests, so that no copy can be wrong; bytes go
in their order, so that the upload's offset says where to go on; a file that has changed since an
earlier run is begun anew. Runs in one worker thread.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from towpath.client import words
from towpath.client.blocks import BLOCK, Blocks
from towpath.client.control import Control
from towpath.client.delta_plan import Base, Piece, next_round, plan
from towpath.client.delta_talk import Talk
from towpath.client.memory import SHARED, Memory
from towpath.client.opened import open_source
from towpath.client.peer import Peer, expect
from towpath.client.progress import Direction, Meter, TransferState
from towpath.client.records import NameRecord
from towpath.client.results import UploadResult
from towpath.client.resume import Marker, Note, Notebook, Source
from towpath.client.retry import Patience
from towpath.client.upload import UploadTask
from towpath.codec.cdc import chunks, cut_for
from towpath.core.command import Complete, Create, NewUpload
from towpath.core.digest import CRC64NVME, SHA256, Hasher, hasher
from towpath.core.model import OnConflict
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import (
    BadAnswer,
    Cut,
    DigestMismatch,
    Expired,
    Forbidden,
    NotFound,
    SourceChanged,
    StoreLost,
    TowpathError,
)
from towpath.protocol.ranges import Copy, Told

T = TypeVar("T")

_GONE = (NotFound, Expired, StoreLost, Forbidden)
_FRESH_STARTS = 3  # times that the upload or its base may vanish before we give up
_ALONE = "-"  # in a note: an upload of ours that has no base
_COPIES = 500  # ranges of one request
_COPIED = 128 * 1024 * 1024  # bytes that the server copies before it answers
_SENT = 64 * 1024 * 1024  # bytes of one request


class Delta:
    """One upload on its way. `run` may be called again after it stopped.

    What the name of the task points to is what the new file is made of.
    """

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
        self._talk = Talk(peer, control.check)
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._restart = task.restart
        self._marker: Marker | None = None
        self._base = ""  # the object to copy from; empty: there is none
        self._pieces: list[Piece] | None = None
        self._digests: dict[str, bytes] = {}

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        with self._notebook.lock(self._task.id), self._opened():
            self._meter.total = self._source.size
            self._meter.begin(0)
            self._digests.clear()
            self._recall()
            there = None
            if self._marker is None:
                there = self._persist(patience, self._look_up)
                self._base = "" if there is None or there.damaged else there.id
            if there is not None and self._is_same(there):
                reference = self._persist(patience, lambda: self._renew(there))
                return self._finish(reference, there.path, began)
            told = self._carry(patience)
            self._notebook.remove(self._task.id)
            return self._finish(f"files/{told.id}", told.name or self._task.name, began)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Have the file open, a block for its bytes, and room for what cuts it into chunks."""
        with open_source(self._task.path) as file:
            self._handle = file.fileno()
            self._source = Source.of(os.fstat(self._handle))
            cutting = 2 * cut_for(self._source.size).largest
            with self._memory.counted(BLOCK + cutting, self._control.check):
                self._blocks = Blocks(file)
                yield

    def discard(self) -> None:
        """Give the upload up: at the server too, if it can be reached; then forget it."""
        note = self._notebook.read(self._task.id)
        if note is not None:
            self._notebook.remove(note.id)
            self._peer.ask("DELETE", note.url, words.TUS, again=True)

    # --- what there is -----------------------------------------------------------------------

    def _recall(self) -> None:
        """Go on with what an earlier run began, if it was for this very file and ours."""
        self._marker, self._pieces = None, None
        note = self._notebook.read(self._task.id)
        if note is None:
            return
        task = self._task
        same = (note.source, note.on_conflict, dict(note.metadata)) == (
            self._source,
            task.on_conflict,
            dict(task.metadata),
        )
        restart, self._restart = self._restart, False
        if restart or not same or not note.etag:
            with suppress(TowpathError):  # the old upload waits on the server until it expires
                self.discard()
            return
        self._base = "" if note.etag == _ALONE else note.etag
        self._marker = Marker(self._notebook, note)

    def _look_up(self) -> NameRecord | None:
        """What has the name now; None also if we may not see it."""
        url = self._peer.api("names", self._task.name)
        reply = self._peer.ask("GET", url, check=self._control.check, again=True)
        return None if reply.status in (403, 404) else NameRecord.read(expect(reply).json())

    def _is_same(self, there: NameRecord) -> bool:
        """Whether the name has these very bytes already, and is to be replaced with nothing."""
        return (
            self._task.on_conflict == OnConflict.REPLACE
            and not there.damaged
            and there.length == self._source.size
            and there.digests.get(CRC64NVME) == self._digests_of(CRC64NVME)[CRC64NVME].hex()
        )

    def _renew(self, there: NameRecord) -> str:
        """Have the name tell the file's new time, if no byte need be sent; where the object is."""
        if there.modified == self._modified:
            return there.href
        told = self._create()
        if told.state is not UploadState.COMPLETE:
            self.discard()
            return there.href
        self._notebook.remove(self._task.id)
        return f"files/{told.id}"

    @property
    def _modified(self) -> int:
        return self._source.mtime_ns // 1_000_000

    def _digests_of(self, *names: str) -> dict[str, bytes]:
        """Digests of the file, which is read for those that are not known yet."""
        found: dict[str, Hasher] = {
            each: hasher(each) for each in names if each not in self._digests
        }
        for view in self._views(0, self._source.size if found else 0):
            for each in found.values():
                each.update(view)
        self._digests |= {name: each.digest() for name, each in found.items()}
        return {name: self._digests[name] for name in names}

    def _views(self, start: int, end: int) -> Iterator[memoryview]:
        """The file's bytes, block by block. Raises SourceChanged."""
        while start < end:
            self._control.check()
            view = self._blocks.read(start, end - start)
            self._source.insist(Source.of(os.fstat(self._handle)), self._task.path)
            if not view:
                raise SourceChanged(f"{self._task.path} has become shorter while it was read.")
            yield view
            start += len(view)

    # --- the upload --------------------------------------------------------------------------

    def _carry(self, patience: Patience) -> Told:
        """Try until the upload is complete."""
        vanished, resumed = 0, self._marker is not None
        while True:
            try:
                told = self._where()
                if resumed:
                    resumed = False
                    self._meter.begin(told.offset)
                self._meter.state(TransferState.RUNNING)
                while told.state is UploadState.OPEN:
                    told = self._advance(told.offset)
                    patience.progress()
                    self._meter.at(told.offset)
                    if self._marker is not None:
                        self._marker.begin(told.offset, None)
                return self._completed(told)
            except _GONE:
                vanished += 1
                if self._marker is None or vanished > _FRESH_STARTS:
                    raise
                self._find_what_is_gone()
            except DigestMismatch:
                self._notebook.remove(self._task.id)
                raise
            except TowpathError as error:
                self._wait(patience.after(error))

    def _persist(self, patience: Patience, act: Callable[[], T]) -> T:
        while True:
            try:
                return act()
            except TowpathError as error:
                self._wait(patience.after(error))

    def _wait(self, seconds: float) -> None:
        self._meter.retry()
        self._control.sleep(seconds)

    def _where(self) -> Told:
        """How far the upload is at the server; it is created if there is none."""
        if self._marker is None:
            return self._create()
        return self._talk.look(self._key)

    def _create(self) -> Told:
        """Begin it. If the server has the file under whatever name, it is complete at once."""
        task, source = self._task, self._source
        said = {
            **task.metadata,
            "filename": Path(task.path).name,
            "mtime": str(self._modified),
        }
        new = NewUpload(
            length=source.size,
            name=task.name,
            on_conflict=OnConflict(task.on_conflict or OnConflict.KEEP_BOTH),
            metadata=json.dumps(said),
            digests=self._digests_of(CRC64NVME, SHA256),
        )
        told = self._talk.told(Create(new=new))
        note = Note(
            id=task.id,
            direction=Direction.UPLOAD,
            server=self._peer.url,
            name=task.name,
            path=task.path,
            url=self._peer.address(f"files/{told.id}"),
            etag=self._base or _ALONE,
            source=source,
            length=source.size,
            on_conflict=task.on_conflict,
            metadata=task.metadata,
        )
        self._marker = Marker(self._notebook, note)
        return told

    @property
    def _key(self) -> str:
        assert self._marker is not None  # noqa: S101 - asked only of an upload that exists
        return self._marker.note.url.rpartition("/")[2]

    def _find_what_is_gone(self) -> None:
        """The base, so that the rest is sent; or the upload, which is begun anew then."""
        try:
            self._where()
        except _GONE:
            self._notebook.remove(self._task.id)
            self._marker = None
        else:
            self._base, self._pieces = "", None

    def _advance(self, offset: int) -> Told:
        """Have the next ranges copied, send the next ones, and return where it stands then."""
        if self._pieces is None:
            self._pieces = self._plan()
        copies, sends = next_round(
            self._pieces,
            offset,
            copies=_COPIES,
            copied=_COPIED,
            sent=self._task.chunk_size or _SENT,
        )
        told: Told | None = None
        if copies:
            told = self._talk.told(Copy(key=self._key, source=self._base, runs=copies))
            self._meter.at(self._meter.transferred + sum(end - start for start, end, _ in copies))
        for start, end in sends:
            told = self._send(start, end)
        if told is None or (told.state is UploadState.OPEN and told.offset <= offset):
            raise Cut("The server took nothing of what was sent.")
        return told

    def _plan(self) -> list[Piece]:
        """Which ranges the server has; reads its map, and the file."""
        whole = [Piece(0, self._source.size, None)]
        if not self._base:
            return whole
        cut = cut_for(self._source.size)
        base = self._talk.map(self._base, cut, Base)
        views, rest = self._views(0, self._source.size), memoryview(b"")

        def read_into(view: memoryview) -> int:
            nonlocal rest
            rest = rest or next(views, memoryview(b""))
            count = min(len(view), len(rest))
            view[:count], rest = rest[:count], rest[count:]
            return count

        return plan(chunks(read_into, cut), base)

    def _send(self, start: int, end: int) -> Told:
        write = Write(
            offset=start,
            length=end - start,
            sequential=False,
            declares=self._source.size,
            when_filled=True,
        )
        return self._talk.send(self._key, write, self._views(start, end), self._meter.moved)

    def _completed(self, told: Told) -> Told:
        """The upload, complete. Raises what keeps it from being so."""
        if told.state is UploadState.FAILED:
            raise DigestMismatch(
                f"What the server has of {self._task.path} are not its bytes.",
                why=told.reason,
                todo="Send the file again.",
            )
        if told.state is not UploadState.COMPLETE:
            told = self._talk.told(Complete(key=self._key))
        if told.state is not UploadState.COMPLETE:
            raise BadAnswer("The server did not complete the upload.", why=f"It is {told.state}.")
        return told

    def _finish(self, reference: str, name: str, began: float) -> UploadResult:
        crc = self._digests_of(CRC64NVME)[CRC64NVME]
        self._meter.at(self._source.size)
        self._meter.state(TransferState.COMPLETE)
        return UploadResult(
            transfer_id=self._task.id,
            name=name,
            path=self._task.path,
            url=self._peer.address(reference),
            length=self._source.size,
            crc64nvme=crc.hex(),
            verified=True,
            resumed_from=self._meter.resumed_from,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )
