"""Opening brings a database to the tables of this version, whole or not at all, and quickly."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from tests.ledger.conftest import sqlite
from towpath.core.model import Upload
from towpath.errors import LedgerError, SettingsError
from towpath.ledger import migrations, schema
from towpath.ledger.base import Add, Query
from towpath.ledger.sql import SqlLedger
from towpath.ledger.tables import METADATA
from towpath.testing.rows import upload


def differences(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), METADATA)
    engine.dispose()
    return found


def test_the_migrations_make_the_tables(file: Path) -> None:
    assert differences(sqlite(file)) == []


@pytest.mark.postgres
def test_the_migrations_make_the_tables_on_postgresql(postgresql: str) -> None:
    SqlLedger(postgresql).close()
    assert differences(postgresql) == []


def test_head_is_the_newest_revision_and_there_is_one_line_of_them() -> None:
    (folder,) = migrations.__path__
    script = ScriptDirectory(folder, version_locations=[folder])
    assert script.get_heads() == [schema.HEAD]


def test_a_database_without_tables_gets_them_and_a_stamp(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    SqlLedger(sqlite(file)).close()
    with sqlite3.connect(file) as connection:
        stamps = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    assert stamps == [(schema.HEAD,)]


def test_opening_a_current_database_does_not_wait_for_alembic(file: Path) -> None:
    program = (
        "import sys; from towpath.ledger.sql import SqlLedger; "
        f"SqlLedger({sqlite(file)!r}).close(); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


def stamp(file: Path, revision: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


def test_a_database_from_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    with_row = SqlLedger(sqlite(file))
    with_row.commit([Add(upload())])
    with_row.close()
    stamp(file, "9999")
    before = file.read_bytes()
    with pytest.raises(LedgerError, match=r"newer version of Towpath.*9999"):
        SqlLedger(sqlite(file))
    assert file.read_bytes() == before
    stamp(file, schema.HEAD)
    again = SqlLedger(sqlite(file))
    assert again.count(Upload, Query()) == 1
    again.close()


@pytest.fixture
def refuse_outbox() -> Iterator[None]:
    """Let the disk fail in the middle of a migration."""

    def fail(*arguments: Any) -> None:
        if "CREATE TABLE outbox" in arguments[2]:
            raise OperationalError(arguments[2], {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(Engine, "before_cursor_execute", fail)
    yield
    event.remove(Engine, "before_cursor_execute", fail)


def test_a_migration_that_fails_leaves_no_table_behind(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "new.db"
    request.getfixturevalue("refuse_outbox")
    with pytest.raises(LedgerError, match="cannot be opened"):
        SqlLedger(sqlite(file))
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


def test_of_many_who_open_a_new_database_at_once_each_finds_the_tables(tmp_path: Path) -> None:
    url = sqlite(tmp_path / "new.db")
    SqlLedger(url).close()  # the file is in WAL mode from here on
    connection = sqlite3.connect(tmp_path / "new.db")
    for (table,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type='table'"
    ).fetchall():
        connection.execute(f"DROP TABLE {table}")
    connection.commit()
    connection.close()
    counts: list[int] = []

    def use() -> None:
        ledger = SqlLedger(url)
        counts.append(ledger.count(Upload, Query()))
        ledger.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [0] * 4


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("shopping list\n" * 100)
    with pytest.raises(LedgerError, match="no SQLite database"):
        SqlLedger(sqlite(file))
    assert file.read_text() == "shopping list\n" * 100


def test_a_folder_that_is_not_there_is_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot be opened.*folder"):
        SqlLedger(sqlite(tmp_path / "none" / "ledger.db"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://h/d",
        "x",
    ],
)
def test_a_url_that_cannot_be_used_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError):
        SqlLedger(url)


def test_no_password_stands_in_an_error() -> None:
    with pytest.raises(SettingsError) as refused:
        SqlLedger("mysql://me:secret@host/db")
    assert "secret" not in str(refused.value)
