"""By how many connections a coded upload goes: what was said, and what memory there is."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.client.coding import KEY
from towpath.client import Client
from towpath.testing.plan import Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
FAR = Plan(up=Lane(rate=6 * MIB))  # so that each connection is busy for a while


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "large"
    path.write_bytes(Random(12).randbytes(12 * MIB))
    return path


def at_once(server: Server, path: Path, state: Path, **options: Any) -> int:
    """Send the file in chunks of 1 MiB: how many connections there were at a time."""
    most = 0
    with threaded(Wire("127.0.0.1", server.port, plan=lambda _: FAR)) as wire:

        def watch() -> bool:
            nonlocal most
            most = max(most, len(wire.live))
            return False

        wire.when(watch)
        url = f"http://127.0.0.1:{wire.port}"
        with Client(url, state_dir=state, chunk_size=MIB, **options) as client:
            up = client.upload(path, "by-many", encrypt=[KEY], on_conflict="replace").result()
    assert up.verified
    return most


@pytest.mark.parametrize("connections", [1, 2, 7])
def test_a_coded_upload_has_as_many_connections_as_were_said(
    real: Server, large: Path, state: Path, connections: int
) -> None:
    assert at_once(real, large, state, connections=connections) == connections


def test_there_are_six_where_nothing_was_said(real: Server, large: Path, state: Path) -> None:
    assert at_once(real, large, state) == 6


def test_all_files_together_have_no_more_than_was_said(
    real: Server, large: Path, state: Path
) -> None:
    assert at_once(real, large, state, connections=7, total_connections=3) == 3


def test_who_waits_for_an_answer_holds_no_memory(real: Server, large: Path, state: Path) -> None:
    assert at_once(real, large, state, connections=3, memory=MIB) == 3  # that holds one chunk
