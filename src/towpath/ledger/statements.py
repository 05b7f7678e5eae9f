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
from functools import lru_cache
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from towpath.core.model import Row
from towpath.ledger.base import Key, Query
from towpath.ledger.tables import NUMBER, TABLES

R = TypeVar("R", bound=Row)

FORMS = 512
"""How many statements are kept: each way to ask is built once."""


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


Asked = tuple[Select[Any], dict[str, Any]]
"""A statement, and the values that it is to be run with."""


def listing(kind: type[Row], query: Query) -> Asked:
    """Select the rows that `query` asks for, in the order of their keys."""
    form, values = _form(kind, query)
    values["limit"] = query.limit
    if query.after is not None:
        values.update({f"after_{n}": each for n, each in enumerate(query.after)})
    return _listing(form, after=query.after is not None), values


def expecting(kind: type[Row], keys: Sequence[Key]) -> Asked:
    """Select those of several keys whose rows are there, and keep them there as `expect` does."""
    count = 1 << (len(keys) - 1).bit_length()  # a few sizes, each built once
    statement, names = _expecting(TABLES[kind], kind.KEY, count)
    repeated = chain(keys, repeat(keys[-1], count - len(keys)))
    return statement, dict(zip(names, chain.from_iterable(repeated), strict=True))


@lru_cache(FORMS)
def _expecting(
    table: Table, fields: tuple[str, ...], count: int
) -> tuple[Select[Any], tuple[str, ...]]:
    columns = [table.c[name] for name in fields]
    names = [[f"key_{name}_{n}" for name in fields] for n in range(count)]
    binds: list[list[BindParameter[Any]]] = [[bindparam(name) for name in row] for row in names]
    which: ColumnElement[bool]
    if len(columns) == 1:
        which = columns[0].in_([bind for (bind,) in binds])
    else:
        which = or_(*(and_(*map(operator.eq, columns, each)) for each in binds))
    statement = select(*columns).where(which).with_for_update(read=True, key_share=True)
    return statement, tuple(chain.from_iterable(names))


def counting(kind: type[Row], query: Query) -> Asked:
    """Count the rows that `query` matches, whatever its `limit` and `after`."""
    form, values = _form(kind, query)
    return _counting(form), values


@dataclass(frozen=True, slots=True)
class _Form:
    """What a query asks, without the values: as many forms as there are ways to ask."""

    kind: type[Row]
    where: tuple[tuple[str, int, bool], ...]  # field, how many values, whether NULL is one more
    starts: str | None  # the field that begins with something
    ends: bool  # whether there is a text behind all that begin so
    below: str | None  # the field that is smaller than something


def _form(kind: type[Row], query: Query) -> tuple[_Form, dict[str, Any]]:
    """The form of a query, and its values by the names that they are bound to."""
    values: dict[str, Any] = {}
    where: list[tuple[str, int, bool]] = []
    for name, wanted in query.where.items():
        some = wanted if isinstance(wanted, tuple) else (wanted,)
        given = [value for value in some if value is not None]
        values.update({f"{name}_{n}": value for n, value in enumerate(given)})
        where.append((name, len(given), len(given) < len(some)))
    starts, beginning = query.prefix or (None, "")
    below, values["below"] = query.below or (None, None)
    end = beyond(beginning)
    values |= {"beginning": beginning, "end": end}
    return _Form(kind, tuple(where), starts, end is not None, below), values


@lru_cache(FORMS)
def _listing(form: _Form, *, after: bool) -> Select[Any]:
    table = TABLES[form.kind]
    key = [table.c[name] for name in form.kind.KEY]
    conditions = _conditions(form)
    if after:
        conditions.append(_behind(key))
    return select(table).where(*conditions).order_by(*key).limit(bindparam("limit", type_=NUMBER))


@lru_cache(FORMS)
def _counting(form: _Form) -> Select[Any]:
    return select(func.count()).select_from(TABLES[form.kind]).where(*_conditions(form))


def _conditions(form: _Form) -> list[ColumnElement[bool]]:
    columns = TABLES[form.kind].c
    conditions = [_is_one_of(columns[name], count, null=null) for name, count, null in form.where]
    if form.starts is not None:
        column = columns[form.starts]
        conditions.append(column >= bindparam("beginning", type_=column.type))
        if form.ends:
            conditions.append(column < bindparam("end", type_=column.type))
    if form.below is not None:
        column = columns[form.below]
        conditions.append(column < bindparam("below", type_=column.type))
    return conditions


def _is_one_of(column: Column[Any], count: int, *, null: bool) -> ColumnElement[bool]:
    bound = [bindparam(f"{column.name}_{n}", type_=column.type) for n in range(count)]
    if not bound:
        return column.is_(None) if null else false()
    found = column == bound[0] if count == 1 else column.in_(bound)
    return or_(found, column.is_(None)) if null else found


def _behind(key: list[Column[Any]]) -> ColumnElement[bool]:
    bound = [bindparam(f"after_{n}", type_=column.type) for n, column in enumerate(key)]
    return key[0] > bound[0] if len(key) == 1 else tuple_(*key) > tuple_(*bound)


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
