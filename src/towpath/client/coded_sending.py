"""Send the chunks of one file that the server has not yet, over a few connections.

Rules: chunks are read one after the other, coded and sent side by side, and given their places in
order, because each one's follows from those before it; a worker has its memory, one chunk plain and
coded, before it takes a chunk, so that those who wait for a place wait for no memory; one half of
it while it sends, and none while it waits for the answer; where a chunk is only sealed, it is read
piece by piece, and its memory is the coded one and a piece; a row is in the journal before its
chunk leaves; what was coded before and did not arrive is coded again in the same place, with a new
salt. A worker beyond the first needs a line of the client, chunk by chunk.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from towpath.client import coded
from towpath.client.blocks import Blocks
from towpath.client.coded_journal import Journal
from towpath.client.control import Control
from towpath.client.memory import Memory, Piece
from towpath.client.peer import Peer, Reply, expect
from towpath.client.progress import Meter
from towpath.client.resume import Source
from towpath.client.together import together
from towpath.codec.chunks import Coder, Place, Rooms
from towpath.codec.encrypt import PIECE
from towpath.codec.manifest import Chunk, Table
from towpath.errors import BadAnswer, Cut, SourceChanged

WORKERS = 6  # unless somebody says another number
_READ = 1024 * 1024  # bytes at once, between two looks at `check`
_LOOK = 0.1  # seconds between two tries for a line

Runs = Sequence[tuple[int, int]]
"""Ranges start <= b < end of coded bytes."""


class Vanished(Exception):
    """The upload is gone, or the server has bytes of it that nobody here knows."""


@dataclass(frozen=True, slots=True)
class Local:
    """The file that is sent, open, as it was when the upload began."""

    file: io.FileIO
    path: str
    source: Source

    def read(self, room: memoryview, start: int, check: Callable[[], None]) -> None:
        """Fill `room` from `start` on, and see that the file is what it was.

        Raises SourceChanged.
        """
        for at in range(0, len(room), _READ):
            check()
            self._fill(room[at : at + _READ], start + at)
        self._insist()

    def pieces(
        self, room: memoryview, start: int, length: int, check: Callable[[], None]
    ) -> Iterator[memoryview]:
        """The same, one `room` after the other; at the end the file is seen to be what it was."""
        for at in range(0, length, len(room)):
            check()
            piece = room[: length - at]
            self._fill(piece, start + at)
            yield piece
        self._insist()

    def _fill(self, room: memoryview, start: int) -> None:
        if len(Blocks(self.file, room).read(start, len(room))) < len(room):
            raise SourceChanged(f"{self.path} has become shorter while it was read.")

    def _insist(self) -> None:
        self.source.insist(Source.of(os.fstat(self.file.fileno())), self.path)


def missing(table: Table, offset: int, durable: Callable[[], Runs]) -> list[Chunk]:
    """The rows whose chunks the server has not, though it has later ones; rows behind these go.

    `offset`: the end of what it has without a gap. `durable`: asks for all that it has. Raises
    Vanished when it has what no row tells of.
    """
    count = table.rows_of_stored(offset)
    if count is None:
        raise Vanished
    if count == len(table):
        return []
    holes: list[Chunk] = []
    runs, end = durable(), count
    for index in range(count, len(table)):
        row = table[index]
        inside = [
            (max(start, row.stored_start), min(stop, row.stored_end))
            for start, stop in runs
            if start < row.stored_end and stop > row.stored_start
        ]
        if inside == [(row.stored_start, row.stored_end)]:
            end = index + 1
        elif inside:
            raise Vanished
        else:
            holes.append(row)
    if runs and max(stop for _, stop in runs) > table.stored_length:
        raise Vanished
    table.cut(end)
    return [row for row in holes if row.index < end]


class Sending:
    """One run over the chunks that are missing."""

    def __init__(
        self,
        local: Local,
        journal: Journal,
        coder: Coder,
        peer: Peer,
        url: str,
        control: Control,
        meter: Meter,
        memory: Memory,
    ) -> None:
        self._local = local
        self._journal = journal
        self._coder = coder
        self._memory = memory
        self._size = min(journal.chunk, local.source.size)  # plain bytes of a chunk
        self._peer = peer
        self._url = url
        self._control = control
        self._meter = meter
        self._turn = threading.Lock()  # to take a chunk and read it
        self._order = threading.Condition()  # to give it its place, and remember that
        self._broken = False  # a chunk could not be coded: those behind it have no place
        self._left: deque[Chunk] = deque()
        self._next = (0, 0)  # number and start of the next chunk behind the last row
        self._count = threading.Lock()  # to touch the meter and what follows
        self.durable = 0  # plain bytes that the server is known to have

    def all(
        self, holes: Sequence[Chunk], progress: Callable[[], None], *, connections: int | None
    ) -> None:
        """Send what fills `holes`, then what is behind the last row.

        `progress`: told of each chunk. `connections`: at once at most; None: WORKERS.
        """
        table = self._journal.table
        self.durable = table.length - sum(row.length for row in holes)
        self._left, self._next, self._broken = deque(holes), (len(table), table.length), False

        lines = self._control.lines

        def step(worker: int) -> bool:
            if worker and not lines.more():
                self._control.sleep(_LOOK)
                return self._has_more()
            try:
                return self._has_more() and self._one(progress)
            except BaseException:
                with self._order:
                    self._broken = True
                    self._order.notify_all()
                raise
            finally:
                if worker:
                    lines.less()

        together(connections or WORKERS, step)

    def _has_more(self) -> bool:
        """Whether there is a chunk that nobody has taken."""
        with self._turn:
            return bool(self._left) or self._next[1] < self._local.source.size

    def _one(self, progress: Callable[[], None]) -> bool:
        """Carry the next chunk; False if there is none, or if another one could not be coded."""
        room, rooms = Rooms.each(self._size), 2
        if self._coder.by_pieces:
            room, rooms = room + PIECE, 1
        with self._memory.pieces(rooms, room, self._control.check) as pieces:
            taken = self._coded([piece.view for piece in pieces])
            if taken is None:
                return False
            hole, row, chunk = taken
            for piece in pieces:
                if not piece.has(chunk):
                    piece.give_back()
            placed = self._placed(row, hole)
            if placed is None:
                return False
            self._send(placed, chunk, next(piece for piece in pieces if piece.has(chunk)))
        with self._count:
            self.durable += row.length
            progress()
        return True

    def _coded(self, rooms: Sequence[memoryview]) -> tuple[Chunk | None, Chunk, memoryview] | None:
        """Take and code the next chunk: the hole that it fills, its row, and what was coded."""
        check, whole = self._control.check, None
        with self._turn:
            hole = self._left.popleft() if self._left else None
            place, length = self._place(hole)
            if not length:
                return None
            if not self._coder.by_pieces:
                whole = rooms[0][:length]
                self._local.read(whole, place.start, check)
        if whole is not None:
            return hole, *self._coder.code(whole, place, Rooms(*rooms))
        pieces = self._local.pieces(rooms[0][:PIECE], place.start, length, check)
        return hole, *self._coder.code_pieces(pieces, place, rooms[0][PIECE:])

    def _place(self, hole: Chunk | None) -> tuple[Place, int]:
        """Where the next chunk stands in the file, and its length; 0 behind the last one."""
        whole = self._local.source.size
        if hole is not None:
            final = hole.end == whole
            return Place(index=hole.index, start=hole.start, final=final), hole.length
        index, start = self._next
        length = min(self._size, whole - start)
        self._next = index + 1, start + length
        return Place(index=index, start=start, final=start + length == whole), length

    def _placed(self, row: Chunk, hole: Chunk | None) -> Chunk | None:
        """The row with its place in the object, remembered; None if those before it failed."""
        table = self._journal.table
        with self._order:
            while hole is None and len(table) < row.index and not self._broken:
                self._order.wait()
            if self._broken:
                return None
            if hole is not None and row.stored_length != hole.stored_length:
                raise Vanished  # another zstd than before: it fits no more
            start = table.stored_length if hole is None else hole.stored_start
            row = replace(row, stored_start=start)
            self._journal.put(row)
            self._order.notify_all()
        return row

    def _send(self, row: Chunk, chunk: memoryview, piece: Piece) -> None:
        """Send one chunk, which lies in `piece`. If it does not arrive, it will be coded again."""
        sent = 0

        def moved(count: int) -> None:
            nonlocal sent
            with self._count:
                before = row.length * sent // row.stored_length
                sent += count
                plain = row.length * sent // row.stored_length - before
                self._meter.at(self._meter.transferred + plain - count)
                self._meter.moved(count)

        fields = coded.chunk_fields(row.stored_start, row.stored_end, row.stored_crc)
        expect(self.put(fields, chunk, moved, piece.give_back))

    def put(
        self,
        fields: coded.Fields,
        chunk: memoryview,
        moved: Callable[[int], None],
        gone: Callable[[], None] = lambda: None,
    ) -> Reply:
        """PUT a range; the answer comes when all of it is durable. Raises Cut if it is damaged.

        `gone`: called when the chunk has left.
        """
        check = self._control.check
        reply = coded.send_chunk(
            self._peer, self._url, fields, chunk, check=check, moved=moved, gone=gone
        )
        if reply.status == 422:  # and none of its bytes was kept
            raise Cut("A chunk did not arrive as it was sent.")
        return reply


class Stored(NamedTuple):
    """What the server has of an upload: all before `offset`, and `runs` behind it."""

    offset: int
    runs: Runs
    prefix: tuple[int, int] | None  # CRC64NVME (second) of all before the first; None: not told


def stored(peer: Peer, url: str, offset: int, check: Callable[[], None]) -> Stored:
    """What the server has of the upload, all of whose bytes before `offset` it has."""
    found: list[tuple[int, int]] = []
    prefix: tuple[int, int] | None = None
    after = offset
    following: object = after
    while isinstance(following, int):
        page = expect(peer.ask("GET", f"{url}?after={following}", check=check, again=True)).json()
        try:
            found += [(int(start), int(end)) for start, end in page["durable"]]
            following = page["next"]
            if (told := page.get("prefix")) is not None:
                prefix = int(told["end"]), int(told["crc64nvme"], 16)
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer("The server's list of ranges cannot be read.") from error
        if isinstance(following, int) and following <= after:
            raise BadAnswer("The server's list of ranges has no end.")
        after = following if isinstance(following, int) else after
    return Stored(offset, found, prefix)
