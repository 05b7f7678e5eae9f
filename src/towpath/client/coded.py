"""What a coded transfer is: how its chunks are coded, and the small objects that go with it.

Rules: the record of a file's keys is durable before the first chunk leaves; no key is ever written
here, nor said in an address.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from towpath.client.peer import Peer, Reply, expect
from towpath.codec import MEDIA_TYPES
from towpath.codec.beside import RECORD_TYPE, record_name
from towpath.codec.compress import LEVEL
from towpath.errors import Malformed, NotFound, StateConflict, Unreadable

if TYPE_CHECKING:
    from towpath.client.coded_upload import CodedUpload
    from towpath.client.control import Control
    from towpath.client.memory import Memory
    from towpath.client.progress import Meter
    from towpath.client.results import UploadResult
    from towpath.client.resume import Note, Notebook
    from towpath.client.retry import Patience
    from towpath.client.upload import UploadTask
    from towpath.codec.container import Head
    from towpath.codec.keys import Locks, Opens
    from towpath.codec.record import KeyRecord

CHUNK = 4 * 1024 * 1024  # plain bytes
_LARGE = 256 * 1024 * 1024  # bytes of a file from which on chunks that are only sealed are longer
_LARGE_CHUNK = 7680 * 1024  # the usual budget of memory holds four of them
_BLOCK = 1024 * 1024  # bytes sent at once
_MOST_CHUNKS = 1_000_000  # of one file; larger files get larger chunks
_SMALLEST, _LARGEST = 64 * 1024, 64 * 1024 * 1024
_LEVELS = {"no": 0, "auto": LEVEL, **{str(level): level for level in range(1, 10)}}

Fields = Mapping[str, str]

AS_STORED = {"Accept": ", ".join(MEDIA_TYPES)}
"""Asks the server for chunks: others get a file that is only compressed undone."""

NOTED = "towpath-coding"
"""The metadata that says how an upload is coded: a run that would code it otherwise notices."""

LENGTH = "towpath-length"
"""The metadata that says how many bytes the file of a coded object has."""


class Coding(NamedTuple):
    """How a file is coded on its way. `locks`: whom its key is wrapped for; empty: it is open."""

    level: int  # of zstd; 0: it is not compressed
    locks: tuple[Locks, ...] = ()

    @property
    def noted(self) -> str:
        """What is remembered of it."""
        packed = "zstd" if self.level == LEVEL else f"zstd-{self.level}" if self.level else ""
        return " ".join(filter(None, (packed, "sealed" if self.locks else "")))


def coding_of(compress: str, encrypt: Sequence[Locks]) -> Coding | None:
    """How a file shall be coded; None: not at all. Raises Malformed."""
    if compress not in _LEVELS:
        raise Malformed("compress is neither auto, no nor a level from 1 to 9.", field="compress")
    level = _LEVELS[compress]
    return Coding(level, tuple(encrypt)) if level or encrypt else None


def is_sealed(note: Note) -> bool:
    """True for an unfinished upload that is encrypted."""
    return "sealed" in note.metadata.get(NOTED, "").split()


def compress_of(note: Note, encrypt: Sequence[Locks]) -> str:
    """How an unfinished upload is compressed. Raises StateConflict if it lacks its keys."""
    if is_sealed(note) and not encrypt:
        raise StateConflict(
            f"The upload of {note.path} is encrypted.",
            why="Its keys are kept nowhere.",
            todo="Give them as when it began: it goes on where it was.",
        )
    said = [word for word in note.metadata.get(NOTED, "").split() if word != "sealed"]
    level = said[0].removeprefix("zstd").removeprefix("-") if said else "no"
    return level or "auto"


def places(keys: Sequence[Locks | Opens]) -> tuple[tuple[str, str], ...]:
    """What may be remembered of keys: what each is, and the file it came from, if it did."""
    return tuple((key.kind, key.path) for key in keys)


def give_up(peer: Peer, notebook: Notebook, note: Note) -> bool:
    """Remove what is half done of a coded upload, here and at the server; False: it is none."""
    if NOTED not in note.metadata:
        return False
    from towpath.client.coded_upload import discard  # noqa: PLC0415 - slow to import

    with notebook.lock(note.id):
        discard(peer, notebook, note.id)
    return True


def metadata_of(note: Note) -> dict[str, str]:
    """What its caller gave an unfinished upload to keep."""
    return {key: value for key, value in note.metadata.items() if key != NOTED}


class Coded:
    """A coded upload whose code is loaded in the thread that carries it."""

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
        self._rest = (task, coding, peer, notebook, control, meter, memory)
        self._upload: CodedUpload | None = None

    def run(self, patience: Patience) -> UploadResult:
        """Carry it through."""
        return self._loaded().run(patience)

    def discard(self) -> None:
        """Give it up, here and at the server."""
        self._loaded().discard()

    def _loaded(self) -> CodedUpload:
        from towpath.client.coded_upload import CodedUpload  # noqa: PLC0415 - slow to import

        if self._upload is None:
            self._upload = CodedUpload(*self._rest)
        return self._upload


def chunk_size(length: int, asked: int | None, level: int) -> int:
    """Plain bytes of each chunk of a file of `length` bytes; `level` as of a Coding.

    What is compressed is there whole, twice, while it is coded, so its chunks are shorter.
    """
    needed = -(-length // _MOST_CHUNKS)
    usual = CHUNK if level or length < _LARGE else _LARGE_CHUNK
    wanted = usual if asked is None else max(_SMALLEST, asked)
    return min(_LARGEST, max(wanted, needed))


def put_record(peer: Peer, name: str, record: KeyRecord, *, etag: str | None) -> None:
    """Store a record. `etag`: of the one that it replaces; None: there must be none."""
    data = record.render()
    condition = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
    fields = {"Content-Type": RECORD_TYPE, **condition}
    url = _address(peer, name)
    with peer.open("PUT", url, fields, length=len(data)) as exchange:
        exchange.send(memoryview(data))
        expect(exchange.reply())


def get_record(peer: Peer, name: str, file_id: bytes) -> tuple[KeyRecord, str]:
    """The record of that name, and its ETag. Raises Unreadable if it is another file's."""
    from towpath.codec.record import KeyRecord  # noqa: PLC0415 - only what is encrypted needs it

    try:
        reply = expect(peer.ask("GET", _address(peer, name), again=True))
    except NotFound as error:
        raise NotFound(
            "The record of the file's keys is not there.",
            why=f"It was called {name}.",
            todo="Put it back: without it nobody can read the file.",
        ) from error
    record = KeyRecord.parse(reply.body)
    if record.file_id != file_id:
        raise Unreadable(
            f"{name} has the keys of another file.", todo="Put the right record in its place."
        )
    return record, reply.fields.get("etag", "")


def find_record(peer: Peer, head: Head, name: str) -> tuple[KeyRecord, str, str]:
    """The record of the keys of what is called `name` now, its ETag, and what it is called.

    It is beside the object, or still where it was at first. Raises NotFound, Unreadable.
    """
    beside = record_name(name, head.file_id) if name else head.record
    if beside != head.record:
        with suppress(NotFound, Unreadable):
            return *get_record(peer, beside, head.file_id), beside
    return *get_record(peer, head.record, head.file_id), head.record


def remove_record(peer: Peer, name: str) -> None:
    """Take a record away, if it is there."""
    peer.ask("DELETE", _address(peer, name), again=True)


def rewrap(peer: Peer, name: str, keys: Sequence[Opens], locks: Sequence[Locks]) -> None:
    """Wrap the keys of the file of that name for `locks`, and for no others.

    Raises NotFound, WrongKey, Malformed without locks, and Unreadable when it is not encrypted.
    """
    from towpath.client.coded_object import tail_of  # noqa: PLC0415 - slow to import

    found = expect(peer.ask("GET", peer.api("names", name), again=True), api=True).json()
    head = None
    if found.get("media_type") in MEDIA_TYPES:
        head = tail_of(peer, peer.address(str(found.get("href"))), lambda: None).tail.head
    if head is None or not head.sealed:
        raise Unreadable(f"{name} is not encrypted.", todo="Send it again, with --encrypt.")
    record, etag, at = find_record(peer, head, name)
    put_record(peer, at, record.rewrapped(keys, locks), etag=etag)


def _address(peer: Peer, name: str) -> str:
    return peer.address(f"names/{quote(name, safe='/')}")


# --- chunks, as the ranges dialect carries them --------------------------------------------------


def chunk_fields(start: int, end: int, crc: int, *, whole: int | None = None) -> Fields:
    """The fields of a coded chunk at start <= b < end. `whole`: it is the last one, of so many."""
    digest = base64.b64encode(crc.to_bytes(8, "big")).decode()
    return {
        "Content-Range": f"bytes {start}-{end - 1}/{'*' if whole is None else whole}",
        "Content-Digest": f"crc64nvme=:{digest}:",
        "Chunk-Coding": "towpath-1",
    }


def send_chunk(
    peer: Peer,
    url: str,
    fields: Fields,
    chunk: memoryview,
    *,
    check: Callable[[], None],
    moved: Callable[[int], None],
    gone: Callable[[], None],
) -> Reply:
    """PUT a chunk; the answer comes when all of it is durable. `gone`: it is needed no more."""
    with peer.open("PUT", url, fields, length=len(chunk), check=check) as exchange:
        for at in range(0, len(chunk), _BLOCK):
            block = chunk[at : at + _BLOCK]
            if not exchange.send(block):
                break
            moved(len(block))
        gone()
        return exchange.reply()
