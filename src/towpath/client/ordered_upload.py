"""Carry one file by one connection, from the first byte to the last: by tus, or by RUFH.

Rules: the upload's URL is on disk before the first byte leaves; after a failure the server says
what it has, and only the rest goes; the source is looked at before every block, so that bytes of
two states of a file are never mixed into one complete upload. What the server speaks is asked of
it before an upload is created, and stays as it was until the upload ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from towpath.client import words
from towpath.client.beginning import new_note
from towpath.client.blocks import Blocks, crc64nvme
from towpath.client.ordered_words import Tus, spoken, spoken_in
from towpath.client.peer import Reply, expect
from towpath.client.progress import TransferState
from towpath.client.results import Arrived
from towpath.client.resume import Marker, Note, Source
from towpath.client.retry import Patience
from towpath.client.words import Fields, Standing
from towpath.errors import BadAnswer, Cut, Expired, NotFound, SourceChanged, TowpathError

if TYPE_CHECKING:
    from towpath.client.ordered_words import Rufh
    from towpath.client.upload import Errand

_GONE = (NotFound, Expired)
_FRESH_STARTS = 3  # uploads that may vanish on the server before we give up
_PROXY_CHUNK = 64 * 1024 * 1024  # bytes: the first guess at what a proxy lets through
_SMALLEST_CHUNK = 1024 * 1024


class OrderedUpload:
    """One file on its way."""

    def __init__(self, errand: Errand) -> None:
        self._task = errand.task
        self._peer = errand.peer
        self._notebook = errand.notebook
        self._control = errand.control
        self._meter = errand.meter
        self._memory = errand.memory
        self._file = errand.file
        self._source = errand.source
        self._chunk = self._task.chunk_size
        self._dialect: Tus | Rufh = Tus()
        self._marker: Marker | None = None
        self._known: tuple[int, int | None] = (0, 0)  # offset, CRC64NVME of what lies before it
        self._best = 0  # the furthest offset that the server confirmed

    def run(self, note: Note | None, patience: Patience) -> Arrived:
        """Carry it through. `note`: what an earlier run left.

        Raises Stopped when asked to, SourceChanged, TowpathError when it cannot be done.
        """
        if note is not None:
            self._dialect = spoken_in(note.dialect)
            self._marker = Marker(self._notebook, note)
        with self._memory.block(self._control.check) as buffer:
            self._blocks = Blocks(self._file, buffer)
            try:
                standing = self._carry(patience)
                self._known = (self._source.size, self._crc_at(self._source.size))
            except BaseException:
                if self._marker is not None and self._known[0]:
                    self._marker.begin(*self._known)
                raise
        assert self._marker is not None  # noqa: S101 - `_carry` came first
        url = self._marker.note.url
        return Arrived(
            url=url, object=url, name=standing.name, crc=standing.crc, ours=self._known[1]
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
                self._resumed(standing, patience)
                while not self._dialect.is_complete(standing, self._source.size):
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
        if standing.most is not None:
            self._chunk = min(self._chunk or standing.most, max(standing.most, 1))
        self._meter.at(standing.offset)
        self._meter.state(TransferState.RUNNING)

    def _where(self) -> Standing:
        """How far the upload is at the server; it is created if there is none."""
        if self._marker is None:
            return self._create()
        reply = self._ask("HEAD", self._dialect.asking)
        if reply.status == 409:  # it cannot complete; an answer with a body says why
            size = self._source.size
            reply = self._ask("PATCH", self._dialect.chunk(size, size, size))
        return self._dialect.standing(expect(reply).fields)

    def _create(self) -> Standing:
        refused: Reply | None = None
        for dialect in self._likely():
            made = self._created_by(dialect)
            if isinstance(made, Standing):
                return made
            refused = refused or made
            if words.speaks_tus(made.fields):
                break
        if refused is not None:
            expect(refused)
        raise BadAnswer("The server did not say where the upload is.")

    def _likely(self) -> Iterator[Tus | Rufh]:
        """What the server may speak: most speak tus, so that is tried before anybody is asked."""
        first = next(spoken(self._peer.heard), Tus())
        yield first
        for dialect in spoken(self._peer.options(self._control.check)):
            if dialect.dialect != first.dialect:
                yield dialect

    def _created_by(self, dialect: Tus | Rufh) -> Standing | Reply:
        """Where the new upload stands, or what the server answered instead."""
        files, check = self._peer.address("files/"), self._control.check
        fields = dialect.creation(self._task, self._source)
        reply = self._peer.ask("POST", files, fields, check=check)
        place = reply.fields.get("location")
        if reply.status != 201 or not place:
            return reply
        url = self._peer.address(place, files)
        note = new_note(self._task, self._peer, self._source, url, dialect.dialect)
        self._marker, self._dialect = Marker(self._notebook, note), dialect
        return dialect.created(reply.fields, self._source.size)

    def _send(self, offset: int) -> Standing:
        """Send one chunk, by default all that is left; return where the upload stands then."""
        end = min(self._source.size, offset + (self._chunk or self._source.size))
        crc = self._crc_at(offset)
        assert self._marker is not None  # noqa: S101 - `_where` came first
        self._marker.begin(offset, crc)
        with self._peer.open(
            "PATCH",
            self._marker.note.url,
            self._dialect.chunk(offset, end, self._source.size),
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
            return self._after_chunk(exchange.reply(), offset, position, end)

    def _after_chunk(self, reply: Reply, offset: int, position: int, end: int) -> Standing:
        """Where the upload stands; `position`: the offset after the last byte that went out."""
        if reply.ok:
            size = self._source.size
            standing = self._dialect.taken(reply.fields, position, end, size)
            if not offset <= standing.offset <= end:
                raise BadAnswer(
                    "The server's offset cannot be.",
                    why=f"It is {standing.offset} after bytes {offset} to {end}.",
                )
            if standing.offset == offset and not self._dialect.is_complete(standing, size):
                raise Cut("The server took nothing of what was sent.")
            return standing
        if reply.status == 413 and not self._dialect.is_its_own(reply.fields):
            guess = min(_PROXY_CHUNK, (end - offset) // 2)  # a proxy said so, not the server
            if guess >= _SMALLEST_CHUNK:
                self._chunk = guess
                return Standing(offset)
        expect(reply)
        raise BadAnswer("The server's answer means nothing here.")  # pragma: no cover

    def _next_block(self, position: int, end: int) -> memoryview:
        self._control.check()
        view = self._blocks.read(position, end - position)
        self._source.insist(Source.of(os.fstat(self._file.fileno())), self._task.path)
        if not view:
            raise SourceChanged(f"{self._task.path} has become shorter while it was read.")
        return view

    def _completed(self, standing: Standing) -> Standing:
        """Every byte is there. Ask once more if the server has not said what it made of them."""
        if standing.crc is not None or not self._dialect.stays:
            return standing
        again = words.standing(expect(self._ask("HEAD", words.TUS)).fields)
        if again.crc is None:  # filled but without a name, say: an empty chunk makes it speak
            reply = self._ask("PATCH", words.chunk(self._source.size))
            if reply.ok:
                again = words.standing(reply.fields)
            elif reply.status != 404:
                expect(reply)
        return again._replace(name=again.name or standing.name)

    def _crc_at(self, offset: int) -> int | None:
        """The CRC64NVME of the source's first `offset` bytes; reads what was not remembered."""
        if not self._task.verify:
            return None
        if self._known[0] != offset or self._known[1] is None:
            start, crc = self._marker.note.before(offset) if self._marker else (0, 0)
            self._known = (offset, self._blocks.crc(start, offset, crc, self._control.check))
        return self._known[1]

    def _ask(self, method: str, fields: Fields) -> Reply:
        assert self._marker is not None  # noqa: S101 - asked only of an upload that exists
        return self._peer.ask(method, self._marker.note.url, fields, check=self._control.check)
