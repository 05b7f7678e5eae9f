"""Carry one local file to the server as coded chunks: each whole or not at all, then their table.

Rules: the record of the keys is durable before the first chunk leaves; what the server has is not
sent again; nothing is complete before the server has the bytes that were sent; no key is kept.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import cast

from towpath.client import coded, words
from towpath.client.beginning import new_note, tus_metadata
from towpath.client.coded import Coding
from towpath.client.coded_elsewhere import known_by, left, recode
from towpath.client.coded_journal import Journal
from towpath.client.coded_sending import Local, Sending, Stored, Vanished, missing, stored
from towpath.client.control import Control
from towpath.client.memory import Memory
from towpath.client.opened import open_source
from towpath.client.peer import Peer, expect
from towpath.client.progress import Meter, TransferState
from towpath.client.proof import recognised
from towpath.client.results import UploadResult
from towpath.client.resume import Note, Notebook, Source
from towpath.client.retry import Patience
from towpath.client.upload import UploadTask
from towpath.client.watched import Watched
from towpath.client.withdraw import removed
from towpath.client.words import Standing
from towpath.codec import PACKED, SEALED
from towpath.codec.beside import FILE, file_id_of, record_name
from towpath.codec.chunks import Coder
from towpath.codec.container import Head, render
from towpath.codec.encrypt import new_file_id, new_file_key
from towpath.codec.keys import Recipient
from towpath.codec.manifest import Table
from towpath.codec.record import KeyRecord, only_recipients
from towpath.core.crc import combine, crc
from towpath.errors import (
    BadAnswer,
    DigestMismatch,
    Expired,
    NotFound,
    StateConflict,
    TowpathError,
)

_FRESH_STARTS = 3  # uploads that may vanish on the server before we give up


class CodedUpload:
    """One coded upload on its way. `run` may be called again after it stopped."""

    def __init__(
        self,
        task: UploadTask,
        coding: Coding,
        peer: Peer,
        notebook: Notebook,
        control: Control,
        meter: Meter,
        memory: Memory,
    ) -> None:
        self._task = task._replace(metadata={**task.metadata, coded.NOTED: coding.noted})
        self._coding = coding
        self._peer = peer
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._restart = task.restart
        self._note: Note | None = None
        self._journal: Journal | None = None
        self._key: tuple[bytes, int, bytes] | None = None  # file id, number and file key
        self._sending: Sending | None = None
        self._begun = False
        self._others = False  # another machine began the upload, or completed it

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through. Raises Stopped when asked to, TowpathError when it cannot be done."""
        began = time.monotonic()
        with self._notebook.lock(self._task.id), open_source(self._task.path) as file:
            self._source = Source.of(os.fstat(file.fileno()))
            self._local = Local(file, self._task.path, self._source)
            self._meter.total = self._source.size
            self._begun, self._sending = False, None
            self._recall()
            try:
                standing = self._carry(patience)
            finally:
                self._remember()
            return self._finish(standing, began)

    def discard(self) -> None:
        """Give the upload up: at the server too, if it can be reached; then forget it."""
        self._note = self._journal = None
        discard(self._peer, self._notebook, self._task.id)

    # --- what an earlier run left ------------------------------------------------------------

    @property
    def _rows(self) -> Path:
        return _rows(self._notebook, self._task.id)

    def _recall(self) -> None:
        """Take up what an earlier run left. Raises SourceChanged, StateConflict."""
        anew, self._restart = self._restart, False
        if anew:
            with suppress(TowpathError):  # what is on the server expires
                self.discard()
        self._note, self._journal = self._notebook.read(self._task.id), Journal.load(self._rows)
        if self._note is None:
            self._begun_elsewhere(look=not anew)
            return
        if dict(self._note.metadata) != dict(self._task.metadata) or (
            self._note.on_conflict != self._task.on_conflict
        ):
            raise _other_settings(self._task.path, "its settings or its coding were others")
        table = Table(sealed=False) if self._journal is None else self._journal.table
        rows = (table[index] for index in range(len(table)))
        local, check = self._local, self._control.check
        watched = Watched(local.file, local.path, local.source, self._memory)
        self._note = recognised(
            self._note,
            self._source,
            known=((row.start, row.end, row.crc) for row in rows),
            crc=lambda start, end: watched.crc(start, end, check),
        )

    def _begun_elsewhere(self, *, look: bool) -> None:
        """Take up what another machine began and left, if that can be done."""
        coding, check = self._coding, self._control.check
        self._task = known_by(self._task, coding, self._local)
        size = self._source.size
        found = left(self._peer, self._task, coding, size, check) if look else None
        self._meter.begun_anew = found is not None and bool(coding.locks)
        if found is not None and not coding.locks and (file_id := file_id_of(found.metadata)):
            self._keep(f"files/{found.id}", file_id, "")
            self._others = True

    def _keep(self, url: str, file_id: bytes, record: str) -> None:
        """Remember that the upload is at `url`."""
        size = coded.chunk_size(self._source.size, self._task.chunk_size, self._coding.level)
        self._journal = Journal.begin(self._rows, file_id, size, record)
        note = new_note(self._task, self._peer, self._source, url)
        self._note = replace(note, keys=coded.places(self._coding.locks))
        self._notebook.write(self._note)

    def _remember(self) -> None:
        if self._note is not None and self._sending is not None:
            offset = self._sending.durable
            self._notebook.write(replace(self._note, offset=offset, updated_at=time.time()))

    def _forget(self) -> None:
        self._notebook.remove(self._task.id)
        self._rows.unlink(missing_ok=True)
        self._note = self._journal = self._sending = None

    # --- the way there -----------------------------------------------------------------------

    def _carry(self, patience: Patience) -> Standing:
        """Try until every byte is there."""
        vanished = 0
        while True:
            try:
                return self._through(patience)
            except (NotFound, Expired, Vanished) as error:
                vanished += 1
                if self._note is None or vanished > _FRESH_STARTS:
                    if isinstance(error, Vanished):
                        raise BadAnswer("The server loses what it has taken.") from error
                    raise
                if not self._others:
                    with suppress(TowpathError):
                        self.discard()
                self._forget()
            except TowpathError as error:
                wait = patience.after(error)
                self._meter.retry()
                self._control.sleep(wait)

    def _through(self, patience: Patience) -> Standing:
        """From where the upload stands to its end, as long as nothing fails."""
        fresh, standing = self._note is None, self._where()
        note, journal = cast("Note", self._note), cast("Journal", self._journal)
        if note.marks and standing.offset == note.marks[-1][0]:
            return self._completed(standing)
        url, check = self._ranges(), self._control.check
        look = cache(partial(stored, self._peer, url, standing.offset, check))
        if not fresh and not journal.record and self._is_all_there(standing, look()):
            return self._completed(standing)
        holes = missing(journal.table, standing.offset, lambda: look().runs)
        self._begin(journal.table.length - sum(row.length for row in holes))
        key = self._file_key()
        coder = Coder(journal.file_id, level=self._coding.level, key=key)
        sending = Sending(
            self._local, journal, coder, self._peer, url, self._control, self._meter, self._memory
        )
        self._sending = sending
        sending.all(holes, patience.progress, connections=self._task.connections)
        return self._close(sending, key)

    def _is_all_there(self, standing: Standing, found: Stored) -> bool:
        """Know also what another machine sent of the file; True if nothing is missing.

        Raises Vanished if it is not of this file, or was not coded as here.
        """
        journal = cast("Journal", self._journal)
        recode(journal, self._local, self._coding.level, found, self._memory, self._control.check)
        if standing.offset <= journal.table.stored_length:
            return False
        self._others = self._others or standing.crc is not None
        self._tail(None)
        end, whole = ours = cast("Note", self._note).marks[-1]
        alike = standing.crc in (None, whole) and found.prefix in (None, ours)
        if standing.offset != end or not alike:
            raise Vanished
        return True

    def _tail(self, key: tuple[int, bytes] | None) -> memoryview:
        """What stands behind the chunks; how long all is then, and its CRC64NVME, is remembered."""
        note, journal = cast("Note", self._note), cast("Journal", self._journal)
        number, secret = key if key is not None else (0, None)
        head = Head(
            file_id=journal.file_id, sealed=key is not None, key=number, record=journal.record
        )
        tail = memoryview(render(head, journal.table, secret))
        whole = combine(journal.table.crcs()[1], crc(tail), len(tail))
        self._note = replace(note, marks=((journal.table.stored_length + len(tail), whole),))
        self._notebook.write(self._note)
        return tail

    def _close(self, sending: Sending, key: tuple[int, bytes] | None) -> Standing:
        """Send the table; with it the upload is filled, and complete."""
        tail, start = self._tail(key), cast("Journal", self._journal).table.stored_length
        end = start + len(tail)
        fields = coded.chunk_fields(start, end, crc(tail), whole=end)

        def moved(count: int) -> None:
            self._meter.sent += count

        expect(sending.put(fields, tail, moved))
        return self._completed(self._stands())

    # --- the upload at the server ------------------------------------------------------------

    def _where(self) -> Standing:
        """How far the upload is at the server; it is created if there is none."""
        if self._note is None:
            self._forget()
            return self._create()
        if self._journal is None:
            raise Vanished
        return self._stands()

    def _stands(self) -> Standing:
        """Ask the server, which ends whoever else writes there."""
        url = cast("Note", self._note).url
        reply = self._peer.ask("HEAD", url, words.TUS, check=self._control.check)
        if reply.status == 409:  # it is filled and cannot complete; an answer with a body says why
            reply = self._peer.ask("POST", f"{self._ranges()}/complete", check=self._control.check)
        return words.standing(expect(reply).fields)

    def _ranges(self) -> str:
        key = cast("Note", self._note).url.rpartition("/")[2]
        return self._peer.address(f"ranges/{key}")

    def _create(self) -> Standing:
        task, source = self._task, self._source
        file_id = new_file_id()
        record = record_name(task.name, file_id) if self._coding.locks else ""
        if record:
            key = new_file_key()
            made = KeyRecord(file_id=file_id).added(key, self._coding.locks)
            coded.put_record(self._peer, record, made, etag=None)
            self._key = (file_id, 0, key)
        metadata = {
            **tus_metadata(task, source),
            "filetype": SEALED if record else PACKED,
            FILE: file_id.hex(),
            **({} if record else {coded.LENGTH: str(source.size)}),  # of a secret, no more is told
        }
        location = self._created(words.creation(None, metadata), record)
        self._keep(location, file_id, record)
        self._others = False
        return Standing(0)

    def _created(self, fields: coded.Fields, record: str) -> str:
        """Create the upload: its URL. If that fails, the record of its keys goes again."""
        files = self._peer.address("files/")
        try:
            reply = expect(self._peer.ask("POST", files, fields, check=self._control.check))
            location = reply.fields.get("location")
            if reply.status != 201 or not location:
                raise BadAnswer("The server did not say where the upload is.")
        except BaseException:
            if record:
                with suppress(TowpathError):
                    coded.remove_record(self._peer, record)
            raise
        return self._peer.address(location, files)

    def _file_key(self) -> tuple[int, bytes] | None:
        """The file key for the chunks to come, and its number. Raises WrongKey, StateConflict."""
        journal = cast("Journal", self._journal)
        if not journal.record:
            return None
        if self._key is not None and self._key[0] == journal.file_id:
            return self._key[1:]
        record, etag = coded.get_record(self._peer, journal.record, journal.file_id)
        if not record.is_for(self._coding.locks):
            raise _other_settings(self._task.path, "it was encrypted for other keys")
        if only_recipients(self._coding.locks):
            # whoever only writes to others cannot read the key: the rest gets one of its own
            key = new_file_key()
            record = record.added(key, self._coding.locks)
            coded.put_record(self._peer, journal.record, record, etag=etag)
        else:
            opens = [lock for lock in self._coding.locks if not isinstance(lock, Recipient)]
            key = record.open(opens)[-1]
        self._key = (journal.file_id, len(record.keys) - 1, key)
        return self._key[1:]

    def _begin(self, offset: int) -> None:
        if not self._begun:
            self._begun = True
            self._meter.begin(offset)
        self._meter.at(offset)
        self._meter.state(TransferState.RUNNING)

    def _completed(self, standing: Standing) -> Standing:
        """Every byte is there. If it is not complete, a word makes the server say why."""
        self._begin(self._source.size)
        if standing.crc is None:
            reply = self._peer.ask("POST", f"{self._ranges()}/complete", check=self._control.check)
            expect(reply)
            standing = self._stands()
        return standing

    def _finish(self, standing: Standing, began: float) -> UploadResult:
        task = self._task
        note, journal = cast("Note", self._note), cast("Journal", self._journal)
        ours = note.marks[-1][1]
        if standing.crc is not None and standing.crc != ours:
            self._mismatch(standing.crc, ours)
        whole = journal.table.crcs()[0]
        self._forget()
        self._meter.state(TransferState.COMPLETE)
        return UploadResult(
            transfer_id=task.id,
            name=standing.name or task.name,
            path=task.path,
            url=note.url,
            length=self._source.size,
            crc64nvme=f"{whole:016x}",
            verified=standing.crc is not None,
            resumed_from=self._meter.resumed_from,
            sent_bytes=self._meter.sent,
            seconds=time.monotonic() - began,
        )

    def _mismatch(self, theirs: int, ours: int) -> None:
        """The server has other bytes: take them away again and say so."""
        gone = False
        with suppress(TowpathError):
            gone = self._peer.ask("DELETE", self._ranges(), again=True).ok
        self._forget()
        raise DigestMismatch(
            f"What the server has of {self._task.path} are not the bytes that were sent.",
            why=f"Their CRC64NVME is {theirs:016x} there and {ours:016x} here.",
            todo=removed(gone=gone),
        )


def discard(peer: Peer, notebook: Notebook, note_id: str) -> None:
    """Give an upload up: forget it, and remove it from the server, which removes its keys, too."""
    note = notebook.read(note_id)
    notebook.remove(note_id)
    _rows(notebook, note_id).unlink(missing_ok=True)
    if note is not None:  # it may have been complete when somebody was killed
        peer.ask("DELETE", note.url, words.TUS, again=True)


def _rows(notebook: Notebook, note_id: str) -> Path:
    return notebook.folder / f"{note_id}.chunks"


def _other_settings(path: str, why: str) -> StateConflict:
    return StateConflict(
        f"The upload of {path} began in another way.",
        why=f"When it began, {why}; that cannot change on the way.",
        todo="Say the same again, or start over (--restart).",
    )
