"""What differs between databases: how to connect, how to begin, what their errors mean.

Rules:
- The one place with SQL or error codes of a single database.
- SQLite has one writer: commits go through one connection, in groups. It answers readers from
  the write-ahead log, so that they neither wait for the writer nor stop it.
- PostgreSQL has many: each commit is a transaction of its own on a pooled connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql.expression import Executable

from towpath.errors import LedgerError, SettingsError, TowpathError
from towpath.ledger import rules
from towpath.ledger.sqlite import SqliteReader, SqliteWriter

Durability = Literal["strict", "relaxed"]


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open a database."""

    url: URL
    durability: Durability  # strict: a commit survives a power cut; relaxed: the end of a process
    patience: float  # seconds to wait for a database that is busy, or for a free connection
    connections: int  # how many may read at once (PostgreSQL: read or write)


class Transaction(Protocol):
    """What takes statements, all of which come to stand or none."""

    def execute(self, statement: Executable, values: Any = None, /) -> Any:  # noqa: ANN401
        """Run a statement; with a list of values, once for each."""
        ...

    def begin_nested(self) -> Any:  # noqa: ANN401  with rollback() and commit()
        """A part of the transaction that may be taken back alone."""
        ...


class Writer(Protocol):
    """What begins transactions."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """A transaction: kept when the block ends, taken back when it raises."""
        ...

    def close(self) -> None:
        """Begin no more. Idempotent."""
        ...


class Reader(Protocol):
    """What answers single questions."""

    def rows(self, statement: Select[Any], values: Mapping[str, Any], /) -> Sequence[Sequence[Any]]:
        """What is found now."""
        ...


class Dialect(Protocol):
    """What the ledger asks of a kind of database."""

    grouped: bool
    """commits go through one thread, in groups"""

    def engines(self, opening: Opening) -> tuple[Engine, Engine]:
        """Return one for transactions and one whose every statement stands alone."""
        ...

    def writer(self, engine: Engine) -> Writer:
        """What commits go through, on the engine for transactions."""
        ...

    def reader(self, engine: Engine) -> Reader:
        """What reads go through, on the engine whose every statement stands alone."""
        ...

    def keep_others_out(self, connection: Connection) -> None:
        """Hold off others who would migrate, until the transaction ends."""
        ...

    def is_duplicate(self, error: DBAPIError) -> bool:
        """Tell whether a row was refused because its key exists."""
        ...

    def is_stale(self, error: DBAPIError) -> bool:
        """Tell whether a transaction lost against another one, so that reading again helps."""
        ...

    def reason(self, error: DBAPIError) -> tuple[str, str]:
        """Say why the database could not do it, and what to do."""
        ...


class Sqlite:
    """SQLite in a file."""

    grouped = True

    def engines(self, opening: Opening) -> tuple[Engine, Engine]:
        if opening.url.database in {None, "", ":memory:"} or "mode" in opening.url.query:
            raise SettingsError(
                "The ledger cannot be an SQLite database in memory.",
                why="Each of its connections would see another, empty one.",
                todo="Give the ledger a file: sqlite:///path/to/ledger.db",
            )
        connecting: dict[str, Any] = {
            "connect_args": {"timeout": opening.patience},
            "pool_timeout": opening.patience,
            "max_overflow": 0,
        }
        writer = create_engine(opening.url, pool_size=1, **connecting)
        reader = create_engine(
            opening.url, pool_size=opening.connections, isolation_level="AUTOCOMMIT", **connecting
        )
        synchronous = "FULL" if opening.durability == "strict" else "NORMAL"

        @event.listens_for(writer, "connect")
        def _writer_connects(connection: Any, _record: object) -> None:  # noqa: ANN401
            connection.isolation_level = None  # the driver must not begin by itself
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute(f"PRAGMA synchronous={synchronous}").close()
            if opening.durability == "strict":  # macOS: fsync alone leaves data in the drive
                connection.execute("PRAGMA fullfsync=ON").close()

        @event.listens_for(writer, "begin")
        def _writer_begins(connection: Connection) -> None:
            # The right to write comes first: nothing that was read can turn out to be old.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        @event.listens_for(reader, "connect")
        def _reader_connects(connection: Any, _record: object) -> None:  # noqa: ANN401
            connection.execute("PRAGMA query_only=ON").close()

        return writer, reader

    def writer(self, engine: Engine) -> Writer:
        return SqliteWriter(engine)

    def reader(self, engine: Engine) -> Reader:
        return SqliteReader(engine)

    def keep_others_out(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE has done it."""

    def is_duplicate(self, error: DBAPIError) -> bool:
        name = getattr(error.orig, "sqlite_errorname", "")
        return name in {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"}

    def is_stale(self, error: DBAPIError) -> bool:
        return False

    def reason(self, error: DBAPIError) -> tuple[str, str]:
        name = getattr(error.orig, "sqlite_errorname", "")
        for beginning, why, todo in _SQLITE_REASONS:
            if name.startswith(beginning):
                return f"{why} ({error.orig})", todo
        return f"SQLite says: {error.orig}", "Look at the database with `sqlite3`."


_SQLITE_REASONS = (
    ("SQLITE_FULL", "There is no space left for its file.", "Free some space."),
    ("SQLITE_IOERR", "The disk failed.", "Look at the disk and the system's log."),
    (
        "SQLITE_BUSY",
        "The database is locked by another process.",
        "End the other process: one at a time may use this database.",
    ),
    ("SQLITE_LOCKED", "Another connection holds a table.", "Try again."),
    ("SQLITE_READONLY", "The file or its folder is read-only.", "Make them writable."),
    ("SQLITE_CANTOPEN", "The file cannot be opened.", "Make its folder, writable for Towpath."),
    ("SQLITE_PERM", "Access to the file is denied.", "Make it writable for Towpath."),
    ("SQLITE_NOTADB", "The file is no SQLite database.", "Give the ledger another file."),
    ("SQLITE_CORRUPT", "The file is damaged.", "Restore it, or rebuild it from the store."),
)


class Postgresql:
    """PostgreSQL, by psycopg."""

    grouped = False

    def engines(self, opening: Opening) -> tuple[Engine, Engine]:
        writer = create_engine(
            opening.url,
            pool_size=opening.connections,
            max_overflow=0,
            pool_timeout=opening.patience,
            pool_pre_ping=True,
        )
        synchronous = "on" if opening.durability == "strict" else "off"

        @event.listens_for(writer, "connect")
        def _connects(connection: Any, _record: object) -> None:  # noqa: ANN401
            connection.execute(f"SET synchronous_commit = {synchronous}")
            connection.execute(f"SET lock_timeout = {int(opening.patience * 1000)}")
            connection.commit()  # else the next rollback takes the settings back

        return writer, writer.execution_options(isolation_level="AUTOCOMMIT")

    def writer(self, engine: Engine) -> Writer:
        return _Pooled(engine)

    def reader(self, engine: Engine) -> Reader:
        return _Pooled(engine)

    def keep_others_out(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(8391163214)")  # any fixed number

    def is_duplicate(self, error: DBAPIError) -> bool:
        return _sqlstate(error) == "23505"

    def is_stale(self, error: DBAPIError) -> bool:
        return _sqlstate(error) in {"40001", "40P01"}  # serialization failure, deadlock

    def reason(self, error: DBAPIError) -> tuple[str, str]:
        return f"PostgreSQL says: {error.orig}", "Look at the server and its log."


class _Pooled:
    """Each transaction, and each question, on a connection of the pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self) -> AbstractContextManager[Transaction]:
        return self._engine.begin()

    def rows(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()

    def close(self) -> None:
        """The pool is closed by who has the engine."""


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


_DIALECTS: dict[str, type[Dialect]] = {"sqlite": Sqlite, "postgresql": Postgresql}


def connect(
    url: str, durability: Durability, patience: float, connections: int
) -> tuple[Dialect, Engine, Engine]:
    """Return the dialect that a URL asks for and its engines. Nothing is opened yet.

    Raises SettingsError when the URL, or what it needs, cannot be used.
    """
    try:
        opening = Opening(make_url(url), durability, patience, connections)
        dialect = _DIALECTS[opening.url.get_backend_name()]()
        return dialect, *dialect.engines(opening)
    except (ArgumentError, NoSuchModuleError, KeyError) as error:
        raise SettingsError(
            "The ledger's URL cannot be used.",
            why="It names no database that Towpath knows.",  # the URL may hold a password
            todo="Write sqlite:///path/to/ledger.db or postgresql+psycopg://user@host/database",
        ) from error
    except ImportError as error:
        raise SettingsError(
            "The ledger's database driver is missing.",
            why=f"{error}.",
            todo="Install it: pip install psycopg",
        ) from error


def translate(dialect: Dialect, error: Exception, what: str) -> TowpathError:
    """Word an error in our tree. `what` says what could not be done."""
    if isinstance(error, TowpathError):
        return error
    if isinstance(error, DBAPIError):
        if dialect.is_stale(error):
            translated: LedgerError = rules.lost()
        else:
            why, todo = dialect.reason(error)
            translated = LedgerError(what, why=why, todo=todo)
    elif isinstance(error, PoolTimeout):
        translated = LedgerError(what, why="All its connections are in use.", todo="Try again.")
    else:
        translated = LedgerError(
            what, why=f"{type(error).__name__}: {error}.", todo="This is a mistake in Towpath."
        )
    translated.__cause__ = error
    return translated
