"""Every ledger passes the suite that stands in `towpath.testing.ledger`."""

from pathlib import Path

import pytest

from tests.ledger.conftest import memory_place, sqlite
from towpath.ledger.sql import SqlLedger
from towpath.testing.ledger import CHECKS
from towpath.testing.ledger_queries import Check

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


@every_check
def test_the_ledger_in_memory_keeps_it(check: Check) -> None:
    check(memory_place())


@every_check
@pytest.mark.parametrize("durability", ["strict", "relaxed"])
def test_the_ledger_in_sqlite_keeps_it(check: Check, durability: str, file: Path) -> None:
    check(lambda: SqlLedger(sqlite(file), durability))  # type: ignore[arg-type]


@every_check
@pytest.mark.postgres
def test_the_ledger_in_postgresql_keeps_it(check: Check, postgresql: str) -> None:
    check(lambda: SqlLedger(postgresql))
