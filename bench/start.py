"""What starting costs: Python, the checksums, the command, and an upload of one byte.

    python -m bench start [--rounds 25]

python     python -c pass
awscrt     import awscrt.checksums
checksums  import towpath.core.crc, which has the same functions
stands on  import asyncio, click, h11: what the command stands on
command    towpath version
byte       towpath put of one byte

Each is a process, its byte code compiled, in turns. Prints milliseconds, of the clock and of CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bench.clients import run
from bench.report import machine
from towpath.client import Client
from towpath.testing.server import TOWPATH, Server


def main(arguments: list[str]) -> int:
    """Read the command line, run each in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args(arguments)
    python = [sys.executable, "-c"]
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as directory,
        Server(Path(directory) / "data") as server,
        Client(server.url, state_dir=Path(directory) / "state") as client,
    ):
        byte, state = Path(directory) / "byte", Path(directory) / "put"
        byte.write_bytes(b"1")
        put = [*TOWPATH, "put", "--url", server.url, "--progress", "none", str(byte)]
        commands = {
            "python": [*python, "pass"],
            "awscrt": [*python, "import awscrt.checksums"],
            "checksums": [*python, "import towpath.core.crc"],
            "stands on": [*python, "import asyncio, click, h11"],
            "command": [*TOWPATH, "version"],
            "byte": ["env", f"XDG_STATE_HOME={state}", *put, "put"],
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}

        def clean() -> None:
            for each in list(client.names("")):
                client.remove(each.path)

        for number in range(given.rounds + 1):
            for name, command in commands.items():
                each = run(command, clean, Path(directory) / "compiled")
                if number:  # the first one compiles
                    took[name].append(each)
    print(f"python -m bench start {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"{'':<10} {'best':>7} {'median':>7} {'CPU':>7} {'median':>7}   milliseconds")
    for name, samples in took.items():
        figures = [f(each) for each in zip(*samples, strict=True) for f in (min, statistics.median)]
        print(f"{name:<10}", *(f"{1000 * each:7.0f}" for each in figures))
    return 0
