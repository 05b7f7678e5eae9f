"""What tests of the client share: a server that fails on demand, and both clients."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import towpath
from tests.client.fake import FakeServer, serving

Carry = Callable[..., Any]


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


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of a few blocks whose bytes do not repeat."""
    path = tmp_path / "big.bin"
    path.write_bytes(sample(5_000_001))
    return path


def sample(size: int) -> bytes:
    """Bytes that differ wherever one looks."""
    return Random(size).randbytes(size)
