"""`towpath top`: what a server's events say, once or as it happens."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from tests.web.running import Served
from tests.web.talk import Tus, metadata
from towpath.cli.top import Board
from towpath.client.events import Event

Snapshot = Callable[[str, str], None]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def open_upload(live: Served) -> str:
    """The address of an upload of which a quarter is there."""
    return Tus(live).new(4096, b"x" * 1024, upload_metadata=metadata(name="film.mp4"))


def test_once_shows_how_things_stand(
    run: Run, live: Served, open_upload: str, snapshot: Snapshot
) -> None:
    ran = run("top", "--once")
    assert (ran.code, ran.err) == (0, "")
    snapshot("top", re.sub(r"\d+(\.\d+)? [TG]iB free", "1.0 TiB free", ran.out))


def test_once_is_for_programs_too(run: Run, live: Served, open_upload: str) -> None:
    (state,) = run("top", "--once", "--json").records("state")
    assert (state["name"], state["offset"], state["length"]) == ("film.mp4", 1024, 4096)
    (listening,) = run("top", "--once", "--json").records("listening")
    assert listening["uploads"] == 1


def until(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        found: dict[str, Any] = json.loads(line)
        if found["type"] == kind:
            return found
    raise AssertionError(f"it ended before {kind}")


def test_events_come_as_they_happen_until_ctrl_c(live: Served, start: Start) -> None:
    with start("top", "--json") as process:
        until(process, "listening")
        Tus(live).put(b"abc", upload_metadata=metadata(name="note.txt"))
        assert until(process, "completed")["name"] == "note.txt"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_a_server_that_does_not_tell_is_told_of(run: Run, server: FakeServer) -> None:
    ran = run("top", "--once")
    assert (ran.code, ran.out) == (4, "")
    assert run("top", "--once", "--url", "http://127.0.0.1:1").code == 10


def event(key: str, state: str, **more: Any) -> Event:
    data = {"id": key, "name": key, "state": state, "length": 100, "received": 50, **more}
    return Event("progress", data)


def shown(board: Board, rows: int | None = None) -> str:
    from rich.console import Console  # noqa: PLC0415 - slow to import

    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(board.table(rows))
    return capture.get()


def test_what_moves_fastest_stands_first_and_what_ended_last() -> None:
    board = Board()
    board.take(event("slow", "open", bytes_per_second=10))
    board.take(event("done", "complete", received=100, bytes_per_second=5000))
    board.take(event("fast", "open", bytes_per_second=1000, eta_seconds=3))
    names = [line.split()[0] for line in shown(board).splitlines()[2:]]
    assert names == ["fast", "slow", "done"]
    assert "2 unfinished  2 moving" in shown(board)
    assert "and 2 more" in shown(board, 1)


def test_what_ended_stays_for_a_while() -> None:
    board = Board()
    board.take(event("done", "complete"))
    (when,) = board.ended.values()
    board.sweep(when + 5)
    assert "done" in board.uploads
    board.sweep(when + 11)
    assert (board.uploads, board.ended) == ({}, {})


def test_a_name_is_neither_markup_nor_steers_the_terminal() -> None:
    board = Board()
    board.take(event("[red]x[/red]\x1b[2J", "open"))
    assert "[red]x[/red]\\x1b[2J" in shown(board)


def test_a_name_that_is_too_wide_keeps_its_end() -> None:
    board = Board()
    for number in (1, 2):
        board.take(event(f"folder/{'long-' * 30}{number}.bin", "open"))
    lines = shown(board).splitlines()
    assert max(map(len, lines)) == 80
    for number, line in enumerate(lines[2:], 1):
        assert line.startswith("folder/")
        assert f"long-{number}.bin " in line
