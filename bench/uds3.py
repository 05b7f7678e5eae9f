"""Memory and speed of `towpath.uds3` in process: `python -m bench uds3`.

    python -m bench uds3 [--size 1024] [--rounds 3] [--data FOLDER]

Each upload is made by a process of its own into a data folder of its own, with stock settings: it
is over when every byte is on the disk and was checked. What memory grew is the peak of that
process over the peak of one that uploads 64 KiB; what it holds is what is resident after the upload
beyond what was before it. Speeds stand beside the figures that callers of these interfaces were
told, and beside a plain copy of the same file that is settled at its end. Ends with 1 if memory
misses its bar; speeds are the disk's of that moment as much as ours, and have none. What is written
is removed at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from bench.bars import Bar, at_most, judged
from bench.contestants import HERE
from bench.report import machine
from bench.rounds import AT_MOST, MIB
from towpath.testing.pattern import Pattern
from towpath.uds3 import StreamingManager

SMALL = 64 * 1024
GROWTH = {10: 15.0, 20: 25.0, 50: 60.0}  # MiB that it may grow, for chunks of so many MiB
HELD = 0.01  # of the file's size
LARGE = 1024  # MiB of a file from which on that is asked for: buffers are as large for small ones
FAST = 217.0  # MiB a second, for one file of 100 MiB
TOGETHER = 1.24  # seconds, for ten files of 20 MiB at once
CHILD = "import sys; from bench import uds3; uds3.upload(*sys.argv[1:])"


def make(folder: Path, sizes: list[int]) -> list[Path]:
    """Files of so many bytes that cannot be compressed."""
    made = []
    for number, size in enumerate(sizes):
        made.append(folder / f"source-{number}")
        noise = Pattern(made[-1].name)
        with made[-1].open("wb") as file:
            for start in range(0, size, MIB):
                file.write(noise.view(start, min(MIB, size - start)))
            os.fsync(file.fileno())
    return made


def upload(chunk: str, folder: str, *sources: str) -> None:
    """In a process of its own: upload them all at once, and print what it took."""
    at_once = len(sources)
    with StreamingManager(
        chunk_size_mb=int(chunk), max_concurrent_operations=at_once, data=folder
    ) as manager:
        manager.list_operations()  # what is opened by the first call is open
        before = psutil.Process().memory_info().rss
        began, worked = time.perf_counter(), time.process_time()
        if at_once == 1:
            result = manager.upload_large_file(sources[0], "documents/")
            assert result, result["error"]
        else:
            ids = [manager.upload_file(each, "documents/") for each in sources]
            manager.wait_for_operations(ids)
        took, worked = time.perf_counter() - began, time.process_time() - worked
        held = psutil.Process().memory_info().rss - before
    facts = {"took": took, "worked": worked, "held": held / MIB, "peak": peak() / MIB}
    print(json.dumps(facts))


def peak() -> int:
    """The most that was resident of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def sample(data: Path | None, chunk: int, sizes: list[int]) -> dict[str, float]:
    """Make files, upload them, and remove everything."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=data) as directory:
        folder = Path(directory)
        sources = make(folder, sizes)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(chunk), str(folder / "data"), *map(str, sources)],
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            timeout=AT_MOST,
            check=True,
        )
        found: dict[str, float] = json.loads(done.stdout)
        found["copied"] = sum(copied(each, folder / "copy") for each in sources)
        return found


def copied(source: Path, to: Path) -> float:
    """Seconds that a plain copy takes until it is on the disk."""
    began = time.perf_counter()
    with source.open("rb") as file, to.open("wb") as out:
        shutil.copyfileobj(file, out, MIB)
        out.flush()
        os.fsync(out.fileno())
    return time.perf_counter() - began


def memory(data: Path | None, size: int) -> list[Bar]:
    """How much it grows for one large file, for chunks of each size."""
    bars = []
    print(f"{'one file, MiB':<16}{'chunks':>8}{'grew':>8}{'held':>8}   (MiB)")
    for chunk, most in GROWTH.items():
        small = sample(data, chunk, [SMALL])
        large = sample(data, chunk, [size * MIB])
        grew = large["peak"] - small["peak"]
        print(f"{size:<16}{chunk:>8}{grew:>8.1f}{large['held']:>8.1f}")
        sys.stdout.flush()
        bars.append(at_most(f"growth with chunks of {chunk} MiB", grew, most, " MiB"))
        if size >= LARGE:
            what = f"held after it with chunks of {chunk} MiB"
            bars.append(at_most(what, large["held"], HELD * size, " MiB"))
    return bars


def speeds(data: Path | None, rounds: int) -> None:
    """How fast one file and ten at once go, beside what was told and a plain copy."""
    cases: dict[str, tuple[list[int], str]] = {
        "one of 100 MiB": ([100 * MIB], f"{FAST:g} MiB/s"),
        "ten of 20 MiB": ([20 * MIB] * 10, f"{TOGETHER} s"),
    }
    for name, (sizes, told) in cases.items():
        found = [sample(data, 10, sizes) for _ in range(rounds)]
        total = sum(sizes) / MIB
        for way in ("took", "copied"):
            seconds = [each[way] for each in found]
            best, median = min(seconds), statistics.median(seconds)
            says = "a plain copy, settled"
            if way == "took":
                worked = min(each["worked"] for each in found)
                says = f"told: {told}; processor {worked:.2f} s"
            print(
                f"{name:<16} best {best:6.2f} s, {total / best:5.0f} MiB/s;"
                f" median {median:6.2f} s, {total / median:5.0f} MiB/s; {says}"
            )
        sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench uds3", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the one large file")
    parser.add_argument("--rounds", type=int, default=3, help="of each speed")
    parser.add_argument("--data", type=Path, help="where the files are")
    given: Any = parser.parse_args(arguments)
    print(f"python -m bench uds3 {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    speeds(given.data, given.rounds)
    return judged(memory(given.data, given.size))
