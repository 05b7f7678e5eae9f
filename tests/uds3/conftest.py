"""What tests of streaming operations share: managers in process and against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.uds3.coded import WAYS
from towpath.testing.plan import Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded
from towpath.uds3 import StreamingManager, coding

Make = Callable[..., StreamingManager]
MIB = 1 << 20
RATE = 12 * MIB
"""Bytes a second on the line to a server, so that a test has time to stop an operation."""


@contextmanager
def slow(server: Server) -> Iterator[str]:
    """The URL of a line to the server that is no faster than RATE."""
    lane = Lane(rate=RATE)
    with threaded(Wire("127.0.0.1", server.port, plan=lambda _: Plan(up=lane, down=lane))) as wire:
        yield f"http://127.0.0.1:{wire.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def url(server: Server) -> Iterator[str]:
    """A slow line to the server."""
    with slow(server) as url:
        yield url


@pytest.fixture(params=["in process", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where documents are to live: the arguments that say so."""
    if request.param == "in process":
        return {"data": tmp_path / "data"}
    return {"url": request.getfixturevalue("url"), "state_dir": tmp_path / "state"}


@pytest.fixture
def make(place: dict[str, Any]) -> Iterator[Make]:
    """Make managers at that place, quick to try again."""
    yield from makers(place)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Make]:
    """Make managers in process."""
    yield from makers({"data": tmp_path / "data"})


def makers(place: dict[str, Any]) -> Iterator[Make]:
    made: list[StreamingManager] = []

    def manager(**options: Any) -> StreamingManager:
        made.append(StreamingManager(**{"retry_delay_seconds": 0.01, **place, **options}))
        return made[-1]

    yield manager
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def _quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch them as little as a record allows."""
    monkeypatch.setattr(coding, "Secret", partial(coding.Secret, work=12))


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How chunks are coded: the arguments that say so."""
    return WAYS[request.param]


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A document of 3 MiB and a bit, whose bytes do not repeat."""
    return write(tmp_path / "paper.pdf", 3 * MIB + 321)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that takes long enough to be stopped."""
    return write(tmp_path / "large.bin", 10 * MIB)


def write(path: Path, size: int) -> Path:
    """A file of bytes that differ wherever one looks."""
    path.write_bytes(Random(f"{path.name} {size}").randbytes(size))
    return path


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()
