"""What tests over HTTP get: a house of servers, one server after the other, a client for each.

A plugin, not a conftest, since tests of other people's clients use it too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.running import House, Served
    from tests.web.talk import Tus


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Servers that tests share, started when they are asked for."""
    from tests.web.running import House  # noqa: PLC0415  # tests of other things need no server

    kept = House(Path(tmp_path_factory.mktemp("house")))
    yield kept
    kept.close()


@pytest.fixture(autouse=True)
def _no_connection_stays() -> Iterator[None]:
    """A test that fails leaves nothing open, for which another one would be blamed."""
    yield
    if running := sys.modules.get("tests.web.running"):  # as above
        running.hang_up()


@pytest.fixture(params=["direct", "plain", "granian", "tls"])
def served(house: House, request: pytest.FixtureRequest) -> Served:
    """Each kind of server."""
    return house.get(request.param)


@pytest.fixture
def direct(house: House) -> Served:
    """The server that most people run."""
    return house.get("direct")


@pytest.fixture(
    params=["direct", "direct chunked", "plain", "granian", "granian chunked", "tls", "tls chunked"]
)
def tus(house: House, request: pytest.FixtureRequest) -> Tus:
    """A tus client of each kind of server, with bodies of known length and with chunked ones."""
    from tests.web.talk import Tus  # noqa: PLC0415  # as above

    kind, _, coding = request.param.partition(" ")
    return Tus(house.get(kind), chunked=bool(coding))
