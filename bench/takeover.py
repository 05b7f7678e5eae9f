"""How long a claim takes: `python -m bench takeover`.

A PATCH has sent some bytes and stalls, its connection open. A HEAD on another connection must end
it, make what has arrived durable and tell the true offset. The clock runs from the HEAD to its
answer. Beside it, turn by turn in the same run and on the same disk, the least that this can cost:
fdatasync of the same bytes and one commit of SQLite with WAL and synchronous=FULL.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import report
from bench.contestants import HERE, MODULES, contestants
from bench.rounds import MIB
from towpath.testing.pattern import Pattern
from towpath.testing.rawtus import VERSION, RawTus
from towpath.testing.server import TOWPATH

LENGTH = 64 * MIB  # of an upload that never ends


@contextlib.contextmanager
def ledger(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with one row that counts."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=full")
        database.execute("create table upload (id integer primary key, offset integer)")
        database.execute("insert into upload values (1, 0)")
        yield database


def floor(directory: Path, database: sqlite3.Connection, size: int, stall: float) -> float:
    """Seconds of an fdatasync of so many bytes and of a commit."""
    path = directory / "floor"
    with path.open("wb", buffering=0) as file:
        for view in Pattern().views(0, size):
            file.write(view)
        time.sleep(stall)
        begun = time.perf_counter()
        os.fdatasync(file.fileno())
        database.execute("update upload set offset = offset + ? where id = 1", (size,))
        seconds = time.perf_counter() - begun
    path.unlink()
    return seconds


def claim(tus: RawTus, size: int, stall: float) -> float:
    """Seconds from the HEAD to the true offset."""
    path = tus.create(LENGTH)
    with tus.open_patch(path, 0, LENGTH) as patch:
        patch.send(size)
        time.sleep(stall)
        begun = time.perf_counter()
        offset = tus.offset(path)
        seconds = time.perf_counter() - begun
    if offset != size:
        raise AssertionError(f"HEAD told {offset}, and {size} bytes had been sent")
    with tus.line() as line:
        line.ask("DELETE", path, VERSION)
    return seconds


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main(arguments: list[str]) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench takeover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--size", type=int, default=4 * MIB, help="bytes sent before the stall")
    parser.add_argument("--stall", type=float, default=0.1, help="seconds before the HEAD")
    parser.add_argument("--only", default="towpath strict", help="which contestant")
    parser.add_argument("--program", default="", help="instead of towpath's own command")
    parser.add_argument("--modules", type=Path, default=MODULES, help="a node_modules folder")
    parser.add_argument("--data", type=Path, help="where the servers keep their bytes")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    program = shlex.split(asked.program) or TOWPATH
    everybody = contestants(8 * MIB, program, asked.modules.resolve())
    contestant = next(each for each in everybody if each.name == asked.only)
    claims: list[float] = []
    floors: list[float] = []
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as name:
        directory = Path(name)
        with contestant.server(directory, None) as server, ledger(directory / "floor.db") as base:
            tus = RawTus(server.url)
            for _ in range(asked.rounds):
                claims.append(claim(tus, asked.size, asked.stall))
                floors.append(floor(directory, base, asked.size, asked.stall))
    table = {
        who: {f"p{round(share * 100)}": quantile(times, share) * 1000 for share in (0.5, 0.99)}
        for who, times in ((asked.only, claims), ("fdatasync + commit", floors))
    }
    for who, row in table.items():
        print(f"{who:20}" + "".join(f"  {key} {value:8.2f} ms" for key, value in row.items()))
    facts = {"machine": report.machine(), "rounds": asked.rounds, "size": asked.size}
    facts |= {"milliseconds": table, "claims": claims, "floors": floors}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "takeover.json").write_text(json.dumps(facts, indent=1))
    return 0
