"""Carry one small file to the server in one request: created, sent and proven in one go.

Rules: the file is read whole before anything is sent, so that it is one state of it; the server is
told a digest, and has all of it or nothing; every try of one upload carries the same mark, so that
a server that has the object already answers with it and makes no second one. The mark is made of
the note, which outlives a kill. A power cut may take the note: so it waits for no disk.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from towpath.client import words
from towpath.client.beginning import new_note
from towpath.client.blocks import Blocks, crc64nvme
from towpath.client.control import Control
from towpath.client.memory import Memory
from towpath.client.peer import Peer, Reply, expect
from towpath.client.persist import persist
from towpath.client.progress import Meter
from towpath.client.results import Arrived
from towpath.client.resume import WHOLE, Notebook, Source
from towpath.client.retry import Patience, may_pass
from towpath.client.words import Standing
from towpath.errors import BadAnswer, Cut, DigestMismatch, SourceChanged, TowpathError

if TYPE_CHECKING:
    from towpath.client.upload import UploadTask

SMALL = 64 * 1024
"""Bytes; what is longer goes by ways that need not begin anew after a cut."""

T = TypeVar("T")

_NEEDED = frozenset({"creation-with-upload", "checksum"})  # extensions of tus


class WholeUpload:
    """One small file on its way."""

    def __init__(
        self, peer: Peer, notebook: Notebook, control: Control, meter: Meter, memory: Memory
    ) -> None:
        self._peer = peer
        self._notebook = notebook
        self._control = control
        self._meter = meter
        self._memory = memory
        self._files = peer.address("files/")

    def run(
        self,
        task: UploadTask,
        file: io.FileIO,
        source: Source,
        metadata: Mapping[str, str],
        patience: Patience,
    ) -> Arrived | None:
        """Carry it through; None if the server does not know how. `source`: its state.

        Raises Stopped when asked to, SourceChanged, TowpathError when it cannot be done.
        """
        if not self._persist(patience, self._knows_how):
            self._notebook.remove(task.id)
            return None
        with self._memory.block(self._control.check) as buffer:
            view = Blocks(file, buffer).read(0, source.size)
            source.insist(Source.of(os.fstat(file.fileno())), task.path)
            if len(view) != source.size:
                raise SourceChanged(f"{task.path} has become shorter while it was read.")
            ours = crc64nvme(view, 0) if task.verify else None
            digest = hashlib.sha256(view).digest() if task.verify and view else None
            mark = self._mark(task, source)
            fields = words.whole(source.size, {**metadata, words.ATTEMPT: mark}, digest)
            self._meter.begin(0)
            try:
                reply = self._persist(patience, lambda: self._send(view, fields))
            except TowpathError as error:
                if not may_pass(error):  # else it may be there already, and the mark is needed
                    self._notebook.remove(task.id)
                raise
        url = self._peer.address(reply.fields["location"], self._files)
        told = "upload-offset" in reply.fields  # which need not be, where no byte came
        standing = words.standing(reply.fields) if told else Standing(0)
        if standing.offset != source.size:  # not as the extension has it: the long way is left
            self._withdraw(url)
            self._notebook.remove(task.id)
            return None
        self._meter.at(source.size)
        return Arrived(url=url, object=url, name=standing.name, crc=standing.crc, ours=ours)

    def _persist(self, patience: Patience, act: Callable[[], T]) -> T:
        return persist(act, patience, self._control, self._meter)

    def _knows_how(self) -> bool:
        return self._peer.extensions(self._control.check) >= _NEEDED

    def _mark(self, task: UploadTask, source: Source) -> str:
        """What tells this upload from all others, in every try of it."""
        note = self._notebook.read(task.id)
        if note is None or (note.source, note.on_conflict, dict(note.metadata)) != (
            source,
            task.on_conflict,
            dict(task.metadata),
        ):
            note = new_note(task, self._peer, source, "files/", WHOLE)
            self._notebook.jot(note)
        return f"{int(note.created_at * 1_000_000):x}"

    def _send(self, view: memoryview, fields: Mapping[str, str]) -> Reply:
        self._meter.at(0)
        check = self._control.check
        with self._peer.open(
            "POST", self._files, fields, length=len(view), check=check
        ) as exchange:
            if exchange.send(view):
                self._meter.moved(len(view))
            reply = exchange.reply()
        location = reply.fields.get("location")
        if not reply.ok and location:
            self._withdraw(self._peer.address(location, self._files))
        try:
            expect(reply)
        except DigestMismatch as error:
            raise Cut("Bytes were changed on the way.", why=error.why) from error
        if reply.status != 201 or not location:
            raise BadAnswer("The server did not say where the upload is.")
        return reply

    def _withdraw(self, url: str) -> None:
        """Take away what is not whole; if that fails, it expires."""
        with suppress(TowpathError):
            self._peer.ask("DELETE", url, words.TUS, check=self._control.check)
