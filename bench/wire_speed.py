"""A far server over connections that break: the client by itself beside one connection, in turns.

    python -m bench wire_speed [--mib 256] [--rounds 3] [--seed 1]

Each connection carries 4 MiB a round trip of 250 ms, and each MiB resets its connection with
p = 0.01 (towpath.testing.wire). The file goes up, then comes down. Prints the seconds of each
(best, median), the ratios of the medians, and what travelled in all for each byte of the file. Ends
with 1 if a ratio is below 4.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

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


class Took(NamedTuple):
    """Seconds, and bytes on the wire for each of the file."""

    seconds: float
    wire: float


def carry(server: Server, file: Path, connections: int | None, seed: str) -> dict[str, Took]:
    """Upload once, and download that."""
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as state,
        threaded(Wire("127.0.0.1", server.port, plan=breaking(seed, FAR, ODDS))) as wire,
        Client(
            f"http://127.0.0.1:{wire.port}", state_dir=state, connections=connections, retries=50
        ) as client,
    ):
        began = time.perf_counter()
        up = client.upload(file).result()
        sent = Took(time.perf_counter() - began, wire.up / up.length)
        before, began = wire.down, time.perf_counter()
        down = client.download(up.name, Path(state) / "back").result()
        came = Took(time.perf_counter() - began, (wire.down - before) / up.length)
        if not (up.verified and down.verified):
            raise AssertionError(f"not verified: {up} {down}")
        client.remove(up.name)
        return {"up": sent, "down": came}


def main(arguments: list[str]) -> int:
    """Read the command line, carry the file each way in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench wire_speed", description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", default="1")
    given = parser.parse_args(arguments)
    took: dict[tuple[str, str], list[Took]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as folder,
        Server(Path(folder) / "data", command=towpath_serve()) as server,
    ):
        file = Pattern("wire speed").write(Path(folder) / "file.bin", given.mib * MIB)
        for number in range(given.rounds):
            for name, connections in WAYS.items():
                seed = f"{given.seed}/{number}"
                for way, found in carry(server, file, connections, seed).items():
                    took.setdefault((way, name), []).append(found)
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    print(f"python -m bench wire_speed {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"{'way':<22} {'best':>8} {'median':>8} {'on the wire':>12}")
    medians = {}
    for (way, name), all_of in sorted(took.items(), reverse=True):
        seconds = [each.seconds for each in all_of]
        medians[way, name] = statistics.median(seconds)
        wire = statistics.median(each.wire for each in all_of)
        label = f"{way}, {name}"
        print(f"{label:<22} {min(seconds):7.1f}s {medians[way, name]:7.1f}s {wire:12.3f}")
    one, many = WAYS
    return judged(
        [
            at_least(
                f"{way}, by itself beside one connection, by the median",
                medians[way, one] / medians[way, many],
                AS_FAST,
            )
            for way in ("up", "down")
        ]
    )
