"""A ledger in an SQL database: SQLite in a file, or PostgreSQL.

Rules:
- A commit that returned is on the disk (`strict`) or with the operating system (`relaxed`).
- On SQLite commits are done in groups: each within a savepoint of its own, all in one
  transaction, one fsync. Who fails is undone alone; everybody is answered after the one COMMIT.
- Reads are single statements on connections of their own: they see all commits that returned.
- What one kind of database does differently stands in `dialects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from towpath.core.model import Row
from towpath.errors import TowpathError
from towpath.ledger import rules, schema, statements
from towpath.ledger.base import Add, Change, Expect, Key, Query, Remove, Update
from towpath.ledger.dialects import Durability, Transaction, Writer, connect, translate
from towpath.ledger.group import GroupCommit, Ticket

R = TypeVar("R", bound=Row)

_AT_ONCE = 512  # keys in one statement


class SqlLedger:
    """Keeps facts in the database that `url` names, and brings its tables to this version.

    `durability`: "strict" lets a commit survive a power cut, "relaxed" only the end of the
    process. `patience`: seconds to wait while another process holds the database.
    `connections`: how many reads may run at once (PostgreSQL: reads and commits).

    Raises SettingsError when the URL cannot be used, LedgerError when the database cannot be
    opened or is from a newer version.
    """

    def __init__(
        self,
        url: str,
        durability: Durability = "strict",
        *,
        patience: float = 5.0,
        connections: int = 8,
    ) -> None:
        self._dialect, self._engine, self._reader = connect(url, durability, patience, connections)
        self._reading = self._dialect.reader(self._reader)
        self._closed = False
        self._writer: Writer | None = None
        try:
            self._bring_up()
            self._writer = self._dialect.writer(self._engine)
        except BaseException:
            self._let_go()
            raise
        self._group = GroupCommit(self._commit_group) if self._dialect.grouped else None

    def get(self, kind: type[R], *key: str | int) -> R | None:
        rules.check_key(kind, key)
        rows = self._read(statements.OF[kind].get, statements.key_values(kind, key))
        return statements.made(kind, rows)[0] if rows else None

    def list(self, kind: type[R], query: Query) -> list[R]:
        rules.check_query(kind, query)
        return statements.made(kind, self._read(*statements.listing(kind, query)))

    def count(self, kind: type[Row], query: Query) -> int:
        rules.check_query(kind, query)
        ((number,),) = self._read(*statements.counting(kind, query))
        return int(number)

    def commit(self, changes: Sequence[Change]) -> None:
        """Do all the changes, in order, in one transaction, durably; or none of them.

        Raises Stale, Duplicate, LedgerError. When the disk fails at the very COMMIT, reads find
        nothing of it; should the machine stop right then too, all of it may be there again.
        """
        rules.check_changes(changes)
        if self._closed:
            raise rules.closed()
        if self._group is not None:
            self._group.commit(changes)
            return
        try:
            with self._begin() as connection:
                self._apply(connection, changes)
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        self._closed = True
        if self._group is not None:
            self._group.close()
        self._let_go()

    def _bring_up(self) -> None:
        try:
            with self._engine.connect() as connection:  # the writer's first: it sets the file up
                if schema.is_current(connection):
                    return
            with self._engine.begin() as connection:
                self._dialect.keep_others_out(connection)
                schema.upgrade(connection)
        except SQLAlchemyError as error:
            raise translate(self._dialect, error, "The ledger cannot be opened.") from error

    def _read(self, statement: Select[Any], values: dict[str, Any]) -> Sequence[Sequence[Any]]:
        if self._closed:
            raise rules.closed()
        try:
            return self._reading.rows(statement, values)
        except SQLAlchemyError as error:
            raise translate(self._dialect, error, "The ledger cannot be read.") from error

    def _commit_group(self, group: Sequence[Ticket]) -> None:
        """Do the commits of a group in one transaction, and give each its error."""
        try:
            with self._begin() as connection:
                if len(group) == 1:  # who is alone needs no savepoint: the transaction is its own
                    self._apply(connection, group[0].changes)
                    return
                for ticket in group:
                    self._commit_within(connection, ticket)
        except Exception as error:  # noqa: BLE001  each waiter is told, in its own thread
            for ticket in group:
                ticket.error = ticket.error or self._translated(error)

    def _begin(self) -> AbstractContextManager[Transaction]:
        if self._writer is None:
            raise rules.closed()
        return self._writer.begin()

    def _commit_within(self, connection: Transaction, ticket: Ticket) -> None:
        """Do one commit in a savepoint. Raises when the whole transaction is lost."""
        savepoint = connection.begin_nested()
        try:
            self._apply(connection, ticket.changes)
        except Exception as error:  # noqa: BLE001  the waiter is told, in its own thread
            try:
                savepoint.rollback()
            except SQLAlchemyError:  # SQLite has given up the whole transaction: a full disk
                raise error from None
            ticket.error = self._translated(error)
        else:
            savepoint.commit()

    def _apply(self, connection: Transaction, changes: Sequence[Change]) -> None:
        """In order; a run of rows of one kind to add costs one statement."""
        for kind, run in groupby(changes, key=_added):
            if kind is None:
                _apply_each(connection, run)
            else:
                self._add(connection, kind, [each.row for each in run if isinstance(each, Add)])

    def _add(self, connection: Transaction, kind: type[Row], rows: Sequence[Row]) -> None:
        """Insert rows of one kind at once: a statement for each costs many times as much.

        If one of many is there already, they are tried one by one, to say which.
        """
        savepoint = connection.begin_nested() if len(rows) > 1 else None
        try:
            connection.execute(statements.OF[kind].add, [statements.added(row) for row in rows])
        except SQLAlchemyError as error:
            if savepoint is not None:
                with suppress(SQLAlchemyError):  # SQLite may have given up the whole transaction
                    savepoint.rollback()
            if not (isinstance(error, IntegrityError) and self._dialect.is_duplicate(error)):
                raise
            if savepoint is None:
                raise rules.duplicate(kind, rows[0].key) from error
        else:
            if savepoint is not None:
                savepoint.commit()
            return
        for row in rows:
            self._add(connection, kind, [row])

    def _translated(self, error: Exception) -> TowpathError:
        return translate(self._dialect, error, "The ledger cannot be written.")

    def _let_go(self) -> None:
        self._reader.dispose()
        if self._writer is not None:
            self._writer.close()
        self._engine.dispose()  # last: SQLite folds its log into the file with the last writer


def _added(change: Change) -> type[Row] | None:
    """The kind of row that is to be added; None for any other change."""
    return type(change.row) if isinstance(change, Add) else None


def _apply_each(connection: Transaction, changes: Iterable[Change]) -> None:
    for change in changes:
        if isinstance(change, Update):
            row = change.row
            done = connection.execute(statements.OF[type(row)].update, statements.updated(row))
            if done.rowcount != 1:
                raise rules.stale(type(row), row.key)
        elif isinstance(change, Remove):
            _remove(connection, change)
        elif isinstance(change, Expect):
            _expect(connection, change.kind, change.keys)


def _expect(connection: Transaction, kind: type[Row], keys: Sequence[Key]) -> None:
    """Hold the rows with these keys until the transaction ends. Raises Stale if one is missing."""
    for some in (keys[at : at + _AT_ONCE] for at in range(0, len(keys), _AT_ONCE)):
        if len(some) == 1:
            rows = connection.execute(
                statements.OF[kind].expect, statements.key_values(kind, some[0])
            )
        else:
            rows = connection.execute(*statements.expecting(kind, some))
        found = set(map(tuple, rows.all()))
        for key in some:
            if key not in found:
                raise rules.stale(kind, key)


def _remove(connection: Transaction, change: Remove) -> None:
    prepared = statements.OF[change.kind]
    values = statements.key_values(change.kind, change.key)
    if change.version is None:
        connection.execute(prepared.remove, values)
        return
    values["was"] = change.version
    if connection.execute(prepared.remove_version, values).rowcount != 1:
        raise rules.stale(change.kind, change.key)
