"""Where the bytes of an object are: its segments, of which a whole made of many parts has many.

Rules:
- A whole of many parts is committed with its first segment, which has no bytes and carries the
  manifest, and with one note that has all its pieces: who asked need not wait for a row a part.
- Whoever needs the rows has them written first: a reader, and who lets go of any object. Note and
  rows change places in one commit, so that nobody sees half of them, or none.
"""

from __future__ import annotations

from collections.abc import Sequence

from towpath.core.model import Object, Outbox, Segment
from towpath.errors import Stale
from towpath.ledger.base import Add, Change, Ledger, Query, Remove, every

Piece = tuple[str, int, int]
"""A run of bytes in the store: address, start, end."""

AT_ONCE = 32
"""How many pieces get their rows in the very commit of their whole."""

PIECES = "pieces"
"""Kind of an outbox row whose payload is the pieces of its subject, an object."""

_BEGINS = f"{PIECES}:"


def write_pieces(pieces: Sequence[Piece]) -> str:
    """Pieces as text, for a manifest or a note."""
    return " ".join(f"{address}:{start}:{end}" for address, start, end in pieces)


def read_pieces(text: str) -> tuple[Piece, ...]:
    """The pieces that a text has. Raises ValueError."""
    found = []
    for word in text.split():
        address, start, end = word.rsplit(":", 2)
        found.append((address, int(start), int(end)))
    return tuple(found)


def whole(made: Object, address: str) -> Segment:
    """The segment of an object whose bytes are all at one address."""
    return _segment(made, 0, (address, 0, made.length))


def composed(made: Object, address: str, pieces: Sequence[Piece]) -> list[Change]:
    """What is to be committed of an object that consists of pieces; its manifest is at `address`.

    The note is part of it if there are many.
    """
    if len(pieces) <= AT_ONCE:
        return [Add(row) for row in rows(made, address, pieces)]
    note = Outbox(
        tenant=made.tenant,
        owner=made.owner,
        id=_BEGINS + made.id,
        kind=PIECES,
        subject=made.id,
        created_at=made.created_at,
        due_at=made.created_at,
        payload=write_pieces(pieces),
    )
    return [Add(_segment(made, 0, (address, 0, 0))), Add(note)]


def rows(made: Object, address: str, pieces: Sequence[Piece]) -> list[Segment]:
    """All segments of such an object."""
    places = [(address, 0, 0), *pieces]
    return [_segment(made, position, piece) for position, piece in enumerate(places)]


def segments(ledger: Ledger, made: Object) -> tuple[Segment, ...]:
    """The segments of an object, in their order. Blocks."""
    query = Query(where={"object": made.id})
    found = tuple(every(ledger, Segment, query))
    if sum(each.end - each.start for each in found) != made.length:
        note = ledger.get(Outbox, _BEGINS + made.id)
        if note is not None:
            _spread(ledger, note)
        found = tuple(every(ledger, Segment, query))
    return found


def spread(ledger: Ledger) -> int:
    """Write the rows of every object that has a note instead; how many had. Blocks.

    After it, an address that no segment has belongs to no object that was committed before.
    """
    notes = every(ledger, Outbox, Query(prefix=("id", _BEGINS)))
    for note in notes:
        _spread(ledger, note)
    return len(notes)


def _spread(ledger: Ledger, note: Outbox) -> None:
    made = ledger.get(Object, note.subject)
    if made is None:  # it goes with its object, and both were just there
        return
    places = enumerate(read_pieces(note.payload), start=1)
    try:
        ledger.commit(
            [
                Remove(Outbox, note.key, note.version),
                *(Add(_segment(made, position, piece)) for position, piece in places),
            ]
        )
    except Stale:  # somebody else has written them
        return


def _segment(made: Object, position: int, piece: Piece) -> Segment:
    address, start, end = piece
    return Segment(
        tenant=made.tenant,
        owner=made.owner,
        object=made.id,
        position=position,
        address=address,
        start=start,
        end=end,
    )
