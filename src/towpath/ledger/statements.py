"""What the ledger says to a database, as SQLAlchemy statements. No connection here.

Rules:
- Nothing here is of one database only.
- The statements of a kind are built once; values are always bound, never written into the text.
- Bound names: `new_x` is what a field becomes, `key_x` a part of the key, `was` the version read.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.expression import Executable

from towpath.core.model import Row
from towpath.ledger.base import Key, Query, Value
from towpath.ledger.tables import TABLES

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements that take the same form every time, for one kind of row."""

    fields: tuple[str, ...]
    add: Insert
    update: Update
    remove: Delete
    remove_version: Delete
    expect: Select[Any]
    get: Select[Any]


def _build(kind: type[Row]) -> Statements:
    table = TABLES[kind]
    fields = tuple(column.name for column in table.columns)
    is_it = and_(*(table.c[name] == bindparam(f"key_{name}") for name in kind.KEY))
    in_version = table.c.version == bindparam("was")
    return Statements(
        fields=fields,
        add=insert(table),
        update=update(table)
        .where(is_it, in_version)
        .values({name: bindparam(f"new_{name}") for name in fields if name not in kind.KEY}),
        remove=delete(table).where(is_it),
        remove_version=delete(table).where(is_it, in_version),
        # The lock keeps others from removing the row before this transaction has ended; a
        # database with one writer needs none and leaves it out.
        expect=select(*(table.c[name] for name in kind.KEY))
        .where(is_it)
        .with_for_update(read=True, key_share=True),
        get=select(table).where(is_it),
    )


OF: Mapping[type[Row], Statements] = MappingProxyType({kind: _build(kind) for kind in TABLES})

FIXED: frozenset[Executable] = frozenset(
    each
    for of in OF.values()
    for each in (of.add, of.update, of.remove, of.remove_version, of.expect, of.get)
)
"""Those whose text is the same every time."""


def key_values(kind: type[Row], key: Key) -> dict[str, Any]:
    """Bind a key."""
    return {f"key_{name}": value for name, value in zip(kind.KEY, key, strict=True)}


def added(row: Row) -> dict[str, Any]:
    """Bind the fields of a row that is new."""
    values = {name: getattr(row, name) for name in OF[type(row)].fields}
    values["version"] = 1
    return values


def updated(row: Row) -> dict[str, Any]:
    """Bind the fields of a row that replaces the one with its key and version."""
    key = row.KEY
    values = {
        f"key_{name}" if name in key else f"new_{name}": getattr(row, name)
        for name in OF[type(row)].fields
    }
    values["was"] = row.version
    values["new_version"] = row.version + 1
    return values


def made(kind: type[R], rows: Iterable[Sequence[Any]]) -> list[R]:
    """Make values of what a database answered to a select of this kind."""
    fields = OF[kind].fields
    return [kind(**dict(zip(fields, row, strict=True))) for row in rows]


def listing(kind: type[Row], query: Query) -> Select[Any]:
    """Select the rows that `query` asks for, in the order of their keys."""
    table = TABLES[kind]
    key = [table.c[name] for name in kind.KEY]
    conditions = _conditions(kind, query)
    if query.after is not None:
        conditions.append(_behind(key, query.after))
    return select(table).where(*conditions).order_by(*key).limit(query.limit)


def expecting(kind: type[Row], keys: Sequence[Key]) -> tuple[Select[Any], dict[str, Any]]:
    """Select those of several keys whose rows are there, and keep them there as `expect` does."""
    columns = [TABLES[kind].c[name] for name in kind.KEY]
    values: dict[str, Any] = {}
    which: ColumnElement[bool]
    if len(columns) == 1:
        which = columns[0].in_(bindparam("keys", expanding=True))
        values["keys"] = [key[0] for key in keys]
    else:
        which = or_(*(and_(*map(operator.eq, columns, key)) for key in keys))
    return select(*columns).where(which).with_for_update(read=True, key_share=True), values


def counting(kind: type[Row], query: Query) -> Select[Any]:
    """Count the rows that `query` matches, whatever its `limit` and `after`."""
    return select(func.count()).select_from(TABLES[kind]).where(*_conditions(kind, query))


def _conditions(kind: type[Row], query: Query) -> list[ColumnElement[bool]]:
    columns = TABLES[kind].c
    conditions = [_is_one_of(columns[name], wanted) for name, wanted in query.where.items()]
    if query.prefix is not None:
        name, beginning = query.prefix
        conditions.append(columns[name] >= beginning)
        end = beyond(beginning)
        if end is not None:
            conditions.append(columns[name] < end)
    if query.below is not None:
        name, bound = query.below
        conditions.append(columns[name] < bound)
    return conditions


def _is_one_of(column: Column[Any], wanted: Value | tuple[Value, ...]) -> ColumnElement[bool]:
    if not isinstance(wanted, tuple):
        return column.is_(None) if wanted is None else column == wanted
    found = column.in_([value for value in wanted if value is not None])
    return or_(found, column.is_(None)) if None in wanted else found


def _behind(key: list[Column[Any]], after: Key) -> ColumnElement[bool]:
    if len(key) == 1:
        return key[0] > after[0]
    bound = [literal(value, column.type) for column, value in zip(key, after, strict=True)]
    return tuple_(*key) > tuple_(*bound)


def beyond(beginning: str) -> str | None:
    """Return the first text, by code point, behind all that begin so; None: there is none.

    A range finds what LIKE finds, but exactly: no letter is special, and an index serves it.
    """
    while beginning:
        last = ord(beginning[-1])
        if last < sys.maxunicode:
            # Surrogates are no letters: no text holds one.
            following = 0xE000 if last == 0xD7FF else last + 1
            return beginning[:-1] + chr(following)
        beginning = beginning[:-1]
    return None
