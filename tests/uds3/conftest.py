"""What tests of streaming operations share: managers in process and against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from towpath.testing.server import Server
from towpath.uds3 import StreamingManager

Make = Callable[..., StreamingManager]
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(params=["in process", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where documents are to live: the arguments that say so."""
    if request.param == "in process":
        return {"data": tmp_path / "data"}
    return {"url": request.getfixturevalue("server").url, "state_dir": tmp_path / "state"}


@pytest.fixture
def make(place: dict[str, Any]) -> Iterator[Make]:
    """Make managers at that place, quick to try again."""
    made: list[StreamingManager] = []

    def manager(**options: Any) -> StreamingManager:
        made.append(StreamingManager(**{"retry_delay_seconds": 0.01, **place, **options}))
        return made[-1]

    yield manager
    for each in made:
        each.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Make]:
    """Make managers in process."""
    made: list[StreamingManager] = []

    def manager(**options: Any) -> StreamingManager:
        given = {"retry_delay_seconds": 0.01, "data": tmp_path / "data", **options}
        made.append(StreamingManager(**given))
        return made[-1]

    yield manager
    for each in made:
        each.close()


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A document of 3 MiB and a bit, whose bytes do not repeat."""
    return write(tmp_path / "paper.pdf", 3 * MIB + 321)


def write(path: Path, size: int) -> Path:
    """A file of bytes that differ wherever one looks."""
    path.write_bytes(Random(f"{path.name} {size}").randbytes(size))
    return path


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.fixture
def large(place: dict[str, Any], tmp_path: Path) -> Path:
    """A file that takes long enough to be stopped: a server hears of a stop only later."""
    return write(tmp_path / "large.bin", (64 if "url" in place else 8) * MIB)
