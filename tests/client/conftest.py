"""What tests of the client share: a server that fails on demand, and both clients."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

import towpath
from tests.client.awaited import Either, awaited
from tests.client.coding import MIXED, another
from tests.client.fake import FakeServer, serving
from towpath.client.peer import Peer
from towpath.testing.server import Server

Carry = Callable[..., Any]
LARGE = 40_000_000  # bytes


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.client.retry._FIRST", 0.001)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(params=["asyncio", "blocking"])
def carry(request: pytest.FixtureRequest, server: FakeServer, state: Path) -> Carry:
    """Start one transfer with either client, and wait for it."""

    def run(verb: str, *args: Any, client: dict[str, Any] | None = None, **rest: Any) -> Any:
        options = {"state_dir": state, "timeout": 10, **(client or {})}
        if request.param == "blocking":
            with towpath.Client(server.url, **options) as blocking:
                return getattr(blocking, verb)(*args, **rest).result()

        async def main() -> Any:
            async with towpath.AsyncClient(server.url, **options) as c:
                return await getattr(c, verb)(*args, **rest)

        return asyncio.run(main())

    return run


@pytest.fixture(params=[awaited, towpath.Client], ids=["asyncio", "blocking"])
def either(request: pytest.FixtureRequest) -> Either:
    """Either client; both look like the blocking one."""
    side: Either = request.param
    return side


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of a few blocks whose bytes do not repeat."""
    path = tmp_path / "big.bin"
    path.write_bytes(sample(5_000_001))
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of which some is still to be sent when a test looks."""
    path = tmp_path / "large.bin"
    path.write_bytes(sample(LARGE))
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("real") / "data") as server:
        yield server


@pytest.fixture
def client(real: Server, state: Path, either: Either) -> Iterator[towpath.Client]:
    """Either client; what it left at the server is gone when the next test begins."""
    with another(real, state, either) as client:
        yield client
        for each in list(client.names()):
            with suppress(towpath.errors.NotFound):  # its record went with a file
                client.remove(each.path)


@pytest.fixture
def peer(real: Server) -> Iterator[Peer]:
    peer = Peer(real.url)
    yield peer
    peer.done_with()


@pytest.fixture
def open_parts_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.part` that is open cannot be removed, as on Windows."""
    remove = Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path.suffix == ".part" and is_open(path):
            raise PermissionError(errno.EACCES, "It is open", str(path))
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)


def is_open(path: Path) -> bool:
    """Whether this process has it open."""
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # one that is gone by now
            if handle.samefile(path):
                return True
    return False


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.bin"
    path.write_bytes(MIXED)
    return path


def sample(size: int) -> bytes:
    """Bytes that differ wherever one looks."""
    return Random(size).randbytes(size)


async def received(server: FakeServer, count: int) -> None:
    """Return when so many bytes of bodies have come in."""
    await asyncio.to_thread(server.wait_for, count)
