"""How long it takes to make one upload of others: `python -m bench concatenation`.

The final upload of a thousand small parts, and that of two large ones whose bytes are holes in
their files, so that the disk need not hold them: no byte is moved, so both answer as fast. The
small ones are uploaded to the server first. Asked by POST with Upload-Concat, turn by turn, of one
server with stock settings; the clock runs from the request to its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench import report
from bench.contestants import HERE
from towpath.assemble import service
from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.core.crc import combine, crc
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.ledger.base import Update
from towpath.settings import Settings
from towpath.testing.rawhttp import Line
from towpath.testing.rawtus import VERSION, RawTus
from towpath.testing.server import Server
from towpath.web.service import Service

GIB = 1024**3


def crc_of_zeros(length: int) -> int:
    """CRC64NVME of so many zeros, by doubling."""
    value, have = 0, 0
    piece, size = crc(bytes(1)), 1
    while have < length:
        if length & size:
            value, have = combine(value, piece, size), have + size
        piece, size = combine(piece, piece, size), size * 2
    return value


def small_part(line: Line) -> str:
    """A complete partial upload of one byte, uploaded."""
    fields = {
        **VERSION,
        "Upload-Concat": "partial",
        "Upload-Length": "1",
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": "1",
    }
    line.send_head("POST", "/files/", fields)
    line.socket.sendall(b"x")
    answer = line.answer()
    if answer.status != 201:
        raise AssertionError(answer)
    return answer.fields["location"].rpartition("/")[2]


async def large_part(running: Service, length: int) -> str:
    """A complete partial upload of zeros, whose file is a hole."""
    engine = running.engine
    made = await engine.create(ANONYMOUS, NewUpload(length=length, partial=True, dialect="tus"))
    (path,) = running.settings.data.rglob(f"{made.id}*")
    with path.open("r+b") as file:
        os.ftruncate(file.fileno(), 0)  # gives back what was set aside for it
        os.ftruncate(file.fileno(), length)
    row = await engine.do(running.ledger.get, Upload, made.id)
    if not isinstance(row, Upload):
        raise TypeError(row)
    whole = replace(row, offset=length, crc=crc_of_zeros(length), state=UploadState.FILLED)
    await engine.do(running.ledger.commit, [Update(whole)])
    await engine.complete(ANONYMOUS, made.id)
    return made.id


async def large_parts(data: Path, sizes: list[int]) -> list[str]:
    """Complete partial uploads in a data directory."""
    running = service(Settings(data=data, min_free=0))
    try:
        return [await large_part(running, size) for size in sizes]
    finally:
        await running.end()


def ask(tus: RawTus, keys: list[str]) -> float:
    """Seconds until the final upload is answered; it is deleted then, outside the clock."""
    urls = " ".join(f"/files/{key}" for key in keys)
    fields = {**VERSION, "Upload-Concat": f"final;{urls}", "Content-Length": "0"}
    with tus.line() as line:
        begun = time.perf_counter()
        answer = line.ask("POST", "/files/", fields)
        seconds = time.perf_counter() - begun
        if answer.status != 201:
            raise AssertionError(answer)
        head = line.ask("HEAD", answer.fields["location"], VERSION)
        if head.fields["upload-offset"] != head.fields["upload-length"]:
            raise AssertionError(f"it is not complete: {head}")
        line.ask("DELETE", answer.fields["location"], VERSION)
    return seconds


def main(arguments: list[str]) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench concatenation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parts", type=int, default=1000, help="how many small ones")
    parser.add_argument("--size", type=int, default=20, help="GiB of each of the two large ones")
    parser.add_argument("--data", type=Path, help="where the server keeps its bytes")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    times: dict[str, list[float]] = {"small": [], "large": []}
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as name:
        data = Path(name) / "data"
        large = asyncio.run(large_parts(data, [asked.size * GIB] * 2))
        with Server(data) as server:
            tus = RawTus(server.url)
            with tus.line() as line:
                small = [small_part(line) for _ in range(asked.parts)]
            which = {"large": large, "small": small}
            for _ in range(asked.rounds):
                for kind, some in which.items():
                    times[kind].append(ask(tus, some))
    rows = {
        f"{asked.parts} parts of 1 byte": times["small"],
        f"2 parts of {asked.size} GiB": times["large"],
    }
    for who, found in rows.items():
        best, median = min(found) * 1000, statistics.median(found) * 1000
        print(f"{who:24}  best {best:8.2f} ms  median {median:8.2f} ms")
    ratio = statistics.median(times["small"]) / statistics.median(times["large"])
    print(f"ratio of medians {ratio:.2f}")
    facts = {"machine": report.machine(), "rounds": asked.rounds, "seconds": rows, "ratio": ratio}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "concatenation.json").write_text(json.dumps(facts, indent=1))
    return 0
