"""The part of the ledgers' conformance suite that asks: which rows, in which order, how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from towpath.core.model import Island, Name, Object, Upload
from towpath.core.state import UploadState
from towpath.errors import LedgerError
from towpath.ledger.base import Add, Ledger, Query
from towpath.testing.rows import island, name, upload

Make = Callable[[], Ledger]
Check = Callable[[Make], None]


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
        assert found(id=(*map(str, range(900)), "b")) == "b"


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


def check_what_no_ledger_can_answer_is_refused(make: Make) -> None:
    """Rather than answered by nothing."""
    with closing(make()) as ledger:
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


CHECKS: tuple[Check, ...] = (
    check_rows_come_in_the_order_of_their_keys,
    check_where_holds_for_every_field_named,
    check_a_tuple_in_where_means_any_of_these,
    check_a_prefix_is_exact_for_any_text,
    check_a_prefix_never_matches_none,
    check_below_is_strict_and_passes_none_by,
    check_paging_by_after_visits_every_row_once,
    check_count_knows_no_limit_and_no_after,
    check_what_no_ledger_can_answer_is_refused,
)
