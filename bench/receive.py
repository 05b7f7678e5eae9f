"""How fast can one body be received and written? Every way beside the bare loop, interleaved.

    python bench/receive.py [--mib 1024] [--rounds 10] [--target /dev/shm] [WAY ...]

A WAY is `name` or `name:block-KiB`; `name:block:wait-ms` for those that wait in a thread:

bare      blocking recv_into + pwrite in a plain socket server, no checksum: the yardstick
barecrc   the same with CRC64NVME over each block
buffered  transport switched to a BufferedProtocol, four reused blocks, an executor call a block
poll      loop's reading paused; a worker thread: non-blocking recv_into, else poll with time-out
timeout   the same with socket.settimeout instead of poll
low       like poll, with SO_RCVLOWAT so that poll wakes for 128 KiB at least
source    `towpath.web.socket_source` as the engine uses it
direct    the whole way: uvicorn, our protocol, take(), the answer
asgi      uvicorn with our protocol, the body by `towpath.web.asgi_source` over receive()
plain     the same with uvicorn untouched

With --tls only buffered, asgi and plain can take part. Prints GiB/s (best, median), the ratios of
best and median to the first way, and the CPU seconds of the server per GiB.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.receive_ways import MIB, certificate, serve

PIECE = bytes(MIB)


def send(port: int, mib: int, tls: bool) -> tuple[float, float]:
    """Send one body; return GiB/s and the server's CPU seconds so far."""
    client = socket.create_connection(("127.0.0.1", port))
    if tls:
        context = ssl.create_default_context(cafile=str(certificate()[0]))
        context.check_hostname = False
        client = context.wrap_socket(client)
    with client:
        began = time.perf_counter()
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % (mib * MIB)
        )
        for _ in range(mib):
            client.sendall(PIECE)
        answer = client.makefile("rb").read()
        took = time.perf_counter() - began
    return mib / 1024 / took, float(answer.split(b"\r\n\r\n")[1])


def measure(ways: list[str], mib: int, rounds: int, target: Path, tls: bool) -> None:
    """Start a server per way, send to each in turn, print the table."""
    servers: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    target.write_bytes(b"")
    with target.open("r+b") as file:
        for _ in range(mib):
            file.write(PIECE)
    try:
        for way in ways:
            listener = socket.create_server(("127.0.0.1", 0))
            number = listener.fileno()
            command = [sys.executable, __file__, "--serve", way, "--target", str(target)]
            command += ["--listener", str(number), *(["--tls"] if tls else [])]
            process = subprocess.Popen(command, pass_fds=[number])
            servers[way] = process, listener.getsockname()[1]
            listener.close()
            send(servers[way][1], 64, tls)
        for number in range(rounds):
            shift = number % len(ways)  # nobody always runs after the same neighbour
            for way in ways[shift:] + ways[:shift]:
                _, before = send(servers[way][1], 1, tls)
                speed, after = send(servers[way][1], mib, tls)
                speeds[way].append(speed)
                cpu[way].append((after - before) / (mib / 1024))
    finally:
        for process, _ in servers.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
    best = max(speeds[ways[0]])
    median = statistics.median(speeds[ways[0]])
    print(
        f"{'way':<20} {'best':>6} {'median':>7} {'of best':>8} {'of median':>10} {'CPU s/GiB':>10}"
    )
    for way in ways:
        top, middle = max(speeds[way]), statistics.median(speeds[way])
        print(
            f"{way:<20} {top:6.2f} {middle:7.2f} {top / best:8.2f} {middle / median:10.2f}"
            f" {statistics.median(cpu[way]):10.3f}"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--target", type=Path, default=Path("/dev/shm/towpath-bench"))
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--serve", default="")
    parser.add_argument("--listener", type=int, default=-1)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.target, given.listener, given.tls)
    else:
        ways = given.ways or ["bare", "barecrc", "buffered", "source", "direct", "plain"]
        if given.tls:
            ways = given.ways or ["buffered", "asgi", "plain"]
        measure(ways, given.mib, given.rounds, given.target, given.tls)


if __name__ == "__main__":
    main()
