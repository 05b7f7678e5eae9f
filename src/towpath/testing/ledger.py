"""The conformance suite of ledgers: what every place for facts must do, one behaviour a check.

Rules:
- A check takes `make`. Its first call opens a new, empty place; after `close` of what it returned,
  the next call opens the same place again. Give each check a `make` of its own.
- A check raises AssertionError, or whatever the ledger raises and should not have.
- No test framework is needed: `for check in CHECKS: check(make)`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields, replace

from towpath.core.model import KINDS, Island, Lease, Name, Object, Upload
from towpath.errors import Duplicate, LedgerError, Stale
from towpath.ledger.base import Add, Change, Expect, Ledger, Query, Remove, Update
from towpath.testing import ledger_queries
from towpath.testing.ledger_queries import Check, Make
from towpath.testing.rows import full_rows, island, name, upload


def _refused(error: type[LedgerError], ledger: Ledger, *changes: Change) -> LedgerError:
    try:
        ledger.commit(list(changes))
    except LedgerError as refusal:
        assert type(refusal) is error, f"{type(refusal)} was raised, not {error}"
        return refusal
    raise AssertionError(f"nothing was raised, and not {error}")


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
            for field in (field.name for field in fields(row)):
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


def check_of_many_that_are_added_the_one_that_is_there_is_named(make: Make) -> None:
    """And none of them is added."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload())])
        refusal = _refused(Duplicate, ledger, Add(upload("u0")), Add(upload()), Add(upload("u2")))
        assert "u1" in refusal.what
        refusal = _refused(
            Duplicate, ledger, Add(upload("u2")), Add(upload("u3")), Add(upload("u3"))
        )
        assert "u3" in refusal.what
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


def check_as_many_rows_are_expected_as_there_are(make: Make) -> None:
    """With keys of one field and of two; one that is missing is noticed among all of them."""
    many = range(1100)
    with closing(make()) as ledger:
        ledger.commit([*(Add(island(n)) for n in many), *(Add(upload(f"u{n}")) for n in many)])
        of_two, of_one = [("u1", n) for n in many], [(f"u{n}",) for n in many]
        ledger.commit([Expect(Island, of_two), Expect(Upload, of_one), Expect(Upload, [])])
        _refused(Stale, ledger, Expect(Island, [*of_two, ("u1", 1100)]))
        _refused(Stale, ledger, Expect(Upload, [("none",), *of_one]))


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
        _refused(Stale, ledger, Expect(Lease, [("u1", 3)]), Add(upload()))
        ledger.commit([Add(lease), Expect(Lease, [("u1", 3)])])
        ledger.commit([Expect(Lease, [("u1", 3)]), Add(upload())])
        assert ledger.get(Lease, "u1", 3) == replace(lease, version=1)
        _refused(Stale, ledger, Remove(Lease, ("u1", 3)), Expect(Lease, [("u1", 3)]))
        assert ledger.count(Lease, Query()) == 1


def check_a_commit_does_all_or_nothing(make: Make) -> None:
    """Whichever of its changes fails, and wherever it stands."""
    with closing(make()) as ledger:
        ledger.commit([Add(upload("kept")), Add(island(0))])
        good: list[Change] = [
            Add(upload("new")),
            Update(upload("kept", version=1, offset=5)),
            Remove(Island, ("u1", 0)),
        ]
        for error, bad in (
            (Duplicate, Add(upload("kept"))),
            (Stale, Update(upload("none", version=1))),
            (Stale, Remove(Island, ("u1", 7), version=1)),
            (Stale, Expect(Name, [("t1", "none")])),
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

        _at_once(*[lambda who=who: add(who) for who in range(4)])
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
                ledger.commit([Add(island(start, f"good{who}")), Expect(Upload, [("u1",)])])

        def bad() -> None:
            for start in range(15):
                _refused(Stale, ledger, Add(island(start, "bad")), Update(upload(version=7)))
                _refused(Duplicate, ledger, Add(island(start, "bad")), Add(upload()))

        _at_once(lambda: good(1), bad, lambda: good(2), bad, lambda: good(3))
        assert ledger.count(Island, Query()) == 45
        assert ledger.count(Island, Query(where={"upload": "bad"})) == 0
        assert ledger.get(Upload, "u1") == upload(version=1)


CHECKS: tuple[Check, ...] = (
    check_an_added_row_is_read_back_in_version_1,
    check_every_field_of_every_kind_comes_back_as_it_was,
    check_what_is_not_there_is_none,
    check_adding_a_key_twice_is_duplicate,
    check_an_update_replaces_every_field_and_counts_up,
    check_an_update_of_another_version_is_stale,
    check_remove_takes_the_row_away_and_needs_none,
    check_remove_with_a_version_needs_that_version,
    check_as_many_rows_are_expected_as_there_are,
    check_expect_needs_the_row_and_changes_nothing,
    check_a_commit_does_all_or_nothing,
    check_changes_are_done_in_their_order,
    check_an_empty_commit_is_fine,
    check_what_no_ledger_can_keep_is_refused,
    check_facts_survive_close_and_open,
    check_a_closed_ledger_refuses_and_may_be_closed_again,
    check_of_writers_at_once_only_one_wins_a_version,
    check_of_adders_at_once_only_one_wins_a_key,
    check_a_commit_that_returned_is_seen_by_every_thread,
    check_a_refused_commit_does_not_hurt_its_neighbours,
    *ledger_queries.CHECKS,
)
