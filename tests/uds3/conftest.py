"""What tests of streaming operations share: managers in process and against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.uds3.coded import WAYS
from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Tap, Wire, threaded
from towpath.uds3 import StreamingManager, coding

Make = Callable[..., StreamingManager]
Stalling = Callable[[str, int], AbstractContextManager[None]]
MIB = 1 << 20
RATE = 12 * MIB
"""Bytes a second on the line to a server, so that progress is heard several times."""


class Line:
    """A line to the server, no faster than RATE, that can be made to stand still."""

    def __init__(self, server: Server, *, tap: Tap | None = None) -> None:
        self._ends: dict[str, int] = {}  # by way: after how many bytes a connection stands still
        self.wire = Wire("127.0.0.1", server.port, plan=self.plan, tap=tap)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"

    def plan(self, _number: int) -> Plan:
        return Plan(up=self._lane("up"), down=self._lane("down"))

    @contextmanager
    def stalling(self, way: str, at: int) -> Iterator[None]:
        """Meanwhile each connection carries so many bytes that way, and no more.

        So who is to stop an operation never comes too late. It hears of every block.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("towpath.client.progress._PAUSE", 0.0)
            self._renew({way: at})
            try:
                yield
            finally:
                self._renew({})

    def _lane(self, way: str) -> Lane:
        at = self._ends.get(way)
        return Lane(rate=RATE) if at is None else Lane(rate=RATE, fault=Fault.STALL, at=at)

    def _renew(self, ends: dict[str, int]) -> None:
        """From now on connections are so: those that are there end."""
        self._ends = ends
        self.wire.sever()
        self.alone()

    def alone(self) -> None:
        """Wait until nobody is connected."""
        self.wire.when(lambda: not self.wire.live).result(10)


@contextmanager
def line_to(server: Server) -> Iterator[Line]:
    line = Line(server)
    with threaded(line.wire):
        yield line


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def line(server: Server) -> Iterator[Line]:
    """A slow line to the server."""
    with line_to(server) as line:
        yield line


@pytest.fixture(scope="module")
def url(line: Line) -> str:
    return line.url


@pytest.fixture(params=["in process", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Where documents are to live: the arguments that say so."""
    if request.param == "in process":
        return {"data": tmp_path / "data"}
    return {"url": request.getfixturevalue("url"), "state_dir": tmp_path / "state"}


@pytest.fixture
def stalling(request: pytest.FixtureRequest, place: dict[str, Any]) -> Stalling:
    """As `Line.stalling`; in process nothing moves on before a callback has returned."""
    if "url" not in place:
        return lambda way, at: nullcontext()
    line: Line = request.getfixturevalue("line")
    return line.stalling


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
