"""What do listeners cost? 1,000 of them on one upload, half of them stalled.

    python -m bench listeners [--count 1000] [--mib 4096] [--rounds 3] [--data FOLDER]

In each round the same upload goes once alone and once with everybody listening by Server-Sent
Events; connecting is outside the clock. A stalled listener has a small receive buffer and never
reads. Printed are the messages a second that each other listener got, the most within any second,
the growth of the server's resident memory, and the CPU of events as a share of what the upload took
alone: what the server's event loop took more, in which all of them are told, and, as a coarse
check that nothing is hidden in other threads, what the whole process took more.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.report import machine
from towpath.testing import procfs
from towpath.testing.rawtus import VERSION, RawTus
from towpath.testing.server import Server

MIB = 1024 * 1024
PROGRESS, READY = b"event: progress", b"event: listening"
SMALL = 4096  # bytes of a stalled listener's receive buffer
AT_MOST = 120.0  # seconds until all listen


@dataclass
class Ear:
    """One listener, and when it heard of progress."""

    line: socket.socket
    ready: bool = False
    rest: bytes = b""
    at: list[float] = field(default_factory=list)

    def hear(self) -> bool:
        """Take what has come; False at the end."""
        data = self.line.recv(65536)
        now = time.monotonic()
        text = self.rest + data
        self.ready = self.ready or READY in text
        self.at += [now] * text.count(PROGRESS)
        # what may be the beginning of a word
        self.rest = text[-len(READY) + 1 :] if PROGRESS not in text[-len(READY) + 1 :] else b""
        return bool(data)

    def most_in_a_second(self) -> int:
        """Messages within any second."""
        return max((sum(t <= at < t + 1 for at in self.at) for t in self.at), default=0)


class Crowd:
    """Listeners to one upload; the second half of them never reads."""

    def __init__(self, port: int, path: str, count: int) -> None:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self.stalled: list[socket.socket] = []
        self.ears: list[Ear] = []
        for number in range(count):
            line = socket.socket()
            if number % 2:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            line.connect(("127.0.0.1", port))
            line.sendall(head)
            if number % 2:
                self.stalled.append(line)
            else:
                self.ears.append(Ear(line))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for ear in self.ears:
                selector.register(ear.line, selectors.EVENT_READ, ear)
            while not self._over.is_set():
                for key, _ in selector.select(0.2):
                    if not key.data.hear():
                        selector.unregister(key.fileobj)

    def wait(self) -> None:
        """Until everybody who reads is told that it listens."""
        deadline = time.monotonic() + AT_MOST
        while not all(ear.ready for ear in self.ears):
            if time.monotonic() > deadline:
                silent = sum(not ear.ready for ear in self.ears)
                raise AssertionError(f"{silent} of {len(self.ears)} hear nothing")
            time.sleep(0.05)

    def close(self) -> None:
        """Go away."""
        self._over.set()
        self._thread.join()
        for line in [*self.stalled, *(ear.line for ear in self.ears)]:
            line.close()


@dataclass
class Round:
    """One upload: seconds, CPU seconds of the server, and who heard what."""

    seconds: float
    cpu: float
    loop: float  # of it, its event loop
    crowd: Crowd | None = None
    grown: int = 0  # bytes resident more than before the crowd came


@contextlib.contextmanager
def crowd(server: Server, path: str, count: int) -> Iterator[Crowd | None]:
    """A crowd until the `with` ends; none if it counts nobody."""
    if not count:
        yield None
        return
    key = path.rpartition("/")[2]
    made = Crowd(server.port, f"/api/v1/uploads/{key}/events", count)
    try:
        made.wait()
        yield made
    finally:
        made.close()


def measure(server: Server, size: int, count: int) -> Round:
    """Upload once while `count` listen."""
    tus = RawTus(server.url, timeout=120)
    path = tus.create(size)
    before = server.memory().now
    with crowd(server, path, count) as heard:
        cpu, loop = server.cpu_seconds(), procfs.thread_seconds(server.pid)
        began = time.perf_counter()
        words = [sys.executable, "-m", "bench.sender", "up", server.url, str(size), path]
        subprocess.run(words, check=True, capture_output=True)
        seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
        loop = procfs.thread_seconds(server.pid) - loop
        grown = server.memory().now - before
    with tus.line() as line:
        line.ask("DELETE", path, VERSION)
    return Round(seconds, cpu, loop, heard, grown)


def main(arguments: list[str]) -> int:
    """Read the command line, run the rounds, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--mib", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="where the server keeps its data")
    given = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    alone: list[Round] = []
    heard: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=given.data))
        server = stack.enter_context(Server(Path(folder) / "data"))
        measure(server, 64 * MIB, 0)  # warm
        for _ in range(given.rounds):
            alone.append(measure(server, given.mib * MIB, 0))
            heard.append(measure(server, given.mib * MIB, given.count))
    print(f"python -m bench listeners {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; best and median of {given.rounds} rounds")
    ears = [ear for each in heard if each.crowd for ear in each.crowd.ears]
    rates = [len(ear.at) / each.seconds for each in heard if each.crowd for ear in each.crowd.ears]
    print(f"seconds of an upload:    {min(each.seconds for each in heard):.1f} heard of, "
          f"{min(each.seconds for each in alone):.1f} alone")  # fmt: skip
    print(f"messages a second:       {min(rates):.2f} to {max(rates):.2f}, "
          f"median {statistics.median(rates):.2f}")  # fmt: skip
    print(f"most in any second:      {max(ear.most_in_a_second() for ear in ears)}")
    print(f"resident memory grew:    {max(each.grown for each in heard) / MIB:.1f} MiB at most")
    for what, of in (("best", min), ("median", statistics.median)):
        whole, loop = of(each.cpu for each in alone), of(each.loop for each in alone)
        more, events = of(each.cpu for each in heard), of(each.loop for each in heard)
        print(f"CPU seconds, {what + ':':<11} {whole:.2f} alone, its event loop {loop:.2f}; "
              f"heard of {more:.2f}, {events:.2f}")  # fmt: skip
        share, all_of_it = (events - loop) / whole, more / whole - 1
        print(f"CPU of events, {what + ':':<9} {100 * share:.1f} % of the upload's; "
              f"by the whole process {100 * all_of_it:.1f} %")  # fmt: skip
    return 0
