"""`towpath put` beside tuspy, resumable-upload, `curl -T` and a bare loop: one file, one server.

    python -m bench clients [--mib 1024] [--rounds 9] [--data FOLDER]

towpath            the command as it is: it compares a digest of what arrived with what it read
towpath by one     the same with --connections 1
tuspy, tuspy 8M    tuspy with its own chunk size (the whole file in memory), and with 8 MiB
resumable-upload   with its own chunk size (1 MiB, SHA-1 of each), and 8 MiB without checksums
curl               curl -T
loop               read a block, sendall it: one PUT, nothing else

Each is a process of its own, its start included, with its byte code compiled, as installed; all go
to one Towpath, in turns. Prints MiB/s (best, median), towpath's best over each one's, CPU seconds
of the client (lowest) and those over the loop's; then the same without what the process needs to
send one byte, which is its start.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import machine
from bench.rounds import AT_MOST, MIB
from towpath.client import Client
from towpath.testing.server import TOWPATH, Server

TUSPY = """
import sys
from tusclient.client import TusClient
base, path, chunk = sys.argv[1:]
more = {"chunk_size": int(chunk)} if int(chunk) else {}
TusClient(base + "/files/").uploader(path, metadata={"filename": "file"}, **more).upload()
"""
RESUMABLE = """
import sys
from resumable_upload import TusClient
base, path, chunk = sys.argv[1:]
more = {"chunk_size": int(chunk), "checksum": False} if int(chunk) else {}
TusClient(base + "/files/", **more).upload_file(path, metadata={"filename": "file"})
"""
LOOP = """
import os, socket, sys
host, port, path = sys.argv[1:]
with socket.create_connection((host, int(port))) as line, open(path, "rb", buffering=0) as file:
    size = os.fstat(file.fileno()).st_size
    line.sendall(f"PUT /names/loop HTTP/1.1\\r\\nHost: {host}:{port}\\r\\nConnection: close\\r\\n"
                 f"Content-Length: {size}\\r\\n\\r\\n".encode())
    block = memoryview(bytearray(1 << 20))
    while count := file.readinto(block):
        line.sendall(block[:count])
    answer = line.recv(65536)
sys.exit(not answer.startswith(b"HTTP/1.1 201"))
"""


def ways(server: Server, file: Path, state: Path) -> dict[str, list[str]]:
    """The command of each."""
    python = [sys.executable, "-c"]
    base, path = server.url, str(file)
    address = urlsplit(base)
    put = [*TOWPATH, "put", "--url", base, "--progress", "none", path, "put"]
    found = {
        "towpath": ["env", f"XDG_STATE_HOME={state}", *put],
        "towpath by one": ["env", f"XDG_STATE_HOME={state}", *put, "--connections", "1"],
        "tuspy": [*python, TUSPY, base, path, "0"],
        "tuspy 8M": [*python, TUSPY, base, path, str(8 * MIB)],
        "resumable-upload": [*python, RESUMABLE, base, path, "0"],
        "resumable-upload 8M": [*python, RESUMABLE, base, path, str(8 * MIB)],
        "loop": [*python, LOOP, str(address.hostname), str(address.port), path],
    }
    if curl := shutil.which("curl"):
        found["curl"] = [curl, "-sSf", "-o", os.devnull, "-T", path, f"{base}/names/curl"]
    else:
        print("==> curl is missing: it is not measured.", file=sys.stderr)
    return found


def run(command: Sequence[str], clean: Callable[[], None], compiled: Path) -> tuple[float, float]:
    """Upload once: seconds, and CPU seconds of the client. `compiled`: where byte code is kept."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own["PYTHONPYCACHEPREFIX"] = str(compiled)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=AT_MOST, check=False, env=own
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise AssertionError(f"{command[:3]} failed with {done.returncode}:\n{done.stderr}")
    clean()
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: list[str]) -> int:
    """Read the command line, run each in turn, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench clients", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="names, with commas")
    parser.add_argument("--data", type=Path, help="where the server keeps its bytes")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=given.data) as directory,
        Server(Path(directory) / "data") as server,
        Client(server.url, state_dir=Path(directory) / "state") as client,
    ):
        file = Path(directory) / "file"
        with file.open("wb") as out:
            for _ in range(given.mib):
                out.write(os.urandom(MIB))

        def clean() -> None:
            for each in list(client.names("")):
                client.remove(each.path)
            os.sync()

        state, compiled = Path(directory) / "put", Path(directory) / "compiled"
        byte = Path(directory) / "byte"
        byte.write_bytes(b"1")
        commands, starts = ways(server, file, state), ways(server, byte, state)
        if given.only:
            commands = {name: commands[name] for name in given.only.split(",")}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        started: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for name in commands:
            run(starts[name], clean, compiled)  # compiles
        for number in range(given.rounds):
            for name in random.Random(number).sample(list(commands), len(commands)):
                started[name].append(run(starts[name], clean, compiled))
                took[name].append(run(commands[name], clean, compiled))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    print(f"python -m bench clients {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; {given.mib} MiB a file")
    report(took, started, given.mib)
    return 0


def report(
    took: dict[str, list[tuple[float, float]]],
    started: dict[str, list[tuple[float, float]]],
    mib: int,
) -> None:
    """The table."""
    print(
        f"{'client':<20} {'best':>6} {'median':>7} {'towpath is':>11} {'CPU s':>6} {'of loop':>8}"
        f" {'started':>8} {'of loop':>8}"
    )
    best = {name: min(seconds for seconds, _ in samples) for name, samples in took.items()}
    cpu = {name: min(each for _, each in samples) for name, samples in took.items()}
    start = {name: min(each for _, each in samples) for name, samples in started.items()}
    own = {name: cpu[name] - start[name] for name in took}
    for name, samples in took.items():
        median = statistics.median(seconds for seconds, _ in samples)
        times = best[name] / best["towpath"] if "towpath" in best else float("nan")
        share = cpu[name] / cpu["loop"] if "loop" in cpu else float("nan")
        after = own[name] / own["loop"] if "loop" in cpu else float("nan")
        print(
            f"{name:<20} {mib / best[name]:6.0f} {mib / median:7.0f} {times:10.2f}x"
            f" {cpu[name]:6.2f} {share:8.2f} {own[name]:8.2f} {after:8.2f}"
        )
