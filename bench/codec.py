"""Uploads that are encrypted or compressed beside a plain one, interleaved, by the client itself.

    python -m bench codec [--mib 1024] [--rounds 9] [--data FOLDER]

plain         one file, CRC64NVME compared at the end: the yardstick
encrypted     for a key file
compressed    bytes that zstd cannot shorten
both          compressed, then encrypted
text          compressed, bytes that it can shorten

Prints MiB/s of the file (best, median), the ratio of the bests to the yardstick, and what was sent.
Ends with 1 if encrypted uploads reach less than 0.7 of the yardstick.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.bars import at_least, judged
from bench.report import machine
from bench.rounds import MIB
from towpath.client import Client
from towpath.codec.keys import KeyFile
from towpath.testing.server import Server

KEY = KeyFile.new()
PLAIN = "plain"
ENCRYPTED = "encrypted"
OF_PLAIN = 0.7  # of the best rate of plain uploads, which encrypted ones reach
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    PLAIN: ("noise", {}),
    ENCRYPTED: ("noise", {"encrypt": [KEY]}),
    "compressed": ("noise", {"compress": "auto"}),
    "both": ("noise", {"compress": "auto", "encrypt": [KEY]}),
    "text": ("text", {"compress": "auto"}),
}


def sources(folder: Path, mib: int) -> dict[str, Path]:
    """The files that are sent."""
    made = {"noise": folder / "noise", "text": folder / "text"}
    line = b",".join(b"%d" % number for number in range(10_000_000, 10_200_000))[:MIB]
    with made["noise"].open("wb") as noise, made["text"].open("wb") as text:
        for _ in range(mib):
            noise.write(os.urandom(MIB))
            text.write(line)
    return made


def carry(client: Client, path: Path, options: dict[str, Any]) -> tuple[float, int]:
    """Upload once; seconds, and bytes over the wire. What was uploaded is removed then."""
    began = time.perf_counter()
    done = client.upload(path, "bench/file", restart=True, **options).result()
    took = time.perf_counter() - began
    if not done.verified:
        raise AssertionError("what arrived was not compared with what was sent")
    client.remove(done.name)  # the record of its keys goes with it
    if left := [each.path for each in client.names("bench/")]:
        raise AssertionError(f"not removed: {left}")
    os.sync()
    return took, done.sent_bytes


def main(arguments: list[str]) -> int:
    """Read the command line, measure each way in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench codec", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data", type=Path, help="where the server keeps its bytes")
    given = parser.parse_args(arguments)
    took: dict[str, list[tuple[float, int]]] = {name: [] for name in WAYS}
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=given.data) as directory,
        Server(Path(directory) / "data") as server,
        Client(server.url, state_dir=Path(directory) / "state") as client,
    ):
        files = sources(Path(directory), given.mib)
        for number in range(given.rounds):
            for name in random.Random(number).sample(list(WAYS), len(WAYS)):
                source, options = WAYS[name]
                took[name].append(carry(client, files[source], options))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    print(f"python -m bench codec {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; {given.mib} MiB a file")
    print(f"{'way':<12} {'best':>7} {'median':>7} {'of plain':>8} {'sent':>7}")
    yardstick = min(seconds for seconds, _ in took[PLAIN])
    for name, samples in took.items():
        seconds = [each for each, _ in samples]
        print(
            f"{name:<12} {given.mib / min(seconds):7.0f}"
            f" {given.mib / statistics.median(seconds):7.0f} {yardstick / min(seconds):8.2f}"
            f" {max(sent for _, sent in samples) / given.mib / MIB:7.1%}"
        )
    ratio = yardstick / min(seconds for seconds, _ in took[ENCRYPTED])
    return judged([at_least("encrypted of plain, by the best", ratio, OF_PLAIN)])
