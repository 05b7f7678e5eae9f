"""What do listeners cost? 1,000 of them on one upload, half of them stalled.

    python -m bench listeners [--count 1000] [--mib 4096] [--rounds 3] [--data FOLDER]

In each round the same upload goes three times: alone, with everybody listening to it by Server-Sent
Events, and while as many listen to another server, to an upload that trickles; connecting is
outside the clock. A stalled listener has a small receive buffer and never reads. Printed are the
messages a second that each other listener got, the most within any second, the growth of the
server's resident memory, and the CPU of events as a share of what the upload took alone, two ways:
what the server's event loop took more, in which all of them are told; and what the whole process
took more than it took beside the other server, whose crowd takes the same caches and processors
away.
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
from towpath.testing.rawtus import VERSION, Patch, RawTus
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


@contextlib.contextmanager
def trickle(server: Server, count: int) -> Iterator[None]:
    """An upload that moves and has `count` listeners, until the `with` ends."""
    tus = RawTus(server.url, timeout=120)
    path = tus.create(1024 * MIB)
    over = threading.Event()

    def send(patch: Patch) -> None:
        while not over.wait(0.1):
            patch.send(4096)

    with crowd(server, path, count), tus.open_patch(path, 0, 1024 * MIB) as patch:
        sending = threading.Thread(target=send, args=[patch])
        sending.start()
        try:
            yield
        finally:
            over.set()
            sending.join()
    with tus.line() as line:
        line.ask("DELETE", path, VERSION)


class Bench:
    """Uploads to one server.

    The last is deleted when the next begins, so that each finds memory for its file at hand: on a
    virtual machine what has been free for a while may be dear to have again.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tus = RawTus(server.url, timeout=120)
        self._last: str | None = None

    def measure(self, size: int, count: int = 0) -> Round:
        """Upload once while `count` listen."""
        server, path = self._server, self._tus.create(size)
        before = server.memory().now
        with crowd(server, path, count) as heard:
            if self._last is not None:
                with self._tus.line() as line:
                    line.ask("DELETE", self._last, VERSION)
            self._last = path
            cpu, loop = server.cpu_seconds(), procfs.thread_seconds(server.pid)
            began = time.perf_counter()
            words = [sys.executable, "-m", "bench.sender", "up", server.url, str(size), path]
            subprocess.run(words, check=True, capture_output=True)
            seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
            loop = procfs.thread_seconds(server.pid) - loop
            grown = server.memory().now - before
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
    beside: list[Round] = []
    size = given.mib * MIB
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.data)))
        server = stack.enter_context(Server(folder / "data"))
        other = stack.enter_context(Server(folder / "other"))
        bench = Bench(server)
        bench.measure(size)  # warm
        for _ in range(given.rounds):
            alone.append(bench.measure(size))
            heard.append(bench.measure(size, given.count))
            with trickle(other, given.count):
                beside.append(bench.measure(size))
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
        whole, near, told = (of(one.cpu for one in each) for each in (alone, beside, heard))
        quiet, loop = (of(one.loop for one in each) for each in (alone, heard))
        print(f"CPU seconds, {what + ':':<11} {whole:.2f} alone, its event loop {quiet:.2f}; heard "
              f"of {told:.2f}, {loop:.2f}; beside a server with listeners {near:.2f}")  # fmt: skip
        events, all_more = (loop - quiet) / whole, (told - near) / whole
        print(f"CPU of events, {what + ':':<9} {100 * events:.1f} % of the upload's by the event "
              f"loop; {100 * all_more:.1f} % by the whole process")  # fmt: skip
    return 0
