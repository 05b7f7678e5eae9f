"""Bytes that come out: into a file of this machine, a `.part` of it first, its name at last.

Rules: the final name never stands for bytes that were not checked; what was there before stands
until then. What a `.part` has is kept: up to the checkpoint by its word, beyond it where it is the
same as the document. Memory holds one block of each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Self

from towpath.core.crc import crc
from towpath.errors import NotFound
from towpath.store.base import Reading
from towpath.uds3.carrier import Job
from towpath.uds3.control import Control
from towpath.uds3.errors import ChecksumMismatchError
from towpath.uds3.records import sync_folder

_BLOCK = 1 << 20


class _FileReading:
    """Bytes of a plain file, block by block."""

    file: tuple[int, int, int] | None = None

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed by `close`
        self._at = start
        self._end = end

    def __iter__(self) -> Iterator[memoryview]:
        block = memoryview(bytearray(_BLOCK))
        self._file.seek(self._at)
        while self._at < self._end:
            count = self._file.readinto(block[: self._end - self._at])
            if not count:
                return
            self._at += count
            yield block[:count]

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Origin:
    """Something that can be read: what it is, how long, its CRC64NVME if that is known."""

    id: str
    length: int
    crc: int | None
    read: Callable[[int, int], Reading]

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """A plain file. Raises NotFound."""
        missing = NotFound(f"There is no file {path}.", todo="Check the path.")
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise missing from error
        if not S_ISREG(stat.st_mode):
            raise missing
        state = f"{stat.st_size}-{stat.st_mtime_ns}"
        return cls(state, stat.st_size, None, lambda start, end: _FileReading(path, start, end))

    def is_sound(self, algorithm: str | None, checksum: str | None) -> bool:
        """Read all of it, and tell whether its checksums are these."""
        hasher = None
        if algorithm is not None and checksum is not None:
            hasher = hashlib.new(algorithm, usedforsecurity=False)
        value, count = 0, 0
        with closing(self.read(0, self.length)) as reading:
            for block in reading:
                value, count = crc(block, value), count + len(block)
                if hasher is not None:
                    hasher.update(block)
        same = hasher is None or hasher.hexdigest() == checksum
        return count == self.length and same and self.crc in (None, value)


def part_of(path: Path, operation_id: str) -> Path:
    """Where bytes lie until they are whole; each operation has a place of its own."""
    return path.with_name(f"{path.name[:48]}.{operation_id[:12]}.part")


def fetch(origin: Origin, job: Job) -> None:
    """Bring what is missing, check all of it, and give it its name."""
    record, target = job.record, Path(job.record.path)
    resumes = record.document_id == origin.id and not job.restart
    record.document_id, record.total = origin.id, origin.length
    part = part_of(target, record.operation_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(part, "r+b" if resumes and part.exists() else "w+b", buffering=0) as file:  # noqa: PTH123
        handle = file.fileno()
        size = os.fstat(handle).st_size
        start = min(record.transferred, size) if resumes else 0
        value = _prefix(part, start, job.control)
        at, value = _same(origin, handle, start, min(size, origin.length), value, job.control)
        os.ftruncate(handle, at)
        os.fsync(handle)
        record.resumed_from = record.transferred = at
        job.save()  # which document it is, is known before there is a byte of it
        job.moved()
        with closing(origin.read(at, origin.length)) as reading:
            for block in reading:
                job.control.check()
                write_at(handle, block, at)
                value, at = crc(block, value), at + len(block)
                if at - record.transferred >= record.chunk_size:
                    os.fsync(handle)
                    record.transferred = at
                    job.moved()
        _require(at == origin.length and origin.crc in (None, value), part, record.address)
        os.fsync(handle)
    record.transferred, record.crc = at, f"{value:016x}"
    part.replace(target)
    sync_folder(target.parent)


def place(origin: Origin, target: Path, part: Path, control: Control) -> None:
    """Copy an object to a file of this machine, by way of `part`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    value = at = 0
    with open(part, "wb", buffering=0) as file:  # noqa: PTH123 - unbuffered
        with closing(origin.read(0, origin.length)) as reading:
            for block in reading:
                control.check()
                write_at(file.fileno(), block, at)
                value, at = crc(block, value), at + len(block)
        _require(at == origin.length and origin.crc in (None, value), part, str(target))
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)


def _require(sound: bool, part: Path, what: str) -> None:
    if not sound:
        part.unlink(missing_ok=True)
        raise ChecksumMismatchError(
            f"What came of {what} are not the bytes that are stored.",
            todo="They were removed; download it again.",
        )


def _prefix(part: Path, end: int, control: Control) -> int:
    """The CRC64NVME of the first bytes of a file."""
    value = 0
    with closing(_FileReading(part, 0, end)) as reading:
        for block in reading:
            control.check()
            value = crc(block, value)
    return value


def _same(
    origin: Origin, handle: int, start: int, end: int, value: int, control: Control
) -> tuple[int, int]:
    """How far a part is the document, from `start` to `end` at most; the CRC64NVME up to there."""
    at = start
    with closing(origin.read(start, end)) as reading:
        for block in reading:
            control.check()
            if os.pread(handle, len(block), at) != block:
                break
            value, at = crc(block, value), at + len(block)
    return at, value


def write_at(handle: int, block: memoryview, at: int) -> None:
    """Write all of it there."""
    while block:
        count = os.pwrite(handle, block, at)
        block, at = block[count:], at + count
