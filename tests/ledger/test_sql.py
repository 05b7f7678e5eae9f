"""What an SQL ledger does that no other ledger could: groups, durability, a database's errors."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.ledger.conftest import sqlite
from towpath.core.model import Island, Upload
from towpath.errors import Duplicate, LedgerError, Stale
from towpath.ledger.base import Add, Change, Query, Update
from towpath.ledger.group import GroupCommit
from towpath.ledger.sql import SqlLedger
from towpath.ledger.sqlite import Answer, SqliteWriter
from towpath.testing.rows import island, upload


@pytest.fixture
def ledger(file: Path) -> Iterator[SqlLedger]:
    opened = SqlLedger(sqlite(file), patience=0.05)
    yield opened
    opened.close()


def together(ledger: SqlLedger, *commits: Sequence[Change]) -> list[Exception | None]:
    """Do all the commits as one group; return what each raised."""
    line = ledger._group
    assert isinstance(line, GroupCommit)
    errors: list[Exception | None] = []
    for ticket in [line.join(changes) for changes in commits]:
        try:
            line.wait(ticket)
            errors.append(None)
        except LedgerError as error:
            errors.append(error)
    return errors


def writer_of(ledger: SqlLedger) -> SqliteWriter:
    assert isinstance(ledger._writer, SqliteWriter)
    return ledger._writer


def starts(ledger: SqlLedger) -> list[int]:
    return [row.start for row in ledger.list(Island, Query())]


def test_many_commits_share_one_transaction(ledger: SqlLedger) -> None:
    said: list[str] = []
    writer_of(ledger)._connection.set_trace_callback(said.append)
    assert together(ledger, *([Add(island(n))] for n in range(100))) == [None] * 100
    assert [words for words in said if words in {"BEGIN IMMEDIATE", "COMMIT"}] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert starts(ledger) == list(range(100))


def test_who_fails_in_a_group_is_undone_alone(ledger: SqlLedger) -> None:
    ledger.commit([Add(upload())])
    errors = together(
        ledger,
        [Add(island(0))],
        [Add(island(1)), Update(upload(version=7))],
        [Add(island(2)), Add(island(0))],
        [Add(island(1, end=100))],
    )
    assert [type(error) for error in errors] == [type(None), Stale, Duplicate, type(None)]
    assert ledger.list(Island, Query()) == [island(0, version=1), island(1, end=100, version=1)]


def test_commits_of_a_group_see_those_before_them(ledger: SqlLedger) -> None:
    errors = together(
        ledger,
        [Add(upload())],
        [Update(upload(version=1, offset=1))],
        [Update(upload(version=1, offset=2))],
        [Update(upload(version=2, offset=3))],
    )
    assert [type(error) for error in errors] == [type(None), type(None), Stale, type(None)]
    assert ledger.get(Upload, "u1") == upload(version=3, offset=3)


def test_when_the_commit_itself_fails_everyone_is_told_and_nothing_is_there(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = SqliteWriter.say

    def fail(writer: SqliteWriter, text: str, values: Sequence[Any] = ()) -> Answer:
        if text == "COMMIT":
            raise OperationalError(text, {}, sqlite3.OperationalError("disk I/O error"))
        return say(writer, text, values)

    monkeypatch.setattr(SqliteWriter, "say", fail)
    errors = together(ledger, [Add(island(0))], [Update(upload())], [Add(island(1))])
    assert [type(error) for error in errors] == [LedgerError, Stale, LedgerError]
    assert "disk I/O error" in str(errors[0])
    monkeypatch.setattr(SqliteWriter, "say", say)
    assert starts(ledger) == []
    ledger.commit([Add(island(0))])
    assert starts(ledger) == [0]


def limit_pages(ledger: SqlLedger, pages: int) -> None:
    """Let the disk be full when the file has as many pages."""
    writer_of(ledger).say(f"PRAGMA max_page_count={pages}")


def test_a_full_disk_is_said_and_what_was_there_stays(ledger: SqlLedger) -> None:
    ledger.commit([Add(island(0))])
    limit_pages(ledger, 1)
    large = [Add(upload(metadata="x" * 100_000))]
    for errors in (together(ledger, large), together(ledger, large, large)):
        assert {type(error) for error in errors} == {LedgerError}
        assert "no space left" in str(errors[0])
    assert starts(ledger) == [0]
    limit_pages(ledger, 1_000_000)
    ledger.commit(large)
    assert ledger.count(Upload, Query()) == 1


def test_a_database_that_another_process_holds_is_said_to_be_locked(
    ledger: SqlLedger, file: Path
) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked by another process"):
        ledger.commit([Add(island(0))])
    assert starts(ledger) == []  # who reads does not wait for who writes
    other.execute("COMMIT")
    other.close()
    ledger.commit([Add(island(0))])


def pragma(ledger: SqlLedger, name: str) -> object:
    ((value,),) = writer_of(ledger).say(f"PRAGMA {name}").rows
    return value


@pytest.mark.parametrize(("durability", "synchronous"), [("strict", 2), ("relaxed", 1)])
def test_durability_decides_what_waits_for_the_disk(
    durability: Any, synchronous: int, file: Path
) -> None:
    ledger = SqlLedger(sqlite(file), durability)
    assert pragma(ledger, "journal_mode") == "wal"
    assert pragma(ledger, "synchronous") == synchronous
    ledger.close()


def test_connections_that_read_cannot_write(ledger: SqlLedger) -> None:
    with (
        ledger._reader.connect() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM uploads")


def test_a_closed_ledger_leaves_one_file(ledger: SqlLedger, file: Path) -> None:
    ledger.commit([Add(upload())])
    ledger.list(Upload, Query())
    ledger.close()
    assert [path.name for path in file.parent.iterdir()] == [file.name]
