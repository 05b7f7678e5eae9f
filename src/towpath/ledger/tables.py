"""The tables: one for each kind of row in `core.model`, a column for each of its fields.

Rules:
- Written out, not derived: this page is what the database looks like. A test holds it to the rows,
  and another holds the migrations to it.
- Text sorts and compares by code point in every database, so that keys have one order.
- An index is here because the engine asks that way; it is named after what it finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from towpath.core.model import Island, Lease, Name, Object, OnConflict, Outbox, Row, Segment, Upload
from towpath.core.state import UploadState

# SQLite compares bytes of UTF-8 by itself; a PostgreSQL database may have any order.
TEXT: TypeEngine[str] = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
NUMBER = BigInteger()


class Crc(TypeDecorator[int]):
    """An unsigned 64-bit number in a signed column: the same 64 bits, read differently."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return value if value is None or value < 2**63 else value - 2**64

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        return value if value is None or value >= 0 else value + 2**64


class Word(TypeDecorator[StrEnum]):
    """One of an enum's words, as text: a new word needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.words(value)


METADATA = MetaData()


def _needed(name: str, type_: TypeEngine[Any]) -> Column[Any]:
    return Column(name, type_, nullable=False)


UPLOADS = Table(
    "uploads",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("id", TEXT, primary_key=True),
    _needed("state", Word(UploadState)),
    Column("length", NUMBER),
    _needed("offset", NUMBER),
    _needed("crc", Crc()),
    Column("hasher", LargeBinary),
    _needed("handle", TEXT),
    _needed("fence", NUMBER),
    Column("name", TEXT),
    _needed("on_conflict", Word(OnConflict)),
    Column("replaces", TEXT),
    Column("media_type", TEXT),
    _needed("metadata", TEXT),
    _needed("dialect", TEXT),
    _needed("completes", Boolean()),
    _needed("partial", Boolean()),
    _needed("parts", TEXT),
    _needed("expects", TEXT),
    _needed("wants", TEXT),
    _needed("memo", TEXT),
    _needed("created_at", NUMBER),
    _needed("updated_at", NUMBER),
    Column("expires_at", NUMBER),
    _needed("reason", TEXT),
    Index("uploads_of_tenant", "tenant", "id"),  # one page of them
    Index("uploads_of_tenant_by_state", "tenant", "state"),  # how many are open
    Index("uploads_by_state_and_expiry", "state", "expires_at"),  # what a sweep looks for
    Index("uploads_by_handle", "handle"),  # whose are these bytes
)

ISLANDS = Table(
    "islands",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("upload", TEXT, primary_key=True),
    Column("start", NUMBER, primary_key=True),
    _needed("end", NUMBER),
    _needed("crc", Crc()),
)

LEASES = Table(
    "leases",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("upload", TEXT, primary_key=True),
    Column("fence", NUMBER, primary_key=True),
    _needed("start", NUMBER),
    Column("end", NUMBER),
    _needed("holder", TEXT),
    _needed("granted_at", NUMBER),
)

OBJECTS = Table(
    "objects",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("id", TEXT, primary_key=True),
    _needed("length", NUMBER),
    _needed("crc", Crc()),
    _needed("digests", TEXT),
    Column("sha256", LargeBinary),
    Column("media_type", TEXT),
    _needed("metadata", TEXT),
    _needed("created_at", NUMBER),
    Column("scrubbed_at", NUMBER),
    _needed("damaged", Boolean()),
    Index("objects_by_sha256", "tenant", "sha256"),  # have you got this
)

SEGMENTS = Table(
    "segments",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("object", TEXT, primary_key=True),
    Column("position", NUMBER, primary_key=True),
    _needed("address", TEXT),
    _needed("start", NUMBER),
    _needed("end", NUMBER),
    Index("segments_by_address", "address"),  # whose are these bytes
)

NAMES = Table(
    "names",
    METADATA,
    Column("tenant", TEXT, primary_key=True),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("path", TEXT, primary_key=True),
    _needed("object", TEXT),
    _needed("updated_at", NUMBER),
    Index("names_of_object", "object"),  # has it lost its last name
)

OUTBOX = Table(
    "outbox",
    METADATA,
    _needed("tenant", TEXT),
    _needed("owner", TEXT),
    _needed("version", NUMBER),
    Column("id", TEXT, primary_key=True),
    _needed("kind", TEXT),
    _needed("subject", TEXT),
    _needed("created_at", NUMBER),
    _needed("due_at", NUMBER),
    _needed("tries", NUMBER),
    _needed("payload", TEXT),
    Index("outbox_by_due", "due_at"),  # what is to be done now
)

TABLES: Mapping[type[Row], Table] = MappingProxyType(
    {
        Upload: UPLOADS,
        Island: ISLANDS,
        Lease: LEASES,
        Object: OBJECTS,
        Segment: SEGMENTS,
        Name: NAMES,
        Outbox: OUTBOX,
    }
)
