"""Several connections of one operation to a server: faster, and nothing acknowledged goes twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, RATE, Line, same, write
from tests.uds3.test_interruption import kill_midway
from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Connection, threaded
from towpath.uds3 import OperationStatus, StreamingManager

SIZE = 24 * MIB + 77
SPARE = 256 * 1024  # bytes of heads and small requests


class Counting(Line):
    """A line to the server that counts what each of its connections carries."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, tap=self._count)
        self.cuts = 0  # of the next connections, each after 3 MiB up
        self.carried: Counter[tuple[int, str]] = Counter()

    def plan(self, number: int) -> Plan:
        if not self.cuts:
            return super().plan(number)
        self.cuts -= 1
        return Plan(up=Lane(rate=RATE, fault=Fault.CUT, at=3 * MIB), down=Lane(rate=RATE))

    def _count(self, connection: Connection, way: str, piece: memoryview) -> None:
        self.carried[connection.number, way] += len(piece)

    def busy(self, way: str) -> int:
        """How many connections carried a MiB or more."""
        return sum(key[1] == way and count >= MIB for key, count in self.carried.items())

    def empty(self, way: str) -> int:
        """Wait until nobody is connected: what has been carried so far."""
        self.alone()
        return self.wire.up if way == "up" else self.wire.down


@pytest.fixture
def line(server: Server) -> Iterator[Counting]:
    line = Counting(server)
    with threaded(line.wire):
        yield line


@pytest.fixture
def place(line: Counting, tmp_path: Path) -> dict[str, Any]:
    return {"url": line.url, "state_dir": tmp_path / "state", "retry_delay_seconds": 0.01}


def test_one_call_sends_in_order_and_the_other_over_parallel_chunks(
    line: Counting, place: dict[str, Any], tmp_path: Path
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    with StreamingManager(chunk_size_mb=1, parallel_chunks=3, **place) as manager:
        manager.wait_for_operations([manager.upload_file(large, "ordered.bin")])
        assert line.busy("up") == 1
        line.carried.clear()
        key = manager.upload_file(large, "parallel.bin", parallel=True)
        (done,) = manager.wait_for_operations([key])
        assert (done.chunks_completed, done.chunks_total) == (25, 25)
        assert 2 <= line.busy("up") <= 3
        assert manager.verify_upload(key)
        line.carried.clear()
        assert manager.download_large_file("parallel.bin", tmp_path / "copy")
        assert 2 <= line.busy("down") <= 3
    assert same(large, tmp_path / "copy")


def test_connections_that_are_cut_cost_what_was_on_its_way(
    line: Counting, place: dict[str, Any], tmp_path: Path
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    line.cuts = 5
    with StreamingManager(chunk_size_mb=1, **place) as manager:
        result = manager.upload_large_file(large, "cut-four.bin")
        assert result, result["error"]
        assert line.cuts == 0
        assert SIZE <= line.wire.up <= SIZE + 5 * 4 * MIB + SPARE  # a chunk of each connection
        assert manager.verify_upload(result["operation_id"])


def pausing(manager: StreamingManager) -> Callable[[Any], None]:
    """A callback that pauses an operation in its middle."""

    def pause(progress: Any) -> None:
        if progress.transferred_bytes >= 12 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    return pause


def test_a_parallel_upload_that_was_paused_sends_only_what_is_missing(
    line: Counting, place: dict[str, Any], tmp_path: Path
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    with (
        StreamingManager(chunk_size_mb=1, **place) as manager,
        line.stalling("up", 5 * MIB),  # of each of four connections: 4 MiB never go up
    ):
        stopped = manager.upload_large_file(large, "paused.bin", progress_callback=pausing(manager))
        assert stopped["status"] == OperationStatus.PAUSED
    before = line.empty("up")
    with StreamingManager(chunk_size_mb=1, **place) as manager:
        result = manager.resume_upload(
            operation_id=stopped["operation_id"], file_path=large, destination="paused.bin"
        )
        assert result, result["error"]
        assert result["resumed_from_chunk"] >= 12 - 4  # what was on its way is not counted
        missing = SIZE - result["resumed_from_bytes"]
        assert missing <= line.wire.up - before < missing + SPARE
        assert manager.verify_upload(stopped["operation_id"])
        assert manager.download_large_file("paused.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")


def test_a_parallel_upload_whose_process_was_killed_goes_on_with_what_is_missing(
    line: Counting, place: dict[str, Any], tmp_path: Path
) -> None:
    large = write(tmp_path / "killed.bin", SIZE)
    key, told = kill_midway(place, "upload_large_file", str(large), "killed-four.bin", 0)
    before = line.empty("up")
    with StreamingManager(chunk_size_mb=1, **place) as manager:
        result = manager.resume_upload(key)
        assert result["resumed_from_bytes"] >= told - 4 * MIB  # one chunk of each connection
        missing = SIZE - result["resumed_from_bytes"]
        assert missing <= line.wire.up - before < missing + SPARE
        assert manager.verify_upload(key)
        assert manager.download_large_file("killed-four.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")


def test_a_parallel_download_that_was_paused_goes_on(
    line: Counting, place: dict[str, Any], tmp_path: Path
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    with StreamingManager(chunk_size_mb=1, **place) as manager:
        assert manager.upload_large_file(large, "down-four.bin")
        with line.stalling("down", 5 * MIB):
            key = manager.download_file("down-four.bin", tmp_path / "copy", pausing(manager))
            (stopped,) = manager.wait_for_operations([key])
        assert stopped.status is OperationStatus.PAUSED
        assert not (tmp_path / "copy").exists()
    before = line.empty("down")
    with StreamingManager(chunk_size_mb=1, **place) as manager:
        result = manager.resume_download(key)
        missing = SIZE - result["resumed_from_bytes"]
        assert 0 < missing <= line.wire.down - before < missing + SPARE
    assert same(large, tmp_path / "copy")
