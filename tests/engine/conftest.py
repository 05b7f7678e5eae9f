"""An engine on each pair of places that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engine.places import PAIRS, Places
from tests.engine.world import World
from towpath.ledger.sql import SqlLedger


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger's file: to copy it is quicker than to migrate."""
    file = tmp_path_factory.mktemp("fresh") / "ledger.db"
    SqlLedger(f"sqlite:///{file}", "relaxed").close()
    return file


@pytest.fixture(params=PAIRS)
def places(request: pytest.FixtureRequest, tmp_path: Path, fresh: Path) -> Iterator[Places]:
    """A place for bytes and one for facts, of this test's own."""
    there = Places(request.param, tmp_path, fresh)
    yield there
    there.close()


@pytest.fixture
async def world(places: Places) -> AsyncIterator[World]:
    """An engine on them."""
    there = await World(places).open()
    yield there
    await there.close()


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """An engine in memory, for what no place makes different."""
    there = await World(Places()).open()
    yield there
    await there.close()
