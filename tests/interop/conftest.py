"""Servers as processes, and a large file."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.process import process
from tests.web.running import Served
from tests.web.talk import Tus

SIZE = 48 * 1024 * 1024 + 12_345


@pytest.fixture(scope="session", params=["direct", "plain", "granian"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server's process of each kind."""
    with process(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made.served


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a while."""
    file = tmp_path_factory.mktemp("large") / "large file.bin"
    file.write_bytes(random.Random(5).randbytes(SIZE))
    return file


def require_same(served: Served, url: str, file: Path) -> None:
    """The object at the address holds the file's bytes."""
    answer = Tus(served).ask("GET", "/files/" + url.rpartition("/")[2])
    assert answer.status == 200
    found, wanted = (hashlib.sha256(each).digest() for each in (answer.body, file.read_bytes()))
    assert found == wanted
