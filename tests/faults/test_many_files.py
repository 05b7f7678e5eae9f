"""A folder of very many files goes on where it stopped, and memory does not follow their number.

TOWPATH_TEST_FILES says how many there are: 20,000 unless it is set. Resident memory, from /proc, of
the client and of the server; what a folder of 2,000 files takes is not counted. With
TOWPATH_TEST_RECORDS=<file> a line of JSON is added there for every run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from towpath.client import Client
from towpath.testing.program import Program
from towpath.testing.server import Server, towpath_serve

MIB = 1024 * 1024
FILES = int(os.environ.get("TOWPATH_TEST_FILES", "20000"))
FEW = 2_000
IN_A_FOLDER = 1_000  # of half of them; the other half lies in one folder
GROWTH = 16 * MIB  # of the client
GROWTH_THERE = 64 * MIB  # of the server, whose ledger has a cache
LONG = 7200.0  # seconds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * LONG)]


def fill(folder: Path, count: int) -> Path:
    """Make so many small files; every other one is empty."""
    for number in range(count):
        within = folder / ("flat" if number % 2 else f"deep/{number // IN_A_FOLDER:05}")
        if number < 2 or number % IN_A_FOLDER == 0:
            within.mkdir(parents=True, exist_ok=True)
        path = within / f"a file with some name {number:07}"
        path.write_bytes(b"%d" % number * (number // 2 % 2))
    return folder


@pytest.fixture
def server(tmp_path: Path, program: Sequence[str]) -> Iterator[Server]:
    serve = towpath_serve("--durability", "relaxed", program=program)
    with Server(tmp_path / "data", command=serve) as server:
        yield server
    shutil.rmtree(tmp_path / "data")


def record(facts: dict[str, object]) -> None:
    """Add what was measured to the records, if somebody wants them."""
    if wanted := os.environ.get("TOWPATH_TEST_RECORDS"):
        with Path(wanted).open("a") as file:
            file.write(json.dumps(facts) + "\n")


def until_lines(client: Program, count: int) -> None:
    """Return when it has told of so many files."""
    ends = time.monotonic() + LONG
    while client.log.read_bytes().count(b"\n") < count:
        assert client.exit_code() is None, client.tail()
        assert time.monotonic() < ends
        time.sleep(0.5)


@pytest.mark.parametrize(
    "words", [["put", "{folder}", "--to", "{name}"], ["sync", "{folder}", ":{name}"]]
)
def test_a_folder_goes_on_and_memory_does_not_follow_its_files(
    tmp_path: Path, server: Server, program: Sequence[str], words: list[str]
) -> None:
    def client(folder: Path) -> Program:
        said = [word.format(folder=folder, name=folder.name) for word in words]
        return Program(
            [*program, *said],
            log=tmp_path / f"{folder.name}.log",
            environment={"XDG_STATE_HOME": str(tmp_path / "state"), "TOWPATH_URL": server.url},
        )

    with client(fill(tmp_path / "few", FEW)) as small:
        base = small.watch(LONG)
    there = server.memory().peak
    began = time.monotonic()
    with client(fill(tmp_path / "many", FILES)) as large:
        until_lines(large, FILES // 2)
        first = large.memory().peak
        large.kill()
        large.start()
        second = large.watch(LONG)
        seconds = time.monotonic() - began
        large.start()
        third = large.watch(LONG)
    growth = server.memory().peak - there
    facts = {"words": words[0], "files": FILES, "few": base, "first": first, "second": second}
    facts |= {"third": third, "server": there, "server_growth": growth, "seconds": seconds}
    record({**facts, "again": time.monotonic() - began - seconds})
    with Client(server.url, state_dir=tmp_path / "reader") as reader:
        found = sum(1 for _ in reader.names("many/"))
    assert found == FILES
    assert max(first, second, third) - base < GROWTH, facts
    assert growth < GROWTH_THERE, facts
