"""A far server over connections that break: the client by itself beside one connection, in turns.

    python -m bench wire_speed [--mib 256] [--rounds 3] [--seed 1]

Each connection carries 4 MiB a round trip of 250 ms, and each MiB resets its connection with
p = 0.01 (towpath.testing.wire). Prints the seconds of each way (best, median), the ratio of the
medians, and what travelled in all for each byte of the file. Ends with 1 if that ratio is below 4.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.bars import at_least, judged
from bench.report import machine
from towpath.client import Client
from towpath.testing.pattern import Pattern
from towpath.testing.plan import Lane, breaking
from towpath.testing.server import Server, towpath_serve
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
ROUND_TRIP = 0.25  # seconds
WINDOW = 4 * MIB
PIECE = 256 * 1024  # what a wire takes at once
ODDS = 0.01
AS_FAST = 4.0  # times, by itself beside one connection
FAR = Lane(latency=ROUND_TRIP / 2, rate=WINDOW / ROUND_TRIP, pieces=WINDOW // PIECE)
WAYS: dict[str, int | None] = {"one connection": 1, "by itself": None}


def carry(server: Server, file: Path, connections: int | None, seed: str) -> tuple[float, float]:
    """Upload once; seconds, and bytes on the wire for each of the file."""
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as state,
        threaded(Wire("127.0.0.1", server.port, plan=breaking(seed, FAR, ODDS))) as wire,
        Client(
            f"http://127.0.0.1:{wire.port}", state_dir=state, connections=connections, retries=50
        ) as client,
    ):
        began = time.perf_counter()
        up = client.upload(file).result()
        seconds = time.perf_counter() - began
        if not up.verified:
            raise AssertionError(f"not verified: {up}")
        client.remove(up.name)
        return seconds, wire.up / up.length


def main(arguments: list[str]) -> int:
    """Read the command line, carry the file each way in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench wire_speed", description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", default="1")
    given = parser.parse_args(arguments)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as folder,
        Server(Path(folder) / "data", command=towpath_serve()) as server,
    ):
        file = Pattern("wire speed").write(Path(folder) / "file.bin", given.mib * MIB)
        for number in range(given.rounds):
            for name, connections in WAYS.items():
                seed = f"{given.seed}/{number}"
                took[name].append(carry(server, file, connections, seed))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    print(f"python -m bench wire_speed {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"{'way':<16} {'best':>8} {'median':>8} {'on the wire':>12}")
    medians = []
    for name, all_of in took.items():
        seconds = [each for each, _ in all_of]
        medians.append(statistics.median(seconds))
        wire = statistics.median(each for _, each in all_of)
        print(f"{name:<16} {min(seconds):7.1f}s {medians[-1]:7.1f}s {wire:12.3f}")
    ratio = medians[0] / medians[1]
    print(f"by itself is {ratio:.1f} times as fast")
    return judged([at_least("by itself beside one connection, by the median", ratio, AS_FAST)])
