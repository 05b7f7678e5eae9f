"""Servers as processes, and a large file."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.web.process import process
from tests.web.running import Served
from tests.web.talk import TUS, Tus

MIB = 1024 * 1024
SIZES = {"direct": 100 * MIB + 12_345, "plain": 24 * MIB + 12_345, "granian": 24 * MIB + 12_345}
"""Bytes of the file that a server of each kind is sent."""


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """Servers' processes by their kind, each started when it is first asked for."""
    with ExitStack() as stack:

        def start(kind: str) -> Served:
            return stack.enter_context(process(kind, tmp_path_factory.mktemp(kind))).served

        yield cache(start)


@pytest.fixture(params=["direct", "plain", "granian"])
def server(request: pytest.FixtureRequest, processes: Callable[[str], Served]) -> Served:
    """A server's process of each kind."""
    return processes(request.param)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each kind of server."""
    folder = tmp_path_factory.mktemp("files")
    draw = random.Random(5)
    content = b"".join(draw.randbytes(MIB) for _ in range(max(SIZES.values()) // MIB + 1))
    for kind, size in SIZES.items():
        (folder / kind).mkdir()
        (folder / kind / "large file.bin").write_bytes(content[:size])
    return folder


@pytest.fixture
def large(server: Served, files: Path) -> Path:
    """A file that takes a while."""
    return files / server.kind / "large file.bin"


def require_same(served: Served, url: str, file: Path) -> None:
    """The object at the address holds the file's bytes; a large one is removed, to save room."""
    path = "/files/" + url.rpartition("/")[2]
    answer = Tus(served).ask("GET", path)
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == digest(file)
    if len(answer.body) > MIB:
        assert Tus(served).ask("DELETE", path, TUS).status == 204


@cache
def digest(file: Path) -> bytes:
    """The SHA-256 of a file that does not change."""
    return hashlib.sha256(file.read_bytes()).digest()
