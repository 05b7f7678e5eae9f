"""Whatever is asked of it, the SQL ledger answers what the ledger in memory answers."""

import shutil
import tempfile
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.ledger.conftest import sqlite
from towpath.core.model import Island, Name, Row, Upload
from towpath.core.state import UploadState
from towpath.errors import LedgerError
from towpath.ledger.base import Add, Change, Expect, Ledger, Query, Remove, Update
from towpath.ledger.memory import MemoryLedger
from towpath.ledger.sql import SqlLedger
from towpath.testing.rows import island, name, upload

KINDS: tuple[type[Row], ...] = (Upload, Island, Name)
letters = st.characters(codec="utf-8", exclude_characters="\0")
words = st.text(st.sampled_from("aAb%_/\ud7ff\ue000\uffff\U0010ffff") | letters, max_size=3)
numbers = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**63 - 1])
crcs = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
tenants = st.sampled_from(["t1", "t2"])
versions = st.sampled_from([1, 1, 2, 3])
uploads = st.builds(
    upload,
    st.sampled_from("abc"),
    tenant=tenants,
    version=versions,
    state=st.sampled_from(UploadState),
    length=st.none() | numbers,
    crc=crcs,
    hasher=st.none() | st.binary(max_size=3),
    name=st.none() | words,
    completes=st.booleans(),
    expires_at=st.none() | numbers,
)
islands = st.builds(
    island,
    st.integers(0, 3),
    st.sampled_from(["a", "b"]),
    tenant=tenants,
    version=versions,
    crc=crcs,
)
names = st.builds(name, words, tenants, version=versions, object=st.sampled_from(["o1", "o2"]))
rows: st.SearchStrategy[Row] = uploads | islands | names


def _expected(some: list[Row]) -> Expect:
    """Those of them that are of the first one's kind."""
    return Expect(type(some[0]), [row.key for row in some if type(row) is type(some[0])])


changes: st.SearchStrategy[Change] = (
    st.builds(Add, rows)
    | st.builds(Update, rows)
    | rows.map(lambda row: Remove(type(row), row.key))
    | rows.map(lambda row: Remove(type(row), row.key, row.version))
    | st.lists(rows, min_size=1, max_size=3).map(_expected)
)
NUMBERS: dict[type[Row], str] = {Upload: "expires_at", Island: "start", Name: "updated_at"}
TEXTS: dict[type[Row], str] = {Upload: "name", Island: "upload", Name: "path"}


@st.composite
def queries(draw: st.DrawFn) -> tuple[type[Row], Query]:
    """Some fields have a value that a row has, which makes it likely to find one."""
    row = draw(rows)
    kind = type(row)
    fields = draw(st.sets(st.sampled_from([field.name for field in fields_of(row)]), max_size=2))
    where: dict[str, Any] = {field: getattr(row, field) for field in fields}
    for field in draw(st.sets(st.sampled_from(sorted(fields)))) if fields else ():
        other = getattr(draw(rows.filter(lambda other: type(other) is kind)), field)
        where[field] = (where[field], other)
    return kind, Query(
        where=where,
        prefix=draw(st.none() | st.tuples(st.just(TEXTS[kind]), words)),
        below=draw(st.none() | st.tuples(st.just(NUMBERS[kind]), numbers)),
        after=draw(st.none() | st.just(row.key)),
        limit=draw(st.sampled_from([0, 1, 2, 1000])),
    )


class Twins(RuleBasedStateMachine):
    """Two ledgers that live the same life."""

    fresh: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.url = sqlite(Path(shutil.copy(self.fresh, self.folder / "ledger.db")))
        self.memory = MemoryLedger()
        self.sql = SqlLedger(self.url, "relaxed")

    @rule(changes=st.lists(changes, min_size=1, max_size=4))
    def commit(self, changes: list[Change]) -> None:
        assert outcome(self.sql, changes) == outcome(self.memory, changes)
        for kind in KINDS:
            assert self.sql.list(kind, Query()) == self.memory.list(kind, Query())

    @rule(row=rows)
    def get(self, row: Row) -> None:
        assert self.sql.get(type(row), *row.key) == self.memory.get(type(row), *row.key)

    @rule(asked=queries())
    def ask(self, asked: tuple[type[Row], Query]) -> None:
        kind, query = asked
        assert self.sql.list(kind, query) == self.memory.list(kind, query)
        assert self.sql.count(kind, query) == self.memory.count(kind, query)

    @rule()
    def reopen(self) -> None:
        self.sql.close()
        self.memory.close()
        self.sql, self.memory = SqlLedger(self.url, "relaxed"), self.memory.reopened()

    def teardown(self) -> None:
        if hasattr(self, "sql"):
            self.sql.close()
            shutil.rmtree(self.folder)


def outcome(ledger: Ledger, changes: list[Change]) -> tuple[str, str]:
    """What a commit says: nothing, or its refusal, word for word."""
    try:
        ledger.commit(changes)
    except LedgerError as refusal:
        return type(refusal).__name__, str(refusal)
    return "", ""


@pytest.mark.timeout(120)
def test_an_sql_ledger_is_indistinguishable_from_one_in_memory(fresh: Path) -> None:
    Twins.fresh = fresh
    run_state_machine_as_test(
        Twins, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
