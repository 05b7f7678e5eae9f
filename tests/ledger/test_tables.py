"""The tables are the rows of the model, and the questions of an engine find an index."""

from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, LargeBinary, Select, Text, create_engine
from sqlalchemy.dialects import sqlite

from tests.ledger import conftest
from towpath.core.model import KINDS, Island, Lease, Name, Outbox, Row, Segment, Upload
from towpath.core.state import UploadState
from towpath.ledger.base import Query
from towpath.ledger.rules import FIELDS, Field
from towpath.ledger.statements import beyond, counting, listing
from towpath.ledger.tables import METADATA, TABLES, Crc, Word

TYPES = {"text": Text, "int": BigInteger, "crc": Crc, "bool": Boolean, "bytes": LargeBinary}
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def can_hold(type_: Any, field: Field) -> bool:
    if issubclass(field.type, StrEnum):
        return isinstance(type_, Word) and type_.words is field.type
    return type(type_) is TYPES[field.form]


@every_kind
def test_a_table_has_a_column_for_each_field_of_its_rows(kind: type[Row]) -> None:
    columns = TABLES[kind].columns
    assert [column.name for column in columns] == [field.name for field in fields(kind)]
    for name, field in FIELDS[kind].items():
        assert can_hold(columns[name].type, field), name
        assert columns[name].nullable == field.optional, name


@every_kind
def test_the_primary_key_of_a_table_is_the_key_of_its_rows(kind: type[Row]) -> None:
    assert tuple(column.name for column in TABLES[kind].primary_key.columns) == kind.KEY


def test_there_is_a_table_for_each_kind_and_no_other() -> None:
    assert tuple(TABLES) == KINDS
    assert list(TABLES.values()) == list(METADATA.tables.values())


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_crc_keeps_its_64_bits_in_a_signed_column(value: int) -> None:
    dialect = sqlite.dialect()
    kept = Crc().process_bind_param(value, dialect)
    assert kept is not None
    assert -(2**63) <= kept < 2**63
    assert Crc().process_result_value(kept, dialect) == value


@pytest.mark.parametrize(
    ("beginning", "end"),
    [
        pytest.param("", None, id="all"),
        pytest.param("a", "b", id="letter"),
        pytest.param("az", "a{", id="last-letter-counts"),
        pytest.param("\ud7ff", "\ue000", id="surrogates-are-passed-over"),
        pytest.param("a\U0010ffff", "b", id="the-last-code-point-has-no-next"),
        pytest.param("\U0010ffff\U0010ffff", None, id="nothing-is-beyond"),
    ],
)
def test_what_lies_beyond_a_prefix_is_the_next_text_without_it(
    beginning: str, end: str | None
) -> None:
    assert beyond(beginning) == end


def plan(file: Path, statement: Select[Any], values: dict[str, Any]) -> str:
    """What SQLite means to do for it."""
    engine = create_engine(conftest.sqlite(file))
    text = statement.params(values).compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()
    engine.dispose()
    return " / ".join(row[3] for row in rows)


OPEN = (UploadState.OPEN, UploadState.FILLED)


@pytest.mark.parametrize(
    ("kind", "query", "way"),
    [
        pytest.param(
            Name,
            Query(where={"tenant": "t"}, prefix=("path", "a/")),
            "(tenant=? AND path>? AND path<?)",
            id="names-below-a-prefix",
        ),
        pytest.param(
            Name, Query(where={"tenant": "t"}, after=("t", "a")), "(tenant=?", id="a-page-of-names"
        ),
        pytest.param(Name, Query(where={"object": "o"}), "names_of_object", id="names-of-object"),
        pytest.param(
            Upload, Query(where={"tenant": "t"}), "uploads_of_tenant ", id="uploads-of-tenant"
        ),
        pytest.param(
            Upload,
            Query(where={"tenant": "t", "state": OPEN}),
            "uploads_of_tenant_by_state",
            id="open-uploads-of-tenant",
        ),
        pytest.param(
            Upload,
            Query(where={"state": OPEN}, below=("expires_at", 9)),
            "(state=? AND expires_at<?)",
            id="overdue-uploads",
        ),
        pytest.param(
            Upload, Query(where={"handle": "h"}), "uploads_by_handle", id="upload-of-handle"
        ),
        pytest.param(Island, Query(where={"upload": "u"}), "(upload=?)", id="islands-of-upload"),
        pytest.param(
            Island,
            Query(where={"upload": "u"}, after=("u", 5)),
            "(upload=?",
            id="a-page-of-islands",
        ),
        pytest.param(Lease, Query(where={"upload": "u"}), "(upload=?)", id="leases-of-upload"),
        pytest.param(Segment, Query(where={"object": "o"}), "(object=?)", id="segments-of-object"),
        pytest.param(
            Segment, Query(where={"address": "a"}), "segments_by_address", id="segment-of-address"
        ),
    ],
)
def test_what_an_engine_asks_finds_an_index(
    kind: type[Row], query: Query, way: str, file: Path
) -> None:
    for asked in (listing(kind, query), counting(kind, query)):
        assert "SCAN" not in plan(file, *asked)
    assert way in plan(file, *counting(kind, query)) + plan(file, *listing(kind, query))


def test_how_much_of_the_outbox_is_due_finds_an_index(file: Path) -> None:
    assert "outbox_by_due" in plan(file, *counting(Outbox, Query(below=("due_at", 9))))
