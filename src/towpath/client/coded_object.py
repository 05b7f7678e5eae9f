"""A coded object on the server, read as the file that it holds.

Rules: what says how to read is read first, and bounded; only the chunks that have wanted bytes are
fetched; no byte of a chunk is handed out before all of it is proven. Whoever reads holds the memory
of one chunk, stored and plain, and needs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from towpath.client import coded
from towpath.client.memory import SHARED, Memory
from towpath.client.peer import Peer
from towpath.client.wire import Answer
from towpath.client.words import name_of, number, refusal
from towpath.codec.chunks import Decoder, Rooms
from towpath.codec.container import FOOTER, Footer, Head, Tail
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

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return self.table.length

    @property
    def readers(self) -> int:
        """How many can read at once, by the memory that there is."""
        return self._memory.holds(2 * Rooms.each(self.longest))

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
            self._memory.pieces(2, Rooms.each(self.longest), check) as pieces,
            self._peer.open("GET", self.url, fields, check=check) as exchange,
        ):
            rooms = Rooms(*(piece.view for piece in pieces))
            answer = exchange.answer()
            _insist_on_part(answer, row, last)
            for index in range(row.index, last.index + 1):
                row = self.table[index]
                stored = rooms.first[: row.stored_length]
                _fill(answer, stored)
                plain = decoder.decode(row, stored, rooms)
                yield plain[max(start - row.start, 0) : min(end, row.end) - row.start]


def _insist_on_part(answer: Answer, first: Chunk, last: Chunk) -> None:
    if answer.status not in (200, 206):
        raise refusal(answer.status, answer.fields, answer.text())
    wanted = f"bytes {first.stored_start}-{last.stored_end - 1}/"
    if answer.status != 206 or not answer.fields.get("content-range", "").startswith(wanted):
        raise BadAnswer("The server sent another range than was asked for.")


def _fill(answer: Answer, room: memoryview) -> None:
    filled = 0
    while filled < len(room):
        taken = answer.read_into(room[filled:])
        if not taken:
            raise BadAnswer("The server sent fewer bytes than it announced.")
        filled += taken
