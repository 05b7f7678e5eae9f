"""What travels of a file that has changed: `python -m bench delta`.

A file of random bytes is uploaded by `put --delta`'s own flow, to a server with stock settings in a
process of its own. Then it is uploaded again: as it is; as it is, under another name; with one
byte put in at the middle. Bytes are those on the wire, in both directions; beside the seconds of
each stands what SHA-256 of the same file takes. Ends with 1 if more travels than
may, or if a file that is there takes longer than 1.2 times its hashing and half a second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
import time
from pathlib import Path

from bench import report
from bench.bars import Bar, at_most, judged
from bench.contestants import HERE
from bench.rounds import MIB
from towpath.client import Client
from towpath.codec.cdc import cut_for
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

LITTLE = 64 * 1024  # bytes that may travel of a file that is there
CHUNKS = 3  # average ones that may travel for one byte that was put in
HASHINGS, BESIDES = 1.2, 0.5  # times SHA-256 of it, and seconds, that a file that is there may take
SAME = ("as it is", "under another name")
MIDDLE = "one byte in the middle"


def write_file(path: Path, size: int, *, insert_at: int | None = None) -> None:
    """Random bytes, the same every time; one more of them if that is asked for."""
    draw = random.Random(1)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            block = draw.randbytes(min(MIB, size - start))
            if insert_at is not None and start <= insert_at < start + len(block):
                at = insert_at - start
                block = block[:at] + b"x" + block[at:]
            file.write(block)


def hashing(path: Path) -> float:
    """Seconds that SHA-256 of the file takes."""
    begun = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - begun


def bars(found: dict[str, dict[str, float]], average: int) -> list[Bar]:
    """What has to hold of bytes and of seconds."""
    held = []
    for what in SAME:
        held.append(at_most(f"{what}, KiB", found[what]["bytes"] / 1024, LITTLE / 1024))
        longest = HASHINGS * found[what]["sha256"] + BESIDES
        held.append(at_most(f"{what}, seconds", found[what]["seconds"], longest))
    held.append(at_most(f"{MIDDLE}, chunks", found[MIDDLE]["bytes"] / average, CHUNKS))
    return held


def main(arguments: list[str]) -> int:
    """Measure, print and write; 1 if a bar is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench delta", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the file")
    parser.add_argument("--data", type=Path, help="where the files and the server's bytes are")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    size = asked.size * MIB
    average = cut_for(size).average
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as name:
        folder = Path(name)
        path = folder / "file"
        with (
            Server(folder / "data") as server,
            threaded(Wire("127.0.0.1", server.port)) as wire,
            Client("http://{}:{}".format(*wire.address), state_dir=folder / "state") as client,
        ):

            def put(what: str, to: str) -> None:
                sha256 = min(hashing(path) for _ in range(3))
                before, begun = wire.up + wire.down, time.perf_counter()
                result = client.upload(path, to, on_conflict="replace", delta=True).result()
                seconds = time.perf_counter() - begun
                travelled = wire.up + wire.down - before
                found[what] = {"bytes": travelled, "seconds": seconds, "sha256": sha256}
                print(
                    f"{what:26} {travelled:>12,} bytes ({travelled / average:7.2f} chunks)"
                    f"  {seconds:6.2f} s  SHA-256 {sha256:5.2f} s"
                )
                if not result.verified:
                    raise AssertionError(result)

            write_file(path, size)
            put("all of it", "a")
            put(SAME[0], "a")
            put(SAME[1], "b")
            write_file(path, size, insert_at=size // 2)
            put(MIDDLE, "a")
    asked.out.mkdir(parents=True, exist_ok=True)
    facts = {"machine": report.machine(), "size": size, "average": average, "found": found}
    (asked.out / "delta.json").write_text(json.dumps(facts, indent=1))
    return judged(bars(found, average))
