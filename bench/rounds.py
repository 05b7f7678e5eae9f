"""Interleaved rounds: in each, every case is run by every contestant, one after the other.

Rules: whatever disturbs the machine disturbs all; nothing else runs meanwhile; what an upload left
on the disk is deleted and flushed before the next one begins, outside the clock.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import certificate
from bench.contestants import Contestant
from towpath.testing import procfs
from towpath.testing.rawhttp import Gone
from towpath.testing.rawtus import VERSION, RawTus
from towpath.testing.server import Server

MIB = 1024 * 1024
AT_MOST = 600.0  # seconds for one sender


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """What is carried: `size` bytes in all, spread over the streams."""

    tls: bool
    streams: int
    size: int

    def __str__(self) -> str:
        scheme = "TLS" if self.tls else "plain"
        return f"{self.size // MIB} MiB, {self.streams} stream{'s' * (self.streams > 1)}, {scheme}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    round: int
    contestant: str
    case: str
    way: str  # "up" or "down"
    size: int
    seconds: float
    cpu: float  # seconds of the server and its children
    peak: int  # bytes resident

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


class Field:
    """All contestants, started, each with its tus endpoint."""

    def __init__(self, directory: Path, contestants: Sequence[Contestant], *, tls: bool) -> None:
        self.directory = directory
        self.contestants = contestants
        self.pem = certificate.make(directory / "bench.pem")
        self.schemes = [False, True] if tls else [False]
        self.servers: dict[tuple[str, bool], Server] = {}
        self.missing: dict[str, str] = {}  # who could not start, and why

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Start everybody who can be started; end them all."""
        with contextlib.ExitStack() as stack:
            for each in self.contestants:
                for tls in self.schemes:
                    server = each.server(self.directory, self.pem if tls else None)
                    try:
                        stack.enter_context(server)
                    except (AssertionError, OSError) as error:
                        self.drop(each.name, tls, str(error))
                        continue
                    self.servers[each.name, tls] = server
            yield

    def drop(self, name: str, tls: bool, why: str) -> str:
        """Leave somebody out from now on; what is to be said about it."""
        self.servers.pop((name, tls), None)
        self.missing[f"{name}{', TLS' * tls}"] = why
        return f"NOT RUN: {name}{', TLS' * tls}: {why.strip()}"

    def tus(self, server: Server) -> RawTus:
        """How to speak to it."""
        return RawTus(server.url, tls=server.tls, timeout=120)


def _carry(server: Server, pem: Path, way: str, length: int, paths: Sequence[str]) -> float:
    """Have a sender process carry the bytes; the seconds that it took."""
    words = [sys.executable, "-m", "bench.sender", way, server.url, str(length), *paths]
    if server.tls is not None:
        words += ["--certificate", str(pem)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=AT_MOST, check=False)
    if done.returncode != 0:
        raise AssertionError(f"the sender failed:\n{done.stderr}\n{server.tail()}")
    return float(done.stdout)


def measure(field: Field, name: str, case: Case, number: int) -> Iterator[Sample]:
    """Upload and download once; what was uploaded is deleted then."""
    server = field.servers[name, case.tls]
    tus, length = field.tus(server), case.size // case.streams
    paths = [tus.create(length) for _ in range(case.streams)]
    try:
        for way in ("up", "down"):
            procfs.forget_peak(server.pid)
            cpu = server.cpu_seconds()
            seconds = _carry(server, field.pem, way, length, paths)
            cpu, peak = server.cpu_seconds() - cpu, server.memory().peak
            size = length * case.streams
            yield Sample(number, name, str(case), way, size, seconds, cpu, peak)
    finally:
        for path in paths:
            with tus.line() as line:
                line.ask("DELETE", path, VERSION)
        os.sync()


def verify(field: Field) -> None:
    """Once, outside the clock: everybody really keeps what is sent."""
    length = 3 * MIB + 1
    for (name, tls), server in field.servers.items():
        tus = field.tus(server)
        path = tus.create(length)
        tus.patch(path, 0, length)
        if tus.sha256(path) != (length, tus.pattern.sha256(length)):
            raise AssertionError(f"{name}, TLS {tls}: what came back is not what was sent")


def run(
    field: Field, cases: Sequence[Case], rounds: int, tell: Callable[[str], None]
) -> list[Sample]:
    """All rounds; the order within a round changes from one to the next."""
    samples: list[Sample] = []
    for number in range(rounds):
        for case in cases:
            names = [name for name, tls in field.servers if tls is case.tls]
            random.Random(number).shuffle(names)
            for name in names:
                try:
                    samples += measure(field, name, case, number)
                except (AssertionError, OSError, Gone) as error:
                    tell(field.drop(name, case.tls, f"failed in round {number + 1}: {error}"))
        tell(f"round {number + 1} of {rounds}")
    return samples
