"""What SQLite is told and asked, by its driver and not by SQLAlchemy's connection.

A commit is a few statements of microseconds, and every upload makes some for each stretch that
became durable; every request asks for some rows: what stands between them and SQLite is most of
what they cost. Rules: the statements are SQLAlchemy's, compiled once; so are the errors; a
connection is used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import Executable

from towpath.ledger import statements

Values = Mapping[str, Any]
_Convert = Callable[[Any], Any]


class Answer(NamedTuple):
    """What a statement did."""

    rowcount: int
    rows: list[tuple[Any, ...]]

    def all(self) -> list[tuple[Any, ...]]:
        """The rows that it found."""
        return self.rows


class _Prepared(NamedTuple):
    """A statement's text, and the names of its values in their order, with what converts them."""

    text: str
    binds: list[tuple[str, _Convert | None]]
    constants: Values  # values that the statement has itself

    def bind(self, values: Values) -> list[Any]:
        """The values, as the driver takes them."""
        if self.constants:
            values = {**self.constants, **values}
        return [
            values[name] if convert is None else convert(values[name])
            for name, convert in self.binds
        ]


class Savepoint:
    """A part of a transaction that may be taken back alone."""

    def __init__(self, writer: SqliteWriter) -> None:
        self._writer = writer
        writer.say("SAVEPOINT part")

    def rollback(self) -> None:
        """Take it back. Raises DBAPIError when SQLite has given up the whole transaction."""
        self._writer.say("ROLLBACK TO part")
        self._writer.say("RELEASE part")

    def commit(self) -> None:
        """Keep it, as far as the transaction is kept."""
        self._writer.say("RELEASE part")


class SqliteWriter:
    """The connection that writes. `execute` takes what SQLAlchemy's connection takes."""

    def __init__(self, engine: Engine) -> None:
        self._prepared = lru_cache(statements.FORMS)(partial(_prepare, dialect=engine.dialect))
        self._fairy = engine.raw_connection()
        connection = self._fairy.driver_connection
        if not isinstance(connection, sqlite3.Connection):
            raise TypeError(connection)
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[SqliteWriter]:
        """A transaction: kept when the block ends, taken back when it raises."""
        # The right to write comes first: nothing that was read can turn out to be old.
        self.say("BEGIN IMMEDIATE")
        try:
            yield self
            self.say("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # else SQLite has taken it back by itself
                with suppress(DBAPIError):
                    self.say("ROLLBACK")
            raise

    def begin_nested(self) -> Savepoint:
        """A part of the transaction that may be taken back alone."""
        return Savepoint(self)

    def execute(
        self, statement: Executable, values: Values | Sequence[Values] | None = None
    ) -> Answer:
        """Run a statement; with a list of values, once for each. Raises DBAPIError."""
        prepared = self._prepared(statement)
        if values is None or isinstance(values, Mapping):
            return self.say(prepared.text, prepared.bind(values or {}))
        with _worded(prepared.text):
            cursor = self._connection.executemany(prepared.text, map(prepared.bind, values))
            return Answer(cursor.rowcount, [])

    def say(self, text: str, values: Sequence[Any] = ()) -> Answer:
        """Run SQL. Raises DBAPIError."""
        with _worded(text):
            cursor = self._connection.execute(text, values)
            return Answer(cursor.rowcount, cursor.fetchall())

    def close(self) -> None:
        """Give the connection back."""
        self._fairy.close()


class SqliteReader:
    """Connections that read. Used in any thread; `rows` raises DBAPIError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prepared = lru_cache(statements.FORMS)(self._prepare)

    def rows(self, statement: Select[Any], values: Values) -> list[tuple[Any, ...]]:
        """What is found now."""
        prepared, columns = self._prepared(statement)
        fairy = self._engine.raw_connection()
        try:
            with _worded(prepared.text):
                cursor = fairy.driver_connection.execute(  # type: ignore[union-attr]
                    prepared.text, prepared.bind(values)
                )
                found: list[tuple[Any, ...]] = cursor.fetchall()
        finally:
            fairy.close()
        return [
            tuple(
                value if convert is None else convert(value)
                for value, convert in zip(row, columns, strict=True)
            )
            for row in found
        ]

    def _prepare(self, statement: Select[Any]) -> tuple[_Prepared, list[_Convert | None]]:
        dialect = self._engine.dialect
        columns: list[_Convert | None] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in statement.selected_columns
        ]
        return _prepare(statement, dialect), columns


def _prepare(statement: Executable, dialect: Dialect) -> _Prepared:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    found = [(name, compiled.binds[name]) for name in compiled.positiontup or ()]
    binds = [(name, _converter(bind.type, dialect)) for name, bind in found]
    constants = {name: bind.value for name, bind in found if not bind.required}
    return _Prepared(str(compiled), binds, constants)


@contextmanager
def _worded(text: str) -> Iterator[None]:
    """Errors of the driver, as SQLAlchemy words them."""
    try:
        yield
    except sqlite3.Error as error:
        raise DBAPIError.instance(text, None, error, sqlite3.Error) from error


def _converter(kind: Any, dialect: Any) -> _Convert | None:  # noqa: ANN401  SQLAlchemy's own
    found: _Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found
