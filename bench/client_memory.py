"""The client's resident memory against the size of the file, plain and coded, up and down.

    python -m bench client_memory [--sizes 64,256,2048] [--ways plain,both] [--data FOLDER]

Each `put` and `get` is a process of its own; what it grew is its peak over that of the same command
for a file of 64 KiB. The budget of memory is the default, 32 MiB. Half of each file can be
compressed. Ends with 1 if any grew by more than 48 MiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.bars import at_most, judged
from bench.report import machine
from bench.rounds import MIB
from towpath.codec.keys import KeyFile
from towpath.testing.pattern import Pattern
from towpath.testing.program import Program
from towpath.testing.server import TOWPATH, Server

SIZES = (64, 256, 2048)  # MiB
SMALL = 64 * 1024
GROWTH = 48.0  # MiB that a client may grow over what it takes for a small file
AT_MOST = 900.0  # seconds of one command
RUN = 8  # MiB of one kind in a file, then of the other
KEY = ("--key-file", "key")
WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": ((), ()),
    "compressed": (("--compress",), ()),
    "encrypted": (KEY, KEY),
    "both": (("--compress", *KEY), KEY),
}


def make(path: Path, length: int) -> None:
    """Write a file that becomes shorter by compression in every other part."""
    noise = Pattern(path.name)
    text = b"".join(b"%d," % number for number in range(10_000_000, 10_200_000))[:MIB]
    with path.open("wb") as file:
        for number in range(-(-length // MIB)):
            size = min(MIB, length - number * MIB)
            file.write(noise.view(number * MIB, size) if number // RUN % 2 else text[:size])


def peaks(folder: Path, server: Server, way: str, length: int) -> tuple[int, int]:
    """The most that was resident while a file of that length went up, and came down again."""
    source, copy = folder / "source", folder / "copy"
    make(source, length)
    up, down = WAYS[way]
    found = []
    for said in (["put", str(source), "file", *up], ["get", "file", str(copy), *down]):
        words = [str(folder / word) if word == "key" else word for word in said]
        where = {"TOWPATH_URL": server.url, "XDG_STATE_HOME": str(folder / "state")}
        command = [*TOWPATH, *words, "--progress", "none"]
        with Program(command, log=folder / "client.log", environment=where) as client:
            found.append(client.watch(AT_MOST))
    where = {"TOWPATH_URL": server.url}
    with Program([*TOWPATH, "rm", "file"], log=folder / "rm.log", environment=where) as client:
        client.wait(AT_MOST)
    source.unlink()
    copy.unlink()
    return found[0], found[1]


def main(arguments: list[str]) -> int:
    """Read the command line, measure each way and size, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench client_memory", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="MiB, with commas")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--data", type=Path, help="where server and files are")
    given = parser.parse_args(arguments)
    print(f"python -m bench client_memory {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"{'way':<12} {'MiB':>6} {'up grew':>8} {'down grew':>9}   (MiB)")
    most = 0.0
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=given.data) as directory:
        folder = Path(directory)
        (folder / "key").write_text(KeyFile.new().text())
        (folder / "key").chmod(0o600)
        with Server(folder / "data") as server:
            for way in given.ways.split(","):
                small = peaks(folder, server, way, SMALL)
                for size in map(int, given.sizes.split(",")):
                    up, down = peaks(folder, server, way, size * MIB)
                    grew = [(up - small[0]) / MIB, (down - small[1]) / MIB]
                    print(f"{way:<12} {size:>6} {grew[0]:>8.1f} {grew[1]:>9.1f}")
                    sys.stdout.flush()
                    most = max(most, *grew)
    return judged([at_most("the most that any grew", most, GROWTH, " MiB")])
