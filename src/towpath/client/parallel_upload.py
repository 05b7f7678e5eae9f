"""Carry one file by many connections at once, in the dialect of ranges.

Rules: the server says what is missing, whenever it may know better; what the server acknowledged is
kept with its checksum, and read again only where the checksum was lost. At a pause it is asked what
it has of the chunks that were cut; more than it says is never told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from towpath.client import parallel_words as words
from towpath.client.beginning import new_note
from towpath.client.blocks import crc64nvme
from towpath.client.control import Stop, Stopped
from towpath.client.elsewhere import FINGERPRINT
from towpath.client.parallel import Attempt, Crew, TooWide
from towpath.client.peer import Reply, expect
from towpath.client.persist import persist
from towpath.client.results import Arrived
from towpath.client.resume import RANGES, Marker, Note
from towpath.client.retry import Patience, longest_making
from towpath.client.tuning import LARGEST, MOST, NEAR, SWIFT, Tuner
from towpath.client.watched import Watched
from towpath.core.digest import CRC64NVME
from towpath.core.ranges import Extent, Span
from towpath.core.state import UploadState
from towpath.errors import (
    BadAnswer,
    Cut,
    Expired,
    NotFound,
    TowpathError,
    TransferError,
)
from towpath.protocol.ranges.told import Told

if TYPE_CHECKING:
    from towpath.client.upload import Errand

_FRESH_STARTS = 3  # uploads that may vanish on the server before we give up
_SEALING_SECONDS = 0.2  # between two looks at an upload that the store makes an object of
_SOON = 2.0  # seconds that whoever pauses waits for an answer at most

T = TypeVar("T")


class ParallelUpload:
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
        self._extent = Extent()  # what the server acknowledged and we know the CRC of
        self._begun = False
        self._done: Told | None = None  # as the answer to the last range told it
        self._check = self._control.check
        self._most = self._task.connections or MOST
        self._tuner = Tuner(
            self._most,
            largest=self._task.chunk_size or LARGEST,
            swift=0 if self._task.chunk_size else SWIFT,
            near=NEAR,
        )

    def run(self, note: Note | None, patience: Patience) -> Arrived | None:
        """Carry it through; None if the server does not speak this dialect.

        `note`: what an earlier run left. Raises Stopped, TowpathError.
        """
        vanished = 0
        crc64nvme(memoryview(b""))  # loaded now: the first chunk is to tell of the wire alone
        while True:
            self._marker = None if note is None else Marker(self._notebook, note)
            try:
                missing: list[tuple[int, int]] | None = None
                if self._marker is None:
                    if not self._persist(patience, self._create):
                        return None
                    missing = self._begin([(0, self._source.size)])
                return self._carry(missing, patience)
            except (NotFound, Expired):
                vanished += 1
                if self._marker is None or vanished > _FRESH_STARTS:
                    raise
                self._notebook.remove(self._task.id)
                note, self._extent, self._done = None, Extent(), None

    def _carry(self, missing: list[tuple[int, int]] | None, patience: Patience) -> Arrived:
        """Send what is missing, until nothing is; None: the server is to be asked."""
        before = self._source.size + 1
        while self._done is None and (missing := missing or self._persist(patience, self._missing)):
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
            )
            self._check = crew.check
            try:
                crew.run(self._meter, self._keep)
            except Stopped as stopped:
                if stopped.why is Stop.PAUSE:
                    self._look_back()
                raise
            finally:
                self._check, missing = self._control.check, None
                self._extent = crew.extent
                if self._done is None:  # else it is forgotten in a moment
                    self._remember()
        done = self._done or self._completed(patience)
        crc = done.digests.get(CRC64NVME)
        return Arrived(
            url=self._note.url,
            object=self._peer.address(f"files/{done.id}"),
            name=done.name,
            crc=None if crc is None else int.from_bytes(crc, "big"),
            ours=self._watched.whole_crc(self._extent, self._check) if self._task.verify else None,
        )

    @property
    def _note(self) -> Note:
        assert self._marker is not None  # noqa: S101 - `_create` came first
        return self._marker.note

    def _persist(self, patience: Patience, act: Callable[[], T]) -> T:
        """Try until it works."""
        return persist(act, patience, self._control, self._meter)

    def _create(self) -> bool:
        """Begin the upload; False if the server does not know how."""
        task, source = self._task, self._source
        metadata = {
            **task.metadata,
            "filename": Path(task.path).name,
            "mtime": str(source.mtime_ns // 1_000_000),
            **({FINGERPRINT: task.fingerprint} if task.fingerprint else {}),
        }
        body = words.creation(source.size, task.name, task.on_conflict, metadata)
        place = self._peer.address(words.PLACE)
        reply = self._ask("POST", place, body)
        made = words.created(reply)
        if made is None:
            return False
        location = reply.fields.get("location")
        if reply.status != 201 or not location:
            raise BadAnswer("The server did not say where the upload is.")
        url = self._peer.address(location, place)
        self._marker = Marker(self._notebook, new_note(task, self._peer, source, url, RANGES))
        return True

    def _missing(self, ask: Callable[[str, str], Reply] | None = None) -> list[tuple[int, int]]:
        """Ask for all that is missing, and believe no more of the note than the server does."""
        ask = ask or self._ask
        missing: list[tuple[int, int]] = []
        after: int | None = 0
        while after is not None:
            page = words.page(ask("GET", words.look(self._note.url, after)))
            if page.upload.length != self._source.size:
                raise BadAnswer(
                    "The upload has another length than the file.",
                    why=f"It is {page.upload.length}, not {self._source.size}.",
                    todo="Start over (--restart).",
                )
            missing += [(start, end or self._source.size) for start, end in page.missing]
            after = page.next
        known = self._extent.spans() if self._begun else [Span(*each) for each in self._note.spans]
        self._extent = Extent()
        for span in known:
            if not any(start < span.end and span.start < end for start, end in missing):
                self._extent = self._extent.add(span)
        return self._begin(missing)

    def _begin(self, missing: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """What is missing is known, so it is known how far the upload is."""
        safe = self._source.size - sum(end - start for start, end in missing)
        if not self._begun:
            self._begun = True
            self._meter.begin(safe)
        self._meter.at(safe)
        return missing

    def _look_back(self) -> None:
        """Learn what the server has of the chunks that a pause cut, if it says so soon."""
        hurried = self._peer.hurried(_SOON)
        try:
            with suppress(TowpathError):  # what was acknowledged before stands
                missing = self._missing(hurried.ask)
                left = sum(end - start for start, end in missing)
                self._keep(self._extent, self._source.size - left)
        finally:
            hurried.done_with()

    def _keep(self, extent: Extent, safe: int | None = None) -> None:
        assert self._marker is not None  # noqa: S101 - `_create` came first
        self._extent = extent
        spans = tuple((span.start, span.end, span.crc) for span in extent.spans())
        self._marker.holds(spans, extent.total if safe is None else safe)

    def _remember(self) -> None:
        assert self._marker is not None  # noqa: S101 - `_create` came first
        self._marker.write()

    # -- in the carriers' threads

    def _send(self, attempt: Attempt) -> None:
        """Send a range; of a doubtful one only what did not get through."""
        missing: Iterable[tuple[int, int | None]] = [(attempt.start, attempt.end)]
        if attempt.doubtful:
            page = words.page(self._ask("GET", words.look(self._note.url, attempt.start)))
            missing = page.missing
            for start, end in _within(attempt, page.durable):
                attempt.safe.append(Span(start, end, self._watched.crc(start, end, self._check)))
                attempt.found += end - start
        for start, end in _within(attempt, missing):
            self._send_run(attempt, start, end)

    def _send_run(self, attempt: Attempt, start: int, end: int) -> None:
        check = self._check
        fields = words.chunk(start, end, self._source.size)
        with (
            self._memory.block(check) as buffer,
            self._peer.open(
                "PUT", self._note.url, fields, length=end - start, check=check
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
        if reply.status == 413 and "json" not in reply.fields.get("content-type", ""):
            try:
                expect(reply)  # a proxy said so: the server explains itself in JSON
            except TowpathError as error:
                raise TooWide(error) from error
        told = words.told(reply)
        if told.state is UploadState.COMPLETE:
            self._done = told
        if position < end:
            raise Cut("The server answered before it had all of the range.")
        attempt.safe.append(Span(start, end, crc))

    # -- at the end

    def _completed(self, patience: Patience) -> Told:
        """What the server made of it, once it has."""
        told = self._sealed(patience)
        if told.state in (UploadState.OPEN, UploadState.FILLED):  # without its name, say
            url = f"{self._note.url}/complete"
            told = self._persist(patience, lambda: words.told(self._ask("POST", url)))
        if told.state is not UploadState.COMPLETE:
            self._notebook.remove(self._task.id)
            raise TransferError(
                f"The server did not keep {self._task.path}.",
                why=f"The upload is {told.state}{': ' if told.reason else ''}{told.reason}.",
                todo="Send it again.",
            )
        return told

    def _sealed(self, patience: Patience) -> Told:
        """Wait while the server makes an object of it."""
        url = words.look(self._note.url, 0)
        ends = patience.until(longest_making(self._source.size))
        while True:
            told = self._persist(patience, lambda: words.told(self._ask("GET", url)))
            if told.state is not UploadState.SEALING:
                return told
            if time.monotonic() >= ends:
                unfinished = TransferError(
                    f"The server has not made an object of {self._task.path} yet.",
                    why="It has all bytes, and its store still works on them.",
                    todo="Run the same again later: no byte is sent twice.",
                )
                unfinished.retryable = True
                raise unfinished
            self._control.sleep(_SEALING_SECONDS)

    def _ask(self, method: str, url: str, body: bytes = b"") -> Reply:
        """A small request and its answer."""
        fields = words.JSON if body else {}
        length = len(body) if method == "POST" else None
        began = time.monotonic()
        with self._peer.open(method, url, fields, length=length, check=self._check) as exchange:
            if body:
                exchange.send(memoryview(body))
            reply = exchange.reply()
        self._tuner.answered(time.monotonic() - began)
        return reply


def _within(attempt: Attempt, runs: Iterable[tuple[int, int | None]]) -> Iterator[tuple[int, int]]:
    """The parts of the runs that lie within the attempt."""
    for first, last in runs:
        start = max(first, attempt.start)
        end = attempt.end if last is None else min(last, attempt.end)
        if start < end:
            yield start, end
