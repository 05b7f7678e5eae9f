"""What a client remembers of a transfer, so that the same call goes on where it stopped.

Rules: one JSON file a transfer, `<id>.json` (see `sealed`); one `<id>.lock` while a process carries
the transfer. The id follows from server, name and path alone, so a changed file is found again and
noticed. No secret is ever written.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from towpath.client.filelock import hold
from towpath.client.progress import Direction
from towpath.client.sealed import jot, seal, unsealed
from towpath.errors import SourceChanged, TransferError

_log = logging.getLogger(__name__)

VERSION = 4
_READABLE = (1, 2, 3, 4)  # what an earlier one had says the same in a later one
RANGES = "ranges"  # the dialect of a transfer in any order
JOINED = "joined"  # that of an upload in parts, by tus
WHOLE = "whole"  # that of a small file that goes in one request
SPAN = 64 * 1024 * 1024  # bytes between two marks
_KEPT = 64  # marks; a server that fell back further makes the client read its prefix again
_SAVE_SECONDS = 0.5  # marks are not written more often


@dataclass(frozen=True, slots=True)
class Source:
    """Which file it is, and in which state: another size or time means other bytes.

    `changed_ns`: when anything of it changed last, also if that was its time; 0: nobody knows.
    """

    size: int
    mtime_ns: int
    device: int
    inode: int
    changed_ns: int = field(default=0, compare=False)

    @classmethod
    def of(cls, stat: os.stat_result) -> Source:
        """From what the system says."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino, stat.st_ctime_ns)

    def insist(self, now: Source, path: str) -> None:
        """Raise SourceChanged unless `now` is the same file, of the same size and time."""
        if now != self:
            self._insist(now, path, [one.name for one in fields(self) if one.compare])

    def insist_alike(self, now: Source, path: str) -> None:
        """Raise SourceChanged unless `now` has the same size and time."""
        self._insist(now, path, ["size", "mtime_ns"])

    def is_surely(self, now: Source) -> bool:
        """True if nothing at all has changed; False if that has to be looked at."""
        return self == now and self.changed_ns in (0, now.changed_ns)

    def _insist(self, now: Source, path: str, names: list[str]) -> None:
        changes = [
            f"{name} was {getattr(self, name)}, is {getattr(now, name)}"
            for name in names
            if getattr(self, name) != getattr(now, name)
        ]
        if changes:
            raise SourceChanged(
                f"{path} has changed since this transfer began.",
                why=f"Its {'; its '.join(changes)}.",
                todo="To send the file as it is now, start over (--restart).",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One transfer that is not finished. Times are seconds since 1970."""

    id: str
    direction: Direction
    server: str
    name: str  # on the server
    path: str  # here, absolute
    url: str  # of the upload, or of the object
    etag: str = ""
    source: Source | None = None
    length: int | None = None
    offset: int = 0  # as last known; the truth is asked for
    marks: tuple[tuple[int, int], ...] = ()  # (offset, CRC64NVME of the bytes before it)
    dialect: str = ""  # "ranges": in any order; "joined": in parts; "": in order, by one connection
    spans: tuple[tuple[int, int, int], ...] = ()  # (start, end, CRC64NVME) that need not travel
    parts: tuple[
        tuple[int, int, str], ...
    ] = ()  # (start, end, URL once there is one), to be joined
    unheard: bool = False  # the server was asked to join them; what came of it is not known
    on_conflict: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[tuple[str, str], ...] = ()  # what each is, and its file if it is in one
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)

    def before(self, offset: int) -> tuple[int, int]:
        """The last mark at or before `offset`; (0, 0) if there is none."""
        return max((mark for mark in self.marks if mark[0] <= offset), default=(0, 0))

    def marked(self, offset: int, crc: int | None) -> Note:
        """At `offset`, with one more mark (None: nobody computes it); those beyond it are void."""
        marks = tuple(mark for mark in self.marks if mark[0] < offset)
        if crc is not None and offset:
            marks = (*marks, (offset, crc))[-_KEPT:]
        return replace(self, marks=marks, offset=offset, updated_at=time.time())


def transfer_id(direction: Direction, server: str, name: str, path: str) -> str:
    """What a transfer is called on this machine: the same call has the same id."""
    key = f"{direction}\0{server}\0{name}\0{path}"
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Notebook:
    """The folder of notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, note_id: str) -> Note | None:
        """The note of that id; None if there is none or it is torn."""
        path = self._path(note_id)
        found = unsealed(path)
        if found is None:
            return None
        version, note = found
        if version not in _READABLE:
            raise TransferError(
                f"{path} was written by another version of Towpath.",
                todo="Finish the transfer with that version, or start over (--restart).",
            )
        return _note(note)

    def write(self, note: Note) -> None:
        """Keep it, also if the power fails."""
        seal(self._path(note.id), VERSION, asdict(note))

    def jot(self, note: Note) -> None:
        """Keep a new one, of which nothing has happened yet, if the process is killed later.

        The note is locked. A power cut may take it.
        """
        said = {one.name: getattr(note, one.name) for one in fields(note)}
        source = None if note.source is None else asdict(note.source)
        jot(self._path(note.id), VERSION, {**said, "source": source})

    def remove(self, note_id: str) -> None:
        """Forget it."""
        self._path(note_id).unlink(missing_ok=True)

    def all(self) -> Iterator[Note]:
        """Every note, oldest first; those of another version are left alone."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                note = self.read(path.stem)
            except TransferError as error:
                _log.warning("%s", error)
                continue
            if note is not None:
                found.append(note)
        yield from sorted(found, key=lambda note: note.created_at)

    @contextmanager
    def lock(self, note_id: str) -> Iterator[None]:
        """Carry the transfer alone. Raises StateConflict when another process does."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold(self.folder / f"{note_id}.lock"):
            yield

    def insist_alone(self, note_id: str) -> None:
        """Raise StateConflict while a process carries the transfer."""
        with self.lock(note_id):
            return

    def _path(self, note_id: str) -> Path:
        return self.folder / f"{note_id}.json"


class Marker:
    """Keeps a running transfer's note: a mark every SPAN bytes, written at most twice a second."""

    def __init__(self, notebook: Notebook, note: Note) -> None:
        self._notebook = notebook
        self.note = note
        self._next = note.offset + SPAN
        self._saved, self._written = note, time.monotonic()
        notebook.write(note)

    def passed(self, offset: int, crc: int | None) -> None:
        """The bytes before `offset` went by, and this is their CRC64NVME."""
        if offset >= self._next:
            self._next = offset + SPAN
            self.note = self.note.marked(offset, crc)
            if time.monotonic() - self._written >= _SAVE_SECONDS:
                self.write()

    def holds(self, spans: tuple[tuple[int, int, int], ...], count: int) -> None:
        """These ranges, `count` bytes in all, are safe; written at most twice a second."""
        self.note = replace(self.note, spans=spans, offset=count, updated_at=time.time())
        if time.monotonic() - self._written >= _SAVE_SECONDS:
            self.write()

    def consists(
        self,
        parts: tuple[tuple[int, int, str], ...],
        url: str,
        *,
        unheard: bool | None = None,
    ) -> None:
        """The upload has these parts, and is at `url` once they are joined; written at once.

        `unheard`: they may have been joined at an address that nobody knows; None: as before.
        """
        now, unheard = time.time(), self.note.unheard if unheard is None else unheard
        self.note = replace(self.note, parts=parts, url=url, unheard=unheard, updated_at=now)
        self.write()

    def begin(self, offset: int, crc: int | None) -> None:
        """The other side has `offset` bytes, and this is their CRC64NVME: go on from there."""
        self.note = self.note.marked(offset, crc)
        self._next = offset + SPAN
        if replace(self.note, updated_at=self._saved.updated_at) != self._saved:
            self.write()

    def write(self) -> None:
        """Make it last."""
        self._notebook.write(self.note)
        self._saved, self._written = self.note, time.monotonic()


def _note(found: Mapping[str, Any]) -> Note:
    source = found["source"]
    return Note(
        **{
            **found,
            "direction": Direction(found["direction"]),
            "source": None if source is None else Source(**source),
            "marks": tuple((offset, crc) for offset, crc in found["marks"]),
            "spans": tuple((start, end, crc) for start, end, crc in found.get("spans", [])),
            "keys": tuple((kind, path) for kind, path in found.get("keys", [])),
            "parts": tuple((start, end, url) for start, end, url in found.get("parts", [])),
        }
    )
