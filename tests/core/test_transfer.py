"""The rules of an upload, row by row, and what no sequence of events can bring about."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core import transfer
from towpath.core.model import Upload
from towpath.core.ranges import Extent, Span
from towpath.core.state import UploadState
from towpath.core.transfer import Write, admit, declare, end, hear, move, require_live, settled
from towpath.errors import (
    Expired,
    LengthConflict,
    LimitReached,
    NotFound,
    OffsetConflict,
    Refused,
    StateConflict,
    TooLarge,
)
from towpath.testing.rows import upload

S = UploadState
LEGAL = {
    *product([S.OPEN], [S.FILLED, S.CANCELLED, S.EXPIRED, S.FAILED]),
    *product([S.FILLED], [S.SEALING, S.CANCELLED, S.EXPIRED, S.FAILED]),
    *product([S.SEALING], [S.COMPLETE, S.FAILED]),
}
NOTHING = Extent()


def at(offset: int, length: int | None = 10, **fields: Any) -> tuple[Upload, Extent]:
    """An upload of which the first `offset` bytes are durable."""
    state = S.FILLED if offset == length else S.OPEN
    row = upload(offset=offset, length=length, **{"state": state, "expires_at": 100, **fields})
    return row, Extent(offset, 0)


@pytest.mark.parametrize(("before", "after"), list(product(S, S)), ids=str)
def test_a_state_follows_another_only_as_the_table_says(before: S, after: S) -> None:
    row = upload(state=before, reason="old")
    if (before, after) not in LEGAL:
        with pytest.raises(StateConflict):
            move(row, after, now=7)
        return
    moved = move(row, after, now=7, reason="new")
    assert moved == replace(row, state=after, updated_at=7, reason="new")
    assert move(row, after, now=7).reason == "old"


@pytest.mark.parametrize("state", S)
def test_nothing_follows_a_final_state(state: S) -> None:
    assert state.is_final == (not any(before is state for before, _ in LEGAL))


@pytest.mark.parametrize("state", S)
def test_time_ends_only_what_is_unfinished(state: S) -> None:
    late = upload(state=state, expires_at=100)
    assert transfer.is_overdue(late, now=100) == (state in {S.OPEN, S.FILLED})
    assert not transfer.is_overdue(late, now=99)
    assert not transfer.is_overdue(replace(late, expires_at=None), now=10**15)


@pytest.mark.parametrize("state", S)
def test_a_latecomer_is_told_what_became_of_the_upload(state: S) -> None:
    row = upload(state=state, expires_at=None)
    if state is S.EXPIRED:
        with pytest.raises(Expired):
            require_live(row, now=0)
    elif state is S.CANCELLED:
        with pytest.raises(NotFound):
            require_live(row, now=0)
    else:
        require_live(row, now=0)
    with pytest.raises(Expired):
        require_live(upload(state=S.OPEN, expires_at=5), now=5)


@pytest.mark.parametrize("state", S)
def test_bytes_are_admitted_only_while_the_upload_may_take_them(state: S) -> None:
    row, extent = at(4, state=state)
    write = Write(offset=4, length=6)
    if state in {S.OPEN, S.FILLED}:
        assert admit(row, extent, write, most=None) == 10
    else:
        with pytest.raises(StateConflict):
            admit(row, extent, write, most=None)


@pytest.mark.parametrize(
    ("state", "length", "admitted"),
    [
        (S.FILLED, 0, True),
        (S.FILLED, None, True),
        (S.SEALING, 0, True),
        (S.SEALING, None, True),
        (S.COMPLETE, 0, True),
        (S.COMPLETE, None, True),
        (S.CANCELLED, 0, False),
        (S.EXPIRED, 0, False),
        (S.FAILED, 0, False),
    ],
)
def test_a_repeat_of_the_last_request_is_admitted(
    state: S, length: int | None, admitted: bool
) -> None:
    row, extent = at(10, state=state)
    write = Write(offset=10, length=length)
    if admitted:
        assert admit(row, extent, write, most=None) == 10
        return
    with pytest.raises(StateConflict):
        admit(row, extent, write, most=None)


@pytest.mark.parametrize("offset", [0, 3, 5, 10])
def test_a_sequential_write_elsewhere_is_told_the_true_offset(offset: int) -> None:
    with pytest.raises(OffsetConflict) as refused:
        admit(*at(4), Write(offset=offset, length=1), most=None)
    assert refused.value.offset == 4


@pytest.mark.parametrize("offset", [0, 3, 5, 9])
def test_a_write_that_is_not_sequential_may_begin_anywhere(offset: int) -> None:
    write = Write(offset=offset, length=1, sequential=False)
    assert admit(*at(4), write, most=None) == 10


@pytest.mark.parametrize(
    ("known", "most", "write", "bound"),
    [
        (10, None, Write(offset=4, length=6), 10),
        (10, None, Write(offset=4, length=7), TooLarge),
        (10, None, Write(offset=4, length=None), 10),
        (10, 5, Write(offset=4, length=6), 10),  # the limit was judged when it was declared
        (None, 5, Write(offset=4, length=1), 5),
        (None, 5, Write(offset=4, length=2), TooLarge),
        (None, 5, Write(offset=4, length=None), 5),
        (None, None, Write(offset=4, length=2**62), None),
        (10, None, Write(offset=11, length=None, sequential=False), TooLarge),
    ],
)
def test_a_write_ends_where_the_upload_or_the_limit_does(
    known: int | None, most: int | None, write: Write, bound: int | type[Refused] | None
) -> None:
    row, extent = at(4, known)
    if isinstance(bound, type):
        with pytest.raises(bound):
            admit(row, extent, write, most=most)
    else:
        assert admit(row, extent, write, most=most) == bound


def test_a_write_that_begins_one_island_too_many_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "MOST_ISLANDS", 1)
    row, _ = at(2)
    extent = Extent(2, 0, (Span(4, 6, 0),))
    for offset in (0, 2, 4, 6):
        admit(row, extent, Write(offset=offset, length=1, sequential=False), most=None)
    for offset in (3, 7):
        with pytest.raises(LimitReached):
            admit(row, extent, Write(offset=offset, length=1, sequential=False), most=None)


def test_a_length_is_learnt_once() -> None:
    row, extent = at(4, None)
    known = declare(row, 10, extent=extent, most=10)
    assert known == replace(row, length=10)
    assert declare(known, 10, extent=extent, most=1) is known
    with pytest.raises(StateConflict):
        declare(known, 11, extent=extent, most=None)


def test_a_length_below_what_is_durable_is_refused() -> None:
    row, _ = at(4, None)
    extent = Extent(4, 0, (Span(6, 8, 0),))
    assert declare(row, 8, extent=extent, most=None).length == 8
    with pytest.raises(StateConflict):
        declare(row, 7, extent=extent, most=None)


def test_a_length_above_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        declare(*at(4, None)[:1], 11, extent=NOTHING, most=10)
    transfer.check_length(10, most=10)
    transfer.check_length(2**62, most=None)


@given(
    st.integers(1, 20),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=15),
    st.integers(0, 15),
)
def test_an_upload_is_filled_exactly_when_all_is_durable_and_never_goes_back(
    length: int, deferred: bool, writes: list[tuple[int, int]], declared_at: int
) -> None:
    row, extent = at(0, None if deferred else length)
    for number, (offset, size) in enumerate(writes):
        if row.length is None and number >= declared_at:
            row = transfer.filled(declare(row, length, extent=extent, most=None), now=number)
        end = min(offset + size, length)
        if offset < end and not extent.overlaps(offset, end):
            admit(row, extent, Write(offset=offset, length=end - offset, sequential=False), most=20)
            extent = extent.add(Span(offset, end, 0))
        before = row
        row = settled(row, extent, now=number, expires_at=1000 + number)
        assert row.offset >= before.offset
        assert (row.offset, row.crc) == (extent.offset, extent.crc)
        assert (row.updated_at, row.expires_at) == (number, 1000 + number)
        whole = row.length is not None and not extent.missing(row.length)
        assert row.state is (S.FILLED if whole else S.OPEN)


@pytest.mark.parametrize(("offset", "length"), [(4, None), (10, 10), (0, None)])
def test_the_last_chunk_makes_the_length_known_and_the_upload_filled(
    offset: int, length: int | None
) -> None:
    ended = end(*at(offset, length, completes=False), now=7)
    assert (ended.length, ended.completes, ended.state) == (offset, True, S.FILLED)


def test_a_last_chunk_that_leaves_bytes_missing_is_a_conflict() -> None:
    with pytest.raises(LengthConflict):
        end(*at(4, 10), now=7)
    row, _ = at(4, None)
    with pytest.raises(LengthConflict, match="more"):
        end(row, Extent(4, 0, (Span(6, 8, 0),)), now=7)


WORDS = [  # what the chunk says, and what the upload does from then on
    ({"when_filled": True}, True),
    ({"completes": True}, False),  # until the chunk has come whole
    ({"completes": False}, False),
    ({}, None),
]


@pytest.mark.parametrize(("word", "after"), WORDS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("offset", "length"), [(4, None), (10, 10), (4, 10)])
def test_the_chunk_that_comes_last_says_whether_the_upload_waits_to_be_told(
    offset: int, length: int | None, before: bool, word: dict[str, Any], after: bool | None
) -> None:
    row, _ = at(offset, length, completes=before)
    heard = hear(row, Write(offset=offset, length=None, **word))
    assert heard == replace(row, completes=before if after is None else after)


def test_nothing_is_said_of_an_upload_that_has_ended() -> None:
    for state in set(S) - {S.OPEN, S.FILLED}:
        row = upload(state=state, offset=10, length=10)
        assert end(row, NOTHING, now=7) == row
        assert hear(row, Write(offset=10, length=0, completes=False)) == row


def test_lost_bytes_are_remembered_while_the_upload_is_alive() -> None:
    row, _ = at(4)
    assert not transfer.has_lost_bytes(row)
    assert transfer.has_lost_bytes(replace(row, reason="The store lost bytes."))
    assert not transfer.has_lost_bytes(move(row, S.FAILED, now=7, reason="vetoed"))
