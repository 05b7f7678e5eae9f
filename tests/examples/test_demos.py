"""The demos run on small files, and print what they measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.testing.server import Server

FOLDER = Path(__file__).parents[2] / "examples" / "demos"
RATE = r"[\d.]+ s, [\d.]+ [KMG]?B/s"

SAYS = {
    "basic": ["4", rf"upload of 4.0 MB: completed, {RATE}", "ok: the bytes are the same"],
    "chunks": ["4", r"100\.0 %  \d/\d chunks, .* after [\d.]+ s", r"100\.0%  chunk \d/\d"],
    "resume": ["8", r"killed after [45].0 MB of 8.0 MB", r"resumed from chunk [4-8] of 8"],
    "memory": ["16", r"whole +[\d.]+ \w+ ", r"streamed +-?[\d.]+ \w+ "],
    "ten_at_once": ["1", rf"10 uploads of 1.0 MB: {RATE}", "ok: all ten are complete"],
    "real_world": ["6", rf"decision of 6.0 MB: completed, {RATE}", "case file of 5 documents"],
    "benchmark": ["2", r"20 MB +[\d.]+ s", "in process, best of"],
    "best_practices": [
        "2",
        "5. what is stored is what was sent",
        "2 complete",
        "ok: 9. it was encrypted",
    ],
}


def run(name: str, *words: str, **environment: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TOWPATH_")}
    path = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "PYTHONPATH": path, **environment},
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", SAYS)
def test_a_demo_prints_what_it_measured(name: str) -> None:
    size, *patterns = SAYS[name]
    more = ["--rounds", "1"] if name == "benchmark" else []
    code, said = run(name, "--size", size, *more)
    assert code == 0, said
    for pattern in patterns:
        assert re.search(pattern, said), said


UNITS = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}


def test_the_memory_demo_finds_that_streaming_takes_less_than_the_whole() -> None:
    code, said = run("memory", "--size", "64")
    assert code == 0, said
    grown = {
        way: float(number) * UNITS[unit]
        for way, number, unit in re.findall(r"^  (\w+) +(-?[\d.]+) (\w+)  \(", said, re.MULTILINE)
    }
    assert grown.keys() == {"whole", "streamed"}, said
    assert grown["whole"] >= 60 * 2**20, said
    assert grown["streamed"] < grown["whole"], said


def test_the_resumed_demo_sends_nothing_again() -> None:
    _, said = run("resume", "--size", "8")
    assert "acknowledged bytes that were sent again: 0\n" in said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("demos") / "data") as server:
        yield server


def test_a_demo_runs_against_a_server(server: Server) -> None:
    code, said = run("basic", "--size", "2", TOWPATH_URL=server.url)
    assert code == 0, said


def test_the_checklist_looks_at_a_running_server(server: Server) -> None:
    code, said = run("checklist", "--size", "16", "--free", "0", TOWPATH_URL=server.url)
    assert code == 0, said
    assert said.count("[ok]") == 8, said
    code, said = run("checklist", "--size", "1", "--free", "1000000", TOWPATH_URL=server.url)
    assert code == 1, said
    assert "[NO] roomy" in said


def test_the_checklist_says_that_nobody_is_there() -> None:
    code, said = run("checklist", "--size", "1", TOWPATH_URL="http://127.0.0.1:9")
    assert code == 1
    assert "[NO] ready" in said


def test_every_demo_is_listed_and_tested() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"sample"}
    assert scripts == {*SAYS, "checklist"}
    table = (FOLDER / "README.md").read_text()
    assert all(f"[`{name}.py`]({name}.py)" in table for name in scripts)
