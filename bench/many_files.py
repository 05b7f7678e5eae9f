"""A folder of many small files, up, once more, and down: `python -m bench many_files`.

    python -m bench many_files [--files 2000] [--bytes 4096] [--rounds 3] [--data FOLDER]

towpath            `towpath put` and `get` of a folder, and a server with stock settings
towpath relaxed    the same with `--durability relaxed`: the server does not wait for the disk
sync               `towpath sync` to the same servers, and back
rclone             `rclone copy` to `rclone serve webdav` and back; nobody there waits for the disk

Each command is a process of its own, its start included; all are run in turns. "again" is the same
command once more, when nothing has changed. Prints files a second (best, median), and the
processor seconds of client and server for a thousand files, up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestants import HERE
from bench.report import machine
from bench.rounds import AT_MOST
from towpath.testing.server import TOWPATH, Server, towpath_serve

RCLONE = Path(sys.executable).with_name("rclone")
WAYS = ("up", "again", "down")
IN_A_FOLDER = 500


@dataclass
class Contestant:
    """A server, and the commands that go to it. {name}: of the folder there; {here}, {back}."""

    server: Server
    up: Sequence[str]
    down: Sequence[str]
    took: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    cpu: list[tuple[float, float]] = field(default_factory=list)  # of the client, of the server

    def run(self, words: Sequence[str], places: dict[str, str], state: Path) -> float:
        """Run one of the commands; the seconds that it took."""
        command = [word.format(url=self.server.url, **places) for word in words]
        began = time.perf_counter()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=AT_MOST,
            check=False,
            env=os.environ | {"XDG_STATE_HOME": str(state)},
        )
        took = time.perf_counter() - began
        if done.returncode != 0:
            raise AssertionError(f"{command} failed:\n{done.stderr[-2000:]}\n{self.server.tail()}")
        return took


def fill(folder: Path, files: int, size: int) -> None:
    """Make the files: random bytes, no two alike."""
    draw = random.Random(1)
    for number in range(files):
        within = folder / f"{number // IN_A_FOLDER:03}"
        within.mkdir(parents=True, exist_ok=True)
        (within / f"file {number:06}.dat").write_bytes(draw.randbytes(size))


def contestants(directory: Path, stack: ExitStack) -> dict[str, Contestant]:
    """All that can start here, started."""
    put = (*TOWPATH, "put", "--url", "{url}", "--progress", "none", "{here}", "--to", "{name}")
    get = (*TOWPATH, "get", "--url", "{url}", "--progress", "none", "{name}/", "--to", "{back}/")
    to = (*TOWPATH, "sync", "--url", "{url}", "--progress", "none", "{here}", ":sync-{name}")
    fro = (*TOWPATH, "sync", "--url", "{url}", "--progress", "none", ":sync-{name}", "{back}")
    strict = stack.enter_context(Server(directory / "strict"))
    relaxed = stack.enter_context(
        Server(directory / "relaxed", command=towpath_serve("--durability", "relaxed"))
    )
    found = {
        "towpath": Contestant(strict, put, get),
        "towpath relaxed": Contestant(relaxed, put, get),
        "sync": Contestant(strict, to, fro),
        "sync relaxed": Contestant(relaxed, to, fro),
    }
    if RCLONE.exists():

        def serve(port: int, data: Path) -> Sequence[str]:
            data.mkdir(exist_ok=True)
            where = ["--addr", f"127.0.0.1:{port}"]
            return [str(RCLONE), "--config", os.devnull, "serve", "webdav", *where, str(data)]

        webdav = Server(directory / "rclone", command=serve, alive_path="/")
        copy = (str(RCLONE), "--config", os.devnull, "--webdav-url", "{url}", "copy")
        found["rclone"] = Contestant(
            stack.enter_context(webdav),
            (*copy, "{here}", ":webdav:{name}"),
            (*copy, ":webdav:{name}", "{back}"),
        )
    else:
        print("NOT RUN: rclone: it is not installed.", file=sys.stderr)
    return found


def measure(each: Contestant, number: int, here: Path, directory: Path) -> None:
    """One round of one of them."""
    name, state = f"round-{number}", directory / "state"
    with tempfile.TemporaryDirectory(dir=directory) as back:
        places = {"here": str(here), "name": name, "back": back}
        before, served = _cpu(), each.server.cpu_seconds()
        for way, words in zip(WAYS, (each.up, each.up, each.down), strict=True):
            each.took[way].append(each.run(words, places, state))
            if way == "up":
                each.cpu.append((_cpu() - before, each.server.cpu_seconds() - served))
        files = sum(path.is_file() for path in Path(back).rglob("*"))
        wanted = sum(path.is_file() for path in here.rglob("*"))
        if files != wanted:
            raise AssertionError(f"{files} of {wanted} files came back")
    os.sync()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str]) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench many_files", description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=4096, help="of each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names, with commas")
    parser.add_argument("--data", type=Path, help="where the files and the servers' bytes are")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as name,
        ExitStack() as stack,
    ):
        directory = Path(name)
        here = directory / "folder"
        fill(here, asked.files, asked.bytes)
        found = contestants(directory, stack)
        if asked.only:
            found = {each: found[each] for each in asked.only.split(",")}
        for number in range(asked.rounds):
            for each in random.Random(number).sample(list(found), len(found)):
                measure(found[each], number, here, directory)
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    print(f"python -m bench many_files {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; {asked.files} files of {asked.bytes} bytes")
    report(found, asked.files)
    asked.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "machine": machine(),
        "files": asked.files,
        "bytes": asked.bytes,
        "seconds": {each: one.took for each, one in found.items()},
        "cpu": {each: one.cpu for each, one in found.items()},
    }
    (asked.out / "many_files.json").write_text(json.dumps(facts, indent=1))
    return 0


def report(found: dict[str, Contestant], files: int) -> None:
    """The table: files a second."""
    head = "".join(f"{way:>9}{'median':>9}" for way in WAYS)
    print(f"{'files/s':<18}{head}{'CPU/1000':>10}{'server':>8}")
    for name, each in found.items():
        speeds = "".join(
            f"{files / min(each.took[way]):9.0f}{files / statistics.median(each.took[way]):9.0f}"
            for way in WAYS
        )
        client, server = (min(times) * 1000 / files for times in zip(*each.cpu, strict=True))
        print(f"{name:<18}{speeds}{client:10.2f}{server:8.2f}")
