"""One upload by 8 connections beside one connection, with SHA-256 and without, interleaved.

    python -m bench parallel [--mib 1024] [--rounds 9] [--chunk 64] [--data FOLDER]

1 sha-256    one connection, one range, the digest computed on the way: the yardstick
8 sha-256    8 connections, each takes the next chunk of the file
8 eighths    8 connections, an eighth of the file each, as a client that cuts a file in parts does
1, 8         the same as the first two without a digest

Prints MiB/s (best, median), the ratio of the bests to the yardstick, and what share of the upload's
time passed between the last but one byte and the answer to the last: what completion adds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import machine
from bench.rounds import AT_MOST, MIB
from towpath.testing.pattern import Pattern
from towpath.testing.rawhttp import Answer, Line
from towpath.testing.server import Server, towpath_serve


@dataclass(frozen=True, slots=True)
class Way:
    """How one upload is carried. `chunk` is in bytes."""

    name: str
    connections: int
    chunk: int
    wants: tuple[str, ...]


def ways(length: int, chunk: int) -> list[Way]:
    """All of them, the yardstick first."""
    return [
        Way("1 sha-256", 1, length, ("sha-256",)),
        Way("8 sha-256", 8, chunk, ("sha-256",)),
        Way("8 eighths", 8, -(-length // 8), ("sha-256",)),
        Way("1", 1, length, ()),
        Way("8", 8, chunk, ()),
    ]


def ask(server: Server, method: str, path: str, body: bytes = b"") -> Answer:
    """One small request on a connection of its own."""
    parts = urlsplit(server.url)
    with Line(parts.hostname or "", parts.port or 80, timeout=120) as line:
        line.send_head(method, path, {"Content-Length": len(body), "Connection": "close"})
        line.socket.sendall(body)
        return line.answer()


def carry(server: Server, way: Way, length: int) -> tuple[float, float]:
    """Upload once and see that it is right; what was uploaded is deleted then."""
    said = json.dumps({"length": length, "wants": list(way.wants)}).encode()
    path = ask(server, "POST", "/ranges/", said).fields["location"]
    words = [sys.executable, "-m", "bench.ranges_sender", server.url, path, str(length)]
    words += [str(way.connections), str(way.chunk)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=AT_MOST, check=False)
    if done.returncode != 0:
        raise AssertionError(f"the sender failed:\n{done.stderr}\n{server.tail()}")
    digests = json.loads(ask(server, "GET", path).body)["digests"]
    if way.wants and digests["sha-256"] != Pattern().sha256(length):
        raise AssertionError(f"{way.name}: what arrived is not what was sent")
    ask(server, "DELETE", path)
    os.sync()
    whole, last = map(float, done.stdout.split())
    return whole, last


def main(arguments: list[str]) -> int:
    """Read the command line, measure each way in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench parallel", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--chunk", type=int, default=64, help="MiB of one range; each costs two commits"
    )
    parser.add_argument("--data", type=Path, help="where the server keeps its bytes")
    given = parser.parse_args(arguments)
    length = given.mib * MIB
    field = ways(length, given.chunk * MIB)
    took: dict[str, list[tuple[float, float]]] = {way.name: [] for way in field}
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=given.data) as directory,
        Server(Path(directory) / "data", command=towpath_serve()) as server,
    ):
        for number in range(given.rounds):
            order = random.Random(number).sample(field, len(field))
            for way in order:
                took[way.name].append(carry(server, way, length))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    print(f"python -m bench parallel {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; {given.mib} MiB an upload")
    print(f"{'way':<12} {'best':>7} {'median':>7} {'of best':>8} {'completion':>11} {'median':>7}")
    yardstick = min(whole for whole, _ in took[field[0].name])
    for way in field:
        wholes = [whole for whole, _ in took[way.name]]
        shares = [last / whole for whole, last in took[way.name]]
        print(
            f"{way.name:<12} {given.mib / min(wholes):7.0f}"
            f" {given.mib / statistics.median(wholes):7.0f} {yardstick / min(wholes):8.2f}"
            f" {min(shares):11.1%} {statistics.median(shares):7.1%}"
        )
    return 0
