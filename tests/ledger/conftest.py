"""Places for ledgers: each test gets a `make` that opens one new place, again and again."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from towpath.ledger.base import Ledger
from towpath.ledger.memory import MemoryLedger
from towpath.ledger.sql import SqlLedger

# Before they are imported: their asserts say more then.
pytest.register_assert_rewrite("towpath.testing.ledger", "towpath.testing.ledger_queries")

POSTGRESQL = os.environ.get("TOWPATH_TEST_POSTGRESQL")  # the URL of a database to make schemas in


def sqlite(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger's file: to copy it is quicker than to migrate."""
    file = tmp_path_factory.mktemp("fresh") / "ledger.db"
    SqlLedger(sqlite(file), "relaxed").close()
    return file


@pytest.fixture
def file(fresh: Path, tmp_path: Path) -> Path:
    """An empty ledger's file of this test's own."""
    return Path(shutil.copy(fresh, tmp_path / "ledger.db"))


def memory_place() -> Callable[[], Ledger]:
    ledgers = [MemoryLedger()]

    def make() -> Ledger:
        ledgers.append(ledgers[-1].reopened())
        return ledgers[-1]

    return make


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The URL of an empty schema of this test's own."""
    if POSTGRESQL is None:
        pytest.skip("TOWPATH_TEST_POSTGRESQL names no database")
    schema = f"t{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(POSTGRESQL)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    url = sqlalchemy.make_url(POSTGRESQL).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()
