"""The server's resident memory against the size of the file: `python -m bench memory`.

One upload after the other, 1 MiB to 10 GiB, each on a server that has carried one small upload.
Writes JSON and a picture to bench/out/. What is uploaded is removed at once.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from bench import report
from bench.contestants import HERE, MODULES, Contestant, contestants
from bench.rounds import MIB
from towpath.testing.rawtus import VERSION, RawTus
from towpath.testing.server import TOWPATH

SIZES = (1, 10, 100, 1024, 10_240)  # MiB


@dataclass(frozen=True, slots=True)
class Point:
    """One upload: bytes resident before it and at most while it came."""

    contestant: str
    size: int
    before: int
    peak: int


def measure(contestant: Contestant, size: int, directory: Path) -> Point:
    """Upload once on a fresh server."""
    with contestant.server(directory, None) as server:
        tus = RawTus(server.url, timeout=600)
        tus.patch(tus.create(MIB // 8), 0, MIB // 8)
        before = server.memory().now
        path = tus.create(size)
        answer = tus.patch(path, 0, size)
        if answer.status != 204:
            raise AssertionError(f"not taken: {answer}")
        point = Point(contestant.name, size, before, server.memory().peak)
        with tus.line() as line:
            line.ask("DELETE", path, VERSION)
    return point


def picture(path: Path, points: list[Point]) -> None:
    """Growth over the file's size, a line for each contestant."""
    figure = Figure(figsize=(8, 4.5), layout="tight")
    axis = figure.subplots()
    for name in dict.fromkeys(point.contestant for point in points):
        mine = [point for point in points if point.contestant == name]
        axis.plot(
            [point.size / MIB for point in mine],
            [point.peak / MIB for point in mine],
            marker="o",
            label=name,
        )
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("file, MiB")
    axis.set_ylabel("peak resident memory of the server, MiB")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(path)


def main(arguments: list[str]) -> int:
    """Measure and draw."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="MiB, with commas")
    parser.add_argument("--only", default="towpath relaxed,towpath strict,@tus/server")
    parser.add_argument("--program", default="", help="instead of towpath's own command")
    parser.add_argument("--modules", type=Path, default=MODULES, help="a node_modules folder")
    parser.add_argument("--data", type=Path, help="where the servers keep their bytes")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    points = []
    for each in contestants(
        4 * MIB, shlex.split(asked.program) or TOWPATH, asked.modules.resolve()
    ):
        if each.name not in asked.only.split(","):
            continue
        for size in map(int, asked.sizes.split(",")):
            with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as directory:
                point = measure(each, size * MIB, Path(directory))
            points.append(point)
            grown = (point.peak - point.before) / MIB
            print(f"{each.name:18}{size:8} MiB: peak {point.peak / MIB:6.1f}, grown {grown:6.1f}")
    asked.out.mkdir(parents=True, exist_ok=True)
    facts = {"machine": report.machine(), "points": [asdict(point) for point in points]}
    (asked.out / "memory.json").write_text(json.dumps(facts, indent=1))
    for name in ("memory.png", "memory.svg"):
        picture(asked.out / name, points)
    return 0
