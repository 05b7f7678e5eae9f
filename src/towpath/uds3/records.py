"""What is written down of an operation, so that another process can go on with it.

Rules: one JSON text an operation, with a checksum over all of it; what does not check out is never
guessed at: ChunkMetadataCorruptError. Only chunks that are durable stand in it. The truth about
bytes is the ledger's, the server's, or the part's that a download writes: a checkpoint that is
behind makes nothing be sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from towpath.errors import NotFound, SourceChanged
from towpath.uds3.errors import ChunkMetadataCorruptError
from towpath.uds3.operations import (
    ChunkMetadata,
    OperationStatus,
    OperationType,
    StreamingOperation,
    now,
)

VERSION = 1
_ID = re.compile("[0-9a-z]{8,64}")


@dataclass(kw_only=True)
class Record:
    """All facts of one operation. One thread at a time changes it."""

    operation_id: str
    kind: OperationType
    path: str  # here, absolute
    address: str  # where to, or from where: a name, an id, a file:// URL
    chunk_size: int
    status: OperationStatus = OperationStatus.PENDING
    total: int = 0
    source: tuple[int, ...] | None = None  # of the file that is uploaded, as `source_of` says
    metadata: dict[str, Any] = field(default_factory=dict)
    algorithm: str | None = None  # of checksums; None: they are not computed
    checksum: str | None = None  # of the whole file, in hex
    crc: str | None = None  # CRC64NVME of the whole file, in hex
    key: str = ""  # of the upload, where the bytes go to
    level: int = 0  # of zstd; 0: its chunks are not compressed
    sealed: bool = False  # its chunks are encrypted
    keys: str = ""  # in process: what the record of its keys is called
    listed: bool = True  # else it is found by its id alone
    document_id: str = ""
    transferred: int = 0
    resumed_from: int = 0  # byte that this run began at
    retries: int = 0
    error: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    chunks: dict[int, ChunkMetadata] = field(default_factory=dict)

    @property
    def coded(self) -> bool:
        """True if its chunks are compressed, or encrypted, or both."""
        return self.sealed or self.level > 0

    @property
    def chunks_total(self) -> int:
        """How many chunks there are in all."""
        return -(-self.total // self.chunk_size)

    @property
    def chunks_completed(self) -> int:
        """How many of them are done: those sent, or those that lie before the last byte."""
        if self.status is OperationStatus.COMPLETED:
            return self.chunks_total
        return len(self.chunks) or self.transferred // self.chunk_size

    def chunk(self, index: int) -> ChunkMetadata:
        """A chunk that nobody has sent yet."""
        start = index * self.chunk_size
        size = min(self.chunk_size, self.total - start)
        return ChunkMetadata(chunk_index=index, offset_bytes=start, size_bytes=size)

    def metadata_text(self) -> str:
        """The metadata as JSON; nothing if there is none."""
        return json.dumps(self.metadata, ensure_ascii=False, default=str) if self.metadata else ""

    def operation(self) -> StreamingOperation:
        """How it stands now."""
        return StreamingOperation(
            operation_id=self.operation_id,
            file_name=Path(self.path).name,
            total_size_bytes=self.total,
            chunk_size_bytes=self.chunk_size,
            chunks_total=self.chunks_total,
            chunks_completed=self.chunks_completed,
            status=self.status,
            created_at=self.created_at,
            updated_at=self.updated_at,
            checksum=self.checksum,
            metadata=dict(self.metadata),
        )

    def is_surely(self, stat: os.stat_result) -> bool:
        """True unless the file may have been written in place, and been given its old time."""
        return self.source is None or self.source in (source_of(stat), source_of(stat)[:2])

    def insist_on_source(self, stat: os.stat_result) -> None:
        """Raise SourceChanged unless the file is the one that the operation began with."""
        found = source_of(stat)
        if self.source is not None and found[:2] != self.source[:2]:
            raise SourceChanged(
                f"{self.path} has changed since its upload began.",
                why=f"It had {self.source[0]} bytes and has {found[0]}, or was written since.",
                todo="To send the file as it is now, call restart_upload.",
            )


def source_of(stat: os.stat_result) -> tuple[int, ...]:
    """Size, time, and the moment of the last change of any kind, in nanoseconds."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def write(record: Record) -> bytes:
    """The record as text."""
    body = asdict(record)
    for name in ("created_at", "updated_at"):
        body[name] = body[name].isoformat()
    body["chunks"] = [
        [each.chunk_index, each.checksum, each.retry_count] for each in record.chunks.values()
    ]
    text = json.dumps(body, sort_keys=True)
    return json.dumps({"version": VERSION, "checksum": _checksum(text), "record": body}).encode()


def read(data: bytes, operation_id: str) -> Record:
    """The record in a text. Raises ChunkMetadataCorruptError."""
    try:
        found = json.loads(data)
        body = found["record"]
        if found["checksum"] != _checksum(json.dumps(body, sort_keys=True)):
            raise ValueError("its checksum differs")
        if found["version"] != VERSION:
            raise ValueError(f"it is of version {found['version']}")
        return _record(body)
    except (ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
        corrupt = ChunkMetadataCorruptError(
            f"What is written down about the operation {operation_id} is damaged.",
            why=f"{error}.",
            todo=f"Call cancel_operation({operation_id!r}) to remove it, and begin anew.",
        )
        corrupt.operation_id = operation_id
        raise corrupt from error


def _record(body: dict[str, Any]) -> Record:
    chunks = body.pop("chunks")
    source = body["source"]
    made = Record(
        **{
            **body,
            "kind": OperationType(body["kind"]),
            "status": OperationStatus(body["status"]),
            "source": None if source is None else tuple(map(int, source)),
            "created_at": datetime.fromisoformat(body["created_at"]),
            "updated_at": datetime.fromisoformat(body["updated_at"]),
        }
    )
    for index, checksum, retries in chunks:
        chunk = made.chunk(index)
        if not 0 <= chunk.offset_bytes < made.total:
            raise ValueError(f"chunk {index} lies outside the file")
        chunk.checksum, chunk.uploaded, chunk.retry_count = checksum, True, retries
        made.chunks[index] = chunk
    return made


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoints(Protocol):
    """Where records are kept."""

    def read(self, operation_id: str) -> bytes | None:
        """The text of an operation; None if there is none."""
        ...

    def write(self, operation_id: str, data: bytes) -> None:
        """Keep it, also if the power fails; it replaces what was there, or nothing does."""
        ...

    def written_at(self, operation_id: str) -> float | None:
        """When it was kept, in seconds since 1970; None if there is none."""
        ...

    def remove(self, operation_id: str) -> None:
        """Forget it; one that is not there is fine."""
        ...

    def all(self) -> Iterator[str]:
        """The id of each operation."""
        ...


class FolderCheckpoints:
    """Checkpoints as files of a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, operation_id: str) -> bytes | None:
        try:
            return self._path(operation_id).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, operation_id: str, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._path(operation_id), data)

    def written_at(self, operation_id: str) -> float | None:
        try:
            return self._path(operation_id).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove(self, operation_id: str) -> None:
        self._path(operation_id).unlink(missing_ok=True)

    def all(self) -> Iterator[str]:
        if self.folder.is_dir():
            yield from sorted(path.stem for path in self.folder.glob("*.json"))

    def _path(self, operation_id: str) -> Path:
        return self.folder / f"{checked(operation_id)}.json"


def is_id(text: str) -> bool:
    """Tell whether the text may be the id of an operation."""
    return _ID.fullmatch(text) is not None


def checked(operation_id: str) -> str:
    """The id, if it may be one. Raises NotFound."""
    if not is_id(operation_id):
        raise unknown(operation_id)
    return operation_id


def unknown(operation_id: str) -> NotFound:
    """What is said of an operation that nobody knows."""
    return NotFound(
        f"There is no operation {operation_id!r}.",
        why="It never was, or it was cleaned up.",
        todo="Call list_operations to see what there is.",
    )


def replace_file(path: Path, data: bytes) -> None:
    """Write a small file that lasts; it replaces what was there, or nothing does."""
    handle, beside = tempfile.mkstemp(suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Take a file away; one that is not there, or whose folder is none, is fine."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last, where the system knows how."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


SHELF = ".uds3/"
"""The folder of names that records have where they are kept beside documents."""


def name_of(operation_id: str) -> str:
    """The name of an operation's record there."""
    return f"{SHELF}{checked(operation_id)}.json"


def id_of(name: str) -> str:
    """The operation whose record has that name."""
    return name.removeprefix(SHELF).removesuffix(".json")
