"""A coded object on the server, read as the file that it holds.

Rules: what says how to read is read first, and bounded; only the chunks that have wanted bytes are
fetched; no byte of a chunk is handed out before all of it is proven. Whoever reads holds the memory
of one chunk, stored and plain, and needs no other; where nothing is compressed, what is stored is
undone piece by piece, and the memory is the plain one and a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

from towpath.client import coded
from towpath.client.memory import SHARED, Memory
from towpath.client.peer import Peer
from towpath.client.wire import Answer
from towpath.client.words import name_of, number, refusal
from towpath.codec.chunks import Decoder, Rooms
from towpath.codec.container import FOOTER, Footer, Head, Tail
from towpath.codec.encrypt import PIECE
from towpath.codec.keys import Opens
from towpath.codec.manifest import Chunk, Table
from towpath.errors import BadAnswer, Unreadable

Check = Callable[[], None]


class Stored(NamedTuple):
    """What stands behind the chunks of an object, its ETag, and its name if that is known."""

    tail: Tail
    etag: str
    name: str


def tail_of(peer: Peer, url: str, check: Check) -> Stored:
    """What stands behind the chunks of the object at `url`.

    Raises Unreadable when it is no coded file.
    """
    fields = {**coded.AS_STORED, "Range": f"bytes=-{FOOTER.size}"}
    with peer.open("GET", url, fields, check=check) as exchange:
        answer = exchange.answer()
        length = _whole(answer)
        last = _body(answer, FOOTER.size)
        etag = answer.fields.get("etag", "")
        name = name_of(answer.fields) or ""
    footer = Footer.parse(last, length)
    fields["Range"] = f"bytes={footer.start}-"
    with peer.open("GET", url, fields, check=check) as exchange:
        data = _body(exchange.answer(), length - footer.start)
    return Stored(Tail(data, length), etag, name)


def _whole(answer: Answer) -> int:
    """Bytes of the object of which a part was asked for."""
    _, _, whole = answer.fields.get("content-range", "").rpartition("/")
    known = whole.isascii() and whole.isdigit()
    if answer.status == 416 or (known and int(whole) < FOOTER.size):
        raise Unreadable("This cannot be read as a coded file.", why="It is too short.")
    if answer.status == 206 and not known:
        raise BadAnswer("The server did not say how long the object is.")
    return int(whole) if known else 0


def _body(answer: Answer, length: int) -> bytes:
    """The body of a part of `length` bytes."""
    if answer.status != 206:
        if answer.status == 200:
            raise BadAnswer("The server sent the whole object instead of a part of it.")
        raise refusal(answer.status, answer.fields, answer.text())
    if number(answer.fields, "content-length") != length:
        raise BadAnswer("The server sent another range than was asked for.")
    return answer.text(limit=length)


class CodedObject:
    """The file in the object at `url`. `keys`: what may open it. Several threads may read it."""

    def __init__(
        self,
        peer: Peer,
        url: str,
        keys: Sequence[Opens],
        check: Check,
        memory: Memory = SHARED,
    ) -> None:
        """Raises Unreadable, WrongKey, DigestMismatch."""
        self._peer = peer
        self._memory = memory
        self.url = url
        tail, self.etag, name = tail_of(peer, url, check)
        self.head: Head = tail.head
        self._keys: list[bytes] = []
        if self.head.sealed:
            record, _, _ = coded.find_record(peer, self.head, name)
            self._keys = record.open(keys)
        self.table: Table = tail.table(self._keys)
        self.crc = self.table.crcs()[0]
        self.longest = self.table.longest  # plain bytes of a chunk
        self._by_pieces = self.head.sealed and not self.table.compressed

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return self.table.length

    @property
    def readers(self) -> int:
        """How many can read at once, by the memory that there is."""
        count, length = self._rooms
        return self._memory.holds(count * length)

    @property
    def _rooms(self) -> tuple[int, int]:
        """How many pieces of memory undo a chunk, and the length of each."""
        room = Rooms.each(self.longest)
        return (1, PIECE + room) if self._by_pieces else (2, room)

    def cut(self, start: int, size: int) -> int:
        """Where a range of about `size` bytes from `start` on ends together with a chunk."""
        return self.table.at(min(start + size, self.length) - 1).end

    def blocks(self, start: int, end: int, check: Check) -> Generator[memoryview, None, None]:
        """The bytes start <= b < end of the file; each block is valid until the next one."""
        if start >= end:
            return
        row, last = self.table.at(start), self.table.at(end - 1)
        decoder = Decoder(self.head.file_id, self._keys, chunks=len(self.table))
        span = f"bytes={row.stored_start}-{last.stored_end - 1}"
        fields = {**coded.AS_STORED, "Range": span}
        with (
            self._memory.pieces(*self._rooms, check) as pieces,
            self._peer.open("GET", self.url, fields, check=check) as exchange,
        ):
            rooms = [piece.view for piece in pieces]
            answer = exchange.answer()
            _insist_on_part(answer, row, last)
            for index in range(row.index, last.index + 1):
                row = self.table[index]
                plain = self._undone(decoder, row, answer, rooms)
                yield plain[max(start - row.start, 0) : min(end, row.end) - row.start]

    def _undone(
        self, decoder: Decoder, row: Chunk, answer: Answer, rooms: Sequence[memoryview]
    ) -> memoryview:
        """The plain bytes of the chunk that comes next."""
        if self._by_pieces:
            pieces = _pieces(answer, row.stored_length, rooms[0][:PIECE])
            return decoder.decode_pieces(row, pieces, rooms[0][PIECE:])
        stored = rooms[0][: row.stored_length]
        _fill(answer, stored)
        return decoder.decode(row, stored, Rooms(*rooms))


def _insist_on_part(answer: Answer, first: Chunk, last: Chunk) -> None:
    if answer.status not in (200, 206):
        raise refusal(answer.status, answer.fields, answer.text())
    wanted = f"bytes {first.stored_start}-{last.stored_end - 1}/"
    if answer.status != 206 or not answer.fields.get("content-range", "").startswith(wanted):
        raise BadAnswer("The server sent another range than was asked for.")


def _pieces(answer: Answer, length: int, room: memoryview) -> Iterator[memoryview]:
    for at in range(0, length, len(room)):
        piece = room[: length - at]
        _fill(answer, piece)
        yield piece


def _fill(answer: Answer, room: memoryview) -> None:
    filled = 0
    while filled < len(room):
        taken = answer.read_into(room[filled:])
        if not taken:
            raise BadAnswer("The server sent fewer bytes than it announced.")
        filled += taken
