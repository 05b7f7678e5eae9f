"""A coded upload that another machine began and left: what it sent follows from the same file.

Rules: the same zstd makes the same chunks of the same bytes, so rows of what is only compressed are
made here once more; what they say of the bytes is held against what the server has before another
byte leaves, and all of it is at the end. A chunk that is encrypted is never the same twice, and a
server need give out nothing of an upload that is not complete: so nobody else can prove what is
there, and that upload is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from towpath.client import coded, elsewhere
from towpath.client.blocks import Blocks
from towpath.client.coded_journal import Journal
from towpath.client.coded_sending import Local, Stored, Vanished
from towpath.client.memory import Memory
from towpath.client.peer import Peer
from towpath.client.records import UploadRecord
from towpath.client.tuning import PARALLEL_FROM
from towpath.codec.chunks import Coder, Place, Rooms
from towpath.codec.compress import made_by
from towpath.codec.manifest import Table
from towpath.core.crc import combine

if TYPE_CHECKING:
    from towpath.client.upload import UploadTask

Check = Callable[[], None]


def known_by(task: UploadTask, coding: coded.Coding, local: Local) -> UploadTask:
    """The task with what it is known by on other machines, if they could go on with it.

    Of a file that is encrypted nothing is said: whoever has the same file would know it again.
    """
    size = local.source.size
    if coding.locks or size < PARALLEL_FROM:
        return task
    way = f"{coded.chunk_size(size, task.chunk_size, coding.level)} {made_by()}"
    told = task._replace(metadata={**task.metadata, "chunks": way})
    blocks = Blocks(local.file, memoryview(bytearray(elsewhere.SAMPLE)))
    return task._replace(fingerprint=elsewhere.fingerprint(told, size, blocks))


def left(
    peer: Peer, task: UploadTask, coding: coded.Coding, size: int, check: Check
) -> UploadRecord | None:
    """What another machine left of this upload; of an encrypted file, one that may be of it."""
    if size < PARALLEL_FROM:
        return None
    said = (elsewhere.FINGERPRINT, task.fingerprint)
    if coding.locks:
        said = (coded.NOTED, coding.noted)
    return elsewhere.left_elsewhere(peer, task.name, said, check)


def recode(
    journal: Journal, local: Local, level: int, found: Stored, memory: Memory, check: Check
) -> None:
    """Rows of all that is there of a file which is only compressed, as if it was sent from here.

    Raises SourceChanged, and Vanished if the server has other bytes of it.
    """
    end = max(found.offset, *(stop for _, stop in found.runs), 0)
    if journal.table.stored_length < end:
        _reach(journal, local, level, end, memory, check)
    if found.prefix is not None and not _agrees(journal.table, *found.prefix):
        raise Vanished


def _agrees(table: Table, end: int, value: int) -> bool:
    """Whether the coded bytes before `end` have that CRC64NVME."""
    if end > table.stored_length:  # what stands behind the chunks is compared by who makes it
        return True
    count, found = table.rows_of_stored(end), 0
    for index in range(count or 0):
        row = table[index]
        found = combine(found, row.stored_crc, row.stored_length)
    return count is not None and found == value


def _reach(
    journal: Journal, local: Local, level: int, end: int, memory: Memory, check: Check
) -> None:
    """Rows of further chunks, until they reach the coded byte `end` or there are no more."""
    table, whole = journal.table, local.source.size
    size = min(journal.chunk, whole)
    coder = Coder(journal.file_id, level=level, key=None)
    with memory.pieces(2, Rooms.each(size), check) as pieces:
        rooms = Rooms(*(piece.view for piece in pieces))
        while table.stored_length < end and table.length < whole:
            start = table.length
            plain = rooms.first[: min(size, whole - start)]
            local.read(plain, start, check)
            place = Place(
                index=len(table),
                start=start,
                final=start + len(plain) == whole,
                stored_start=table.stored_length,
            )
            journal.put(coder.code(plain, place, rooms)[0])
