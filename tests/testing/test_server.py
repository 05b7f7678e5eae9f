"""A server under test is started, stopped, killed and started again, and nothing else is."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from towpath.testing import procfs
from towpath.testing.program import ProgramFailed
from towpath.testing.rawtus import RawTus
from towpath.testing.server import Server, towpath_serve

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
SERVE = towpath_serve(program=STAND_IN)


def test_a_server_answers_within_the_with_and_is_gone_after_it(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command=SERVE) as server:
        assert server.answers()
        pid = server.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_killed_server_has_its_data_and_its_port_after_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command=SERVE) as server:
        tus = RawTus(server.url)
        path = tus.create(1000)
        tus.patch(path, 0, 400)
        first = server.pid
        server.kill()
        assert not server.answers()
        server.restart()
        assert server.pid != first
        assert tus.offset(path) == 400


def test_a_stopped_server_stands_still_until_it_is_woken(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command=SERVE) as server:
        server.stop()
        state = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state == "T"
        server.cont()
        assert server.answers()


def test_a_stopped_server_can_be_killed(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command=SERVE) as server:
        server.stop()
        server.kill()
        assert not Path(f"/proc/{server.pid}").exists()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    def command(_: int, __: Path) -> Sequence[str]:
        return [sys.executable, "-c", "raise SystemExit('no such luck')"]

    with pytest.raises(ProgramFailed, match="no such luck"):
        Server(tmp_path / "data", command=command).start()


def test_a_failure_of_the_test_carries_the_end_of_the_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError) as caught,
        Server(tmp_path / "data", command=SERVE),
    ):
        raise ZeroDivisionError
    assert "http://127.0.0.1" in caught.value.__notes__[0]


def test_memory_and_processor_time_can_be_read(tmp_path: Path) -> None:
    with Server(tmp_path / "data", command=SERVE) as server:
        tus = RawTus(server.url)
        before = server.cpu_seconds()
        path = tus.create(50_000_000)
        tus.patch(path, 0, 50_000_000)
        memory = server.memory()
        assert 1_000_000 < memory.now <= memory.peak
        assert server.cpu_seconds() > before


def test_a_peak_can_be_forgotten() -> None:
    ballast = bytearray(100_000_000)
    del ballast
    procfs.forget_peak(os.getpid())
    memory = procfs.memory(os.getpid())
    assert memory.peak < memory.now + 50_000_000
