"""How fast does a range of a file go out, beside a bare sendfile loop? Interleaved.

    python bench/sendfile.py [--mib 1024] [--rounds 10]

bare      a plain socket server: blocking os.sendfile in a loop
direct    uvicorn with our protocol, the `towpath.sendfile` message
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
FILE = Path("/dev/shm/towpath-bench-out")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def serve_bare(listener: socket.socket, size: int) -> None:
    """The yardstick."""
    descriptor = os.open(FILE, os.O_RDONLY)
    while True:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(HEAD % size)
        at = 0
        while at < size:
            at += os.sendfile(connection.fileno(), descriptor, at, size - at)
        connection.close()


def serve_direct(listener: socket.socket, size: int) -> None:
    """Ours."""
    import uvicorn

    from towpath.web import contract
    from towpath.web.limits import WireLimits
    from towpath.web.registry import Registry

    descriptor = os.open(FILE, os.O_RDONLY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        message = {"type": "towpath.sendfile", "fd": descriptor, "offset": 0, "count": size}
        await send(message)

    http: Any = contract.http_class(Registry(WireLimits(), ThreadPoolExecutor(4)))
    config = uvicorn.Config(app, http=http, loop="uvloop", lifespan="off", log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


def fetch(port: int, mib: int) -> float:
    """Receive it once; return GiB/s."""
    view, left = memoryview(bytearray(4 * MIB)), mib * MIB
    with socket.create_connection(("127.0.0.1", port)) as client:
        began = time.perf_counter()
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while left > 0 and (count := client.recv_into(view)):
            left -= count
        took = time.perf_counter() - began
    return mib / 1024 / took


def main() -> None:
    """Read the command line, start both, fetch from each in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--serve", nargs=2)
    given = parser.parse_args()
    if given.serve:
        serve = serve_bare if given.serve[0] == "bare" else serve_direct
        serve(socket.socket(fileno=int(given.serve[1])), given.mib * MIB)
        return
    with FILE.open("wb") as file:
        for _ in range(given.mib):
            file.write(bytes(MIB))
    servers, ports, speeds = [], {}, dict[str, list[float]]()
    try:
        for way in ("bare", "direct"):
            listener = socket.create_server(("127.0.0.1", 0))
            number = str(listener.fileno())
            command = [sys.executable, __file__, "--mib", str(given.mib), "--serve", way, number]
            servers.append(subprocess.Popen(command, pass_fds=[int(number)]))
            ports[way] = listener.getsockname()[1]
            listener.close()
            fetch(ports[way], given.mib)
        for number_of_round in range(given.rounds):
            for way in sorted(ports, reverse=number_of_round % 2 == 1):
                speeds.setdefault(way, []).append(fetch(ports[way], given.mib))
    finally:
        for server in servers:
            server.send_signal(signal.SIGKILL)
            server.wait()
        FILE.unlink()
    best, median = max(speeds["bare"]), statistics.median(speeds["bare"])
    print(f"{'way':<8} {'best':>6} {'median':>7} {'of best':>8} {'of median':>10}")
    for way, those in sorted(speeds.items()):
        top, middle = max(those), statistics.median(those)
        print(f"{way:<8} {top:6.2f} {middle:7.2f} {top / best:8.2f} {middle / median:10.2f}")


if __name__ == "__main__":
    main()
