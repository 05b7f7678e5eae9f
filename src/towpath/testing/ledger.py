"""The conformance suite of ledgers: what every place for facts must do, one behaviour a check.

Rules:
- A check takes `make`. Its first call opens a new, empty place; after `close` of what it returned,
  the next call opens the same place again. Give each check a `make` of its own.
- A check raises AssertionError, or whatever the ledger raises and should not have.
- No test framework is needed: `for check in CHECKS: check(make)`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from towpath.core.model import (
    KINDS,
    Island,
    Lease,
    Name,
    Object,
    OnConflict,
    Outbox,
    Row,
    Segment,
    Upload,
    UploadState,
)
from towpath.errors import Duplicate, LedgerError, Stale
from towpath.ledger.base import Add, Expect, Ledger, Query, Remove, Update

Make = Callable[[], Ledger]
Check = Callable[[Make], None]


def upload(id_: str = "u1", **fields: Any) -> Upload:
    """Return an upload with every field filled in; `fields` say which ones matter."""
    row = Upload(
        tenant="t1",
        owner="ann",
        id=id_,
        state=UploadState.OPEN,
        length=10,
        handle="h1",
        created_at=1,
        updated_at=2,
        expires_at=3,
    )
    return replace(row, **fields)


def island(start: int, upload_id: str = "u1", **fields: Any) -> Island:
    """Return an island of one byte."""
    row = Island(tenant="t1", owner="ann", upload=upload_id, start=start, end=start + 1, crc=7)
    return replace(row, **fields)


def name(path: str, tenant: str = "t1", **fields: Any) -> Name:
    """Return a name that points to object o1."""
    row = Name(tenant=tenant, owner="ann", path=path, object="o1", updated_at=1)
    return replace(row, **fields)


def full_rows() -> list[Row]:
    """Return one row of each kind with the largest and strangest values its fields take."""
    who = {"tenant": "tenant ü", "owner": "名"}
    largest = 2**63 - 1
    return [
        upload(
            **who,
            state=UploadState.SEALING,
            length=largest,
            offset=largest,
            crc=2**64 - 1,
            hasher=bytes(range(256)),
            fence=largest,
            name="a/ü%_\U0010ffff\ue000\ud7ff'\"\\",
            on_conflict=OnConflict.REPLACE,
            media_type="text/plain",
            metadata="filename d29ybGQ=,x",
            dialect="tus",
            reason="because",
        ),
        Island(**who, upload="u1", start=0, end=largest, crc=2**63),
        Lease(**who, upload="u1", fence=largest, start=0, end=None, holder="p", granted_at=-1),
        Object(**who, id="o1", length=0, crc=2**63 - 1, created_at=0, damaged=True),
        Segment(**who, object="o1", position=0, address="a", start=0, end=largest),
        Name(**who, path="\n \t", object="o1", updated_at=0),
        Outbox(**who, id="x", kind="k", subject="s", created_at=0, due_at=-(2**63), tries=1),
    ]


def _refused(error: type[LedgerError], ledger: Ledger, *changes: Any) -> None:
    try:
        ledger.commit(list(changes))
    except error as refusal:
        # Not a kind of error below the one that is meant.
        assert type(refusal) is error, repr(refusal)
        return
    raise AssertionError(f"{error.__name__} was not raised")


def check_an_added_row_is_read_back_in_version_1(make: Make) -> None:
    """Whatever version it came with."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload(version=9))])
        assert ledger.get(Upload, "u1") == upload(version=1)


def check_every_field_of_every_kind_comes_back_as_it_was(make: Make) -> None:
    """CRCs of 64 bits, ints of 63, any letter, enums as enums, None as None."""
    rows = full_rows()
    assert {type(row) for row in rows} == set(KINDS)
    with closing(make()) as ledger:
        ledger.commit([Add(row) for row in rows])
        for row in rows:
            found = ledger.get(type(row), *row.key)
            assert found == replace(row, version=1)
            for field in row.__dataclass_fields__:
                assert type(getattr(found, field)) is type(getattr(row, field)), field


def check_what_is_not_there_is_none(make: Make) -> None:
    """Also with a key that another kind has."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload("same"))])
        assert ledger.get(Upload, "other") is None
        assert ledger.get(Object, "same") is None
        assert ledger.list(Object, Query()) == []


def check_adding_a_key_twice_is_duplicate(make: Make) -> None:
    """And the row stays as it was."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload())])
        _refused(Duplicate, ledger, Add(upload(owner="bob")))
        _refused(Duplicate, ledger, Add(upload("u2")), Add(upload("u2")))
        assert ledger.list(Upload, Query()) == [upload(version=1)]


def check_an_update_replaces_every_field_and_counts_up(make: Make) -> None:
    """Version after version."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload())])
        changed = replace(full_rows()[0], version=1)
        ledger.commit([Update(changed)])
        assert ledger.get(Upload, "u1") == replace(changed, version=2)
        ledger.commit([Update(upload(version=2))])
        assert ledger.get(Upload, "u1") == upload(version=3)


def check_an_update_of_another_version_is_stale(make: Make) -> None:
    """An older, a newer, or a row that is not there."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload())])
        ledger.commit([Update(upload(version=1, offset=1))])
        for row in (upload(version=1), upload(version=3), upload("none", version=1)):
            _refused(Stale, ledger, Update(row))
        assert ledger.get(Upload, "u1") == upload(version=2, offset=1)


def check_remove_takes_the_row_away_and_needs_none(make: Make) -> None:
    """Without a version, what is not there is fine."""
    with closing(make()) as ledger:
        ledger.commit([Add(island(0)), Add(island(1))])
        ledger.commit([Remove(Island, ("u1", 0)), Remove(Island, ("u1", 5))])
        assert [row.start for row in ledger.list(Island, Query())] == [1]


def check_remove_with_a_version_needs_that_version(make: Make) -> None:
    """Else it is stale."""
    with closing(make()) as ledger:
        ledger.commit([Add(island(0))])
        _refused(Stale, ledger, Remove(Island, ("u1", 0), version=2))
        _refused(Stale, ledger, Remove(Island, ("u1", 9), version=1))
        assert ledger.count(Island, Query()) == 1
        ledger.commit([Remove(Island, ("u1", 0), version=1)])
        assert ledger.count(Island, Query()) == 0


def check_expect_needs_the_row_and_changes_nothing(make: Make) -> None:
    """It sees the changes before it in its commit."""
    with closing(make()) as ledger:
        lease = Lease(
            tenant="t1",
            owner="ann",
            upload="u1",
            fence=3,
            start=0,
            end=None,
            holder="p",
            granted_at=1,
        )
        _refused(Stale, ledger, Expect(Lease, ("u1", 3)), Add(upload()))
        ledger.commit([Add(lease), Expect(Lease, ("u1", 3))])
        ledger.commit([Expect(Lease, ("u1", 3)), Add(upload())])
        assert ledger.get(Lease, "u1", 3) == replace(lease, version=1)
        _refused(Stale, ledger, Remove(Lease, ("u1", 3)), Expect(Lease, ("u1", 3)))
        assert ledger.count(Lease, Query()) == 1


def check_a_commit_does_all_or_nothing(make: Make) -> None:
    """Whichever of its changes fails, and wherever it stands."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload("kept")), Add(island(0))])
        good = [
            Add(upload("new")),
            Update(upload("kept", version=1, offset=5)),
            Remove(Island, ("u1", 0)),
        ]
        for error, bad in (
            (Duplicate, Add(upload("kept"))),
            (Stale, Update(upload("none", version=1))),
            (Stale, Remove(Island, ("u1", 7), version=1)),
            (Stale, Expect(Name, ("t1", "none"))),
        ):
            for position in range(len(good) + 1):
                _refused(error, ledger, *good[:position], bad, *good[position:])
        assert ledger.list(Upload, Query()) == [upload("kept", version=1)]
        assert ledger.list(Island, Query()) == [island(0, version=1)]
        ledger.commit(good)
        assert ledger.count(Upload, Query()) == 2


def check_changes_are_done_in_their_order(make: Make) -> None:
    """A key may be freed and taken, added and updated in one commit."""
    with closing(make()) as ledger:
        ledger.commit([Add(name("a")), Update(name("a", version=1, object="o2"))])
        assert ledger.get(Name, "t1", "a") == name("a", version=2, object="o2")
        ledger.commit([Remove(Name, ("t1", "a")), Add(name("a", object="o3"))])
        assert ledger.get(Name, "t1", "a") == name("a", version=1, object="o3")
        ledger.commit([Add(name("b")), Remove(Name, ("t1", "b"))])
        assert ledger.get(Name, "t1", "b") is None


def check_an_empty_commit_is_fine(make: Make) -> None:
    """It does nothing."""
    with closing(make()) as ledger:
        ledger.commit([])


def check_rows_come_in_the_order_of_their_keys(make: Make) -> None:
    """Text by code point, numbers by size, compound keys field by field."""
    paths = ["", "A", "B", "Z", "a", "a b", "ab", "ß", "á", "Ω", "\ue000", "\uffff", "\U00010000"]
    with closing(make()) as ledger:
        ledger.commit([Add(name(path, tenant)) for tenant in ("t2", "t1") for path in paths[::-1]])
        assert [row.key for row in ledger.list(Name, Query())] == [
            (tenant, path) for tenant in ("t1", "t2") for path in paths
        ]
        starts = [10, 9, 100, 2**40, 0]
        ledger.commit([Add(island(start)) for start in starts])
        assert [row.start for row in ledger.list(Island, Query())] == sorted(starts)


def check_where_holds_for_every_field_named(make: Make) -> None:
    """By value, by None, by enum or its word, by bool, by bytes, by a CRC of 64 bits."""
    with closing(make()) as ledger:
        ledger.commit(
            [
                Add(upload("a", state=UploadState.FILLED, length=None, crc=2**64 - 1)),
                Add(upload("b", tenant="t2", hasher=b"\0\xff")),
                Add(upload("c", length=None)),
                Add(Object(tenant="t1", owner="ann", id="o", length=1, crc=1, created_at=1)),
            ]
        )

        def found(**where: Any) -> str:
            return "".join(row.id for row in ledger.list(Upload, Query(where=where)))

        assert found() == "abc"
        assert found(tenant="t1") == "ac"
        assert found(tenant="t1", state=UploadState.OPEN) == "c"
        assert found(state="filled") == "a"
        assert found(length=None) == "ac"
        assert found(length=10) == "b"
        assert found(crc=2**64 - 1) == "a"
        assert found(hasher=b"\0\xff") == "b"
        assert found(tenant="T1") == ""
        assert ledger.count(Object, Query(where={"damaged": False})) == 1
        assert ledger.count(Object, Query(where={"damaged": True})) == 0


def check_a_tuple_in_where_means_any_of_these(make: Make) -> None:
    """None among them means None; an empty one means nothing."""
    with closing(make()) as ledger:
        ledger.commit(
            [
                Add(upload("a", state=UploadState.OPEN, length=None)),
                Add(upload("b", state=UploadState.FILLED, length=1)),
                Add(upload("c", state=UploadState.FAILED, length=2)),
            ]
        )

        def found(**where: Any) -> str:
            return "".join(row.id for row in ledger.list(Upload, Query(where=where)))

        assert found(state=(UploadState.OPEN, UploadState.FAILED)) == "ac"
        assert found(state=("filled",)) == "b"
        assert found(length=(None, 2)) == "ac"
        assert found(length=(None,)) == "a"
        assert found(length=()) == ""
        assert found(id=tuple(str(n) for n in range(900)) + ("b",)) == "b"


def check_a_prefix_is_exact_for_any_text(make: Make) -> None:
    """Case counts, no letter is special, and the last code point has no next one."""
    paths = [
        *("", "%", "%a", "A", "A/b", "_", "_a", "a", "a%", "a%b", "a/", "a/b", "a/é", "a0", "aA"),
        *("a_", "a_b", "ab", "é", "e\u0301", "\ud7ff", "\ud7ffx", "\ue000", "\uffff", "\uffffx"),
        *("\U0010ffff", "\U0010ffffa", "\U0010ffff\U0010ffff", "b\U0010ffff", "b\U0010ffffx", "c"),
    ]
    with closing(make()) as ledger:
        ledger.commit([Add(name(path)) for path in paths])
        ledger.commit([Add(name(path, "t2")) for path in paths])
        for prefix in [*paths, "a/b/c", "\U00010000", "B"]:
            query = Query(where={"tenant": "t1"}, prefix=("path", prefix))
            found = [row.path for row in ledger.list(Name, query)]
            assert found == sorted(path for path in paths if path.startswith(prefix)), prefix
            assert ledger.count(Name, query) == len(found)


def check_a_prefix_never_matches_none(make: Make) -> None:
    """Not even the empty one."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload("a", name=None)), Add(upload("b", name=""))])
        assert [row.id for row in ledger.list(Upload, Query(prefix=("name", "")))] == ["b"]


def check_below_is_strict_and_passes_none_by(make: Make) -> None:
    """What has no expiry never expires."""
    with closing(make()) as ledger:
        times = {"a": 5, "b": None, "c": 4, "d": -1, "e": 2**63 - 1}
        ledger.commit([Add(upload(id_, expires_at=time)) for id_, time in times.items()])

        def found(bound: int) -> str:
            rows = ledger.list(Upload, Query(below=("expires_at", bound)))
            return "".join(row.id for row in rows)

        assert found(5) == "cd"
        assert found(6) == "acd"
        assert found(-1) == ""
        assert found(2**63 - 1) == "acd"


def check_paging_by_after_visits_every_row_once(make: Make) -> None:
    """Over compound keys, with conditions, and while rows behind the page go."""
    with closing(make()) as ledger:
        keys = [(upload_id, start) for upload_id in ("u1", "u2", "u3") for start in range(7)]
        ledger.commit([Add(island(start, upload_id)) for upload_id, start in keys])
        for where in ({}, {"upload": "u2"}, {"upload": ("u1", "u3")}):
            everything = [row.key for row in ledger.list(Island, Query(where=where))]
            for limit in (1, 3, 7, 100):
                seen: list[Any] = []
                page: Sequence[Island] = ()
                while not seen or page:
                    after = seen[-1] if seen else None
                    page = ledger.list(Island, Query(where=where, after=after, limit=limit))
                    assert len(page) <= limit
                    seen += [row.key for row in page]
                assert seen == everything
        rows = ledger.list(Island, Query(after=("u1", 99), limit=1))
        assert [row.key for row in rows] == [("u2", 0)]
        assert ledger.list(Island, Query(limit=0)) == []
        ledger.commit([Add(name("a")), Add(name("b"))])
        rows_after = ledger.list(Name, Query(prefix=("path", ""), after=("t1", "a")))
        assert [row.path for row in rows_after] == ["b"]


def check_count_knows_no_limit_and_no_after(make: Make) -> None:
    """It counts what matches."""
    with closing(make()) as ledger:
        ledger.commit([Add(island(start)) for start in range(5)])
        query = Query(below=("start", 4), after=("u1", 1), limit=2)
        assert ledger.count(Island, query) == 4
        assert len(ledger.list(Island, query)) == 2


def check_what_no_ledger_can_keep_is_refused(make: Make) -> None:
    """Before anything is done, and the ledger stays usable."""
    with closing(make()) as ledger:
        for row in (
            upload(length=2**63),
            upload(length=-(2**63) - 1),
            upload(crc=2**64),
            upload(crc=-1),
            upload(name="\ud800"),
            upload(name="a\0b"),
            upload(handle=None),
            upload(state="open"),
            upload(length=True),
            upload(length="10"),
        ):
            _refused(LedgerError, ledger, Add(upload("x")), Add(row))
        for question in (
            Query(where={"colour": "red"}),
            Query(where={"length": "10"}),
            Query(prefix=("length", "1")),
            Query(prefix=("name", "\udfff")),
            Query(below=("crc", 1)),
            Query(below=("name", 1)),
            Query(after=("a", "b")),
            Query(limit=-1),
        ):
            for ask in (ledger.list, ledger.count):
                try:
                    ask(Upload, question)
                except LedgerError:
                    continue
                raise AssertionError(f"{question} was answered")
        ledger.commit([Add(upload("x"))])
        assert ledger.count(Upload, Query()) == 1


def check_facts_survive_close_and_open(make: Make) -> None:
    """All of them, and versions go on from where they were."""
    with closing(make()) as ledger:
        ledger.commit([Add(row) for row in full_rows()])
        ledger.commit([Add(island(5)), Remove(Lease, ("u1", 2**63 - 1))])
    with closing(make()) as ledger:
        assert ledger.get(Upload, "u1") == replace(full_rows()[0], version=1)
        assert ledger.count(Lease, Query()) == 0
        assert ledger.count(Island, Query()) == 2
        ledger.commit([Update(island(5, version=1, crc=1))])
    with closing(make()) as ledger:
        assert ledger.get(Island, "u1", 5) == island(5, version=2, crc=1)


def check_a_closed_ledger_refuses_and_may_be_closed_again(make: Make) -> None:
    """Nothing hangs, nothing is lost silently."""
    ledger = make()
    ledger.close()
    ledger.close()
    for use in (
        lambda: ledger.get(Upload, "u1"),
        lambda: ledger.list(Upload, Query()),
        lambda: ledger.count(Upload, Query()),
        lambda: ledger.commit([Add(upload())]),
    ):
        try:
            use()
        except LedgerError:
            continue
        raise AssertionError("a closed ledger answered")


def _at_once(*works: Callable[[], None]) -> None:
    """Run all in threads that start together; raise the first error."""
    start = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:  # noqa: BLE001  raised by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def check_of_writers_at_once_only_one_wins_a_version(make: Make) -> None:
    """The others are stale; tried again until they win, no update is lost."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload(offset=0, length=None))])
        attempts = 10

        def count_up() -> None:
            for _ in range(attempts):
                while True:
                    row = ledger.get(Upload, "u1")
                    assert row is not None
                    try:
                        ledger.commit([Update(replace(row, offset=row.offset + 1))])
                        break
                    except Stale:
                        continue

        _at_once(*[count_up] * 4)
        row = ledger.get(Upload, "u1")
        assert row is not None
        assert (row.offset, row.version) == (4 * attempts, 4 * attempts + 1)


def check_of_adders_at_once_only_one_wins_a_key(make: Make) -> None:
    """The others are told that it exists."""
    with closing(make()) as ledger:
        won: list[tuple[int, int]] = []

        def add(who: int) -> None:
            for start in range(10):
                try:
                    ledger.commit([Add(island(start, end=who)), Add(island(start, f"of{who}"))])
                    won.append((start, who))
                except Duplicate:
                    continue

        _at_once(*[lambda who=who: add(who) for who in range(4)])  # type: ignore[misc]
        rows = ledger.list(Island, Query(where={"upload": "u1"}))
        assert [(row.start, row.end) for row in rows] == sorted(won)
        assert ledger.count(Island, Query()) == 20


def check_a_commit_that_returned_is_seen_by_every_thread(make: Make) -> None:
    """By those that read after it returned."""
    with closing(make()) as ledger:
        turns: list[threading.Event] = [threading.Event() for _ in range(20)]

        def write() -> None:
            for start, turn in enumerate(turns):
                ledger.commit([Add(island(start))])
                turn.set()

        def read() -> None:
            for start, turn in enumerate(turns):
                assert turn.wait(20), "the writer is stuck"
                assert ledger.get(Island, "u1", start) == island(start, version=1)
                assert ledger.count(Island, Query()) >= start + 1

        _at_once(write, read, read)


def check_a_refused_commit_does_not_hurt_its_neighbours(make: Make) -> None:
    """However commits of many threads are done together."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload())])

        def good(who: int) -> None:
            for start in range(15):
                ledger.commit([Add(island(start, f"good{who}")), Expect(Upload, ("u1",))])

        def bad() -> None:
            for start in range(15):
                _refused(Stale, ledger, Add(island(start, "bad")), Update(upload(version=7)))
                _refused(Duplicate, ledger, Add(island(start, "bad")), Add(upload()))

        _at_once(lambda: good(1), bad, lambda: good(2), bad, lambda: good(3))
        assert ledger.count(Island, Query()) == 45
        assert ledger.count(Island, Query(where={"upload": "bad"})) == 0
        assert ledger.get(Upload, "u1") == upload(version=1)


CHECKS: tuple[Check, ...] = tuple(
    check for title, check in list(globals().items()) if title.startswith("check_")
)
