"""The rules of an upload: what may be written, and what follows from what became durable.

Events in, decisions out: functions of frozen values, no clock, no store, no ledger.

    open --all bytes durable--> filled --complete--> sealing --sealed--> complete
    open, filled --cancel--> cancelled     open, filled --expire--> expired
    sealing --cannot ever--> failed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from towpath.core.model import Upload
from towpath.core.ranges import MOST_ISLANDS, Extent, too_many_islands
from towpath.core.state import UploadState
from towpath.errors import (
    Expired,
    Forbidden,
    LengthConflict,
    NotFound,
    OffsetConflict,
    StateConflict,
    TooLarge,
)

_MAY_FOLLOW: dict[UploadState, frozenset[UploadState]] = {
    UploadState.OPEN: frozenset(
        {
            UploadState.FILLED,
            UploadState.CANCELLED,
            UploadState.EXPIRED,
            UploadState.FAILED,
        }
    ),
    UploadState.FILLED: frozenset(
        {
            UploadState.SEALING,
            UploadState.CANCELLED,
            UploadState.EXPIRED,
            UploadState.FAILED,
        }
    ),
    UploadState.SEALING: frozenset({UploadState.COMPLETE, UploadState.FAILED}),
    UploadState.COMPLETE: frozenset(),
    UploadState.CANCELLED: frozenset(),
    UploadState.EXPIRED: frozenset(),
    UploadState.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What a chunk asks for.

    `length` is None when the sender did not say how much will come. `sequential` writers must
    begin where the prefix ends; others may write anywhere, durable bytes included. A chunk with
    `digests`, or `trailing` ones that come behind the bytes, counts whole or not at all.
    """

    offset: int
    length: int | None
    sequential: bool = True
    declares: int | None = None  # the upload's whole length, said with this chunk
    digests: Mapping[str, bytes] = field(default_factory=dict)  # of the chunk's bytes
    trailing: frozenset[str] = frozenset()  # algorithms whose values follow the bytes
    completes: bool | None = None  # said with this chunk: it is the last; None: not said
    when_filled: bool = False  # the dialect's word: the upload completes once nothing is missing

    @property
    def end(self) -> int | None:
        """The offset after the last byte; None if it is not known."""
        return None if self.length is None else self.offset + self.length


def move(upload: Upload, state: UploadState, *, now: int, reason: str = "") -> Upload:
    """`upload` in `state`. Raises StateConflict if it cannot get there from where it is."""
    if state not in _MAY_FOLLOW[upload.state]:
        raise StateConflict(
            f"The upload cannot become {state.value}.",
            why=f"It is {upload.state.value}.",
            todo="Ask for its state, and begin a new upload if it has ended.",
        )
    return replace(upload, state=state, updated_at=now, reason=reason or upload.reason)


def require_live(upload: Upload, *, now: int) -> None:
    """Raises Expired or NotFound if the upload's time is over or it was given up."""
    if upload.state is UploadState.EXPIRED or is_overdue(upload, now=now):
        raise Expired(
            "The upload has expired.",
            why="Nothing was heard of it for too long, so its bytes were removed.",
            todo="Begin a new upload.",
        )
    if upload.state is UploadState.CANCELLED:
        raise NotFound(
            "There is no such upload.", why="It was cancelled.", todo="Begin a new upload."
        )


def is_overdue(upload: Upload, *, now: int) -> bool:
    """True when an unfinished upload's time is over."""
    return (
        upload.state in {UploadState.OPEN, UploadState.FILLED}
        and upload.expires_at is not None
        and upload.expires_at <= now
    )


def declare(upload: Upload, length: int, *, extent: Extent, most: int | None) -> Upload:
    """`upload` with its length known. Once known it stays.

    Raises LengthConflict if another length is known, or less than what is durable already;
    TooLarge if it is more than `most` bytes.
    """
    if upload.length is not None:
        if upload.length != length:
            raise LengthConflict(
                "The upload's length is known and does not change.",
                why=f"It is {upload.length} bytes, not {length}.",
                todo="Send the length once, with the first request that knows it.",
            )
        return upload
    check_length(length, most=most)
    durable = max((extent.offset, *(island.end for island in extent.islands)))
    if length < durable:
        raise LengthConflict(
            "The upload cannot be that short.",
            why=f"{durable} bytes have arrived, {length} were declared.",
            todo="Declare the true length.",
        )
    return replace(upload, length=length)


def check_length(length: int, *, most: int | None) -> None:
    """Raises TooLarge if an upload of `length` bytes is not taken here."""
    if most is not None and length > most:
        raise TooLarge(
            "The upload is too large.",
            why=f"It has {length} bytes; at most {most} are taken here.",
            todo="Send a smaller file, or ask who runs the server to raise the limit.",
        )


def admit(upload: Upload, extent: Extent, write: Write, *, most: int | None) -> int | None:
    """Where the write must end: the upload's length, or `most`, or None for no bound.

    Raises StateConflict unless the upload is open (a sequential write of nothing at the end of
    a filled or complete one is a repeated last request, and admitted), OffsetConflict, TooLarge,
    LimitReached.
    """
    if upload.parts:
        raise Forbidden(
            "An upload made of others takes no bytes.",
            why="It consists of its parts alone.",
            todo="Send bytes to its parts.",
        )
    repeat = write.sequential and write.offset == upload.length == extent.offset
    stands = not upload.state.is_final or upload.state is UploadState.COMPLETE
    if repeat and write.length in {0, None} and stands:
        return upload.length
    if upload.state not in {UploadState.OPEN, UploadState.FILLED}:
        raise StateConflict(
            "The upload takes no more bytes.",
            why=f"It is {upload.state.value}.",
            todo="Nothing more is to be sent.",
        )
    if write.sequential and write.offset != extent.offset:
        raise OffsetConflict(
            "The bytes do not begin where the durable ones end.",
            offset=extent.offset,
            why=f"They begin at {write.offset}; {extent.offset} bytes are durable.",
            todo="Go on from the offset in this answer.",
        )
    if len(extent.islands) >= MOST_ISLANDS and not extent.reaches(write.offset):
        raise too_many_islands()
    bound = upload.length if upload.length is not None else most
    beyond = write.end if write.end is not None else write.offset
    if bound is not None and beyond > bound:
        raise TooLarge(
            "The chunk goes beyond the upload's end.",
            why=f"It would end at {beyond}; the upload ends at {bound}.",
            todo="Send no more bytes than the upload has left.",
        )
    return bound


def refuse_beyond(upload: Upload, write: Write) -> None:
    """Refuse a chunk that can never fit before anybody is disturbed for it.

    Raises TooLarge, StateConflict.
    """
    length = upload.length if upload.length is not None else write.declares
    if length is not None and write.end is not None and write.end > length:
        admit(replace(upload, length=length), Extent(write.offset, 0, ()), write, most=None)


def hear(upload: Upload, write: Write) -> Upload:
    """`upload` as it completes from this chunk on, before a byte of it is there.

    Who says so with the last chunk says it again when all of it has come (`end`).
    """
    if upload.state not in {UploadState.OPEN, UploadState.FILLED}:
        return upload
    if write.when_filled:
        return replace(upload, completes=True)
    return upload if write.completes is None else replace(upload, completes=False)


def end(upload: Upload, extent: Extent, *, now: int) -> Upload:
    """`upload` after the last chunk came whole, and said that it was.

    It makes the length known. Raises LengthConflict if another one is, or bytes lie beyond it.
    """
    if upload.state not in {UploadState.OPEN, UploadState.FILLED}:
        return upload
    if upload.length not in {None, upload.offset} or extent.islands:
        known = "more" if upload.length is None else upload.length
        raise LengthConflict(
            "The upload cannot end here.",
            why=f"It is to have {known} bytes; {upload.offset} have come without a gap.",
            todo="Send what is missing, or begin a new upload of the true length.",
        )
    return filled(replace(upload, completes=True, length=upload.offset), now=now)


def has_lost_bytes(upload: Upload) -> bool:
    """True if the store lost bytes that were durable: its offset is less than was once told."""
    return upload.state in {UploadState.OPEN, UploadState.FILLED} and upload.reason != ""


def settled(upload: Upload, extent: Extent, *, now: int, expires_at: int | None) -> Upload:
    """`upload` after `extent` became durable; FILLED once nothing is missing."""
    upload = replace(
        upload, offset=extent.offset, crc=extent.crc, updated_at=now, expires_at=expires_at
    )
    return filled(upload, now=now)


def filled(upload: Upload, *, now: int) -> Upload:
    """`upload`, FILLED if it is open and no byte is missing."""
    if upload.state is UploadState.OPEN and upload.length == upload.offset:
        return move(upload, UploadState.FILLED, now=now)
    return upload
