"""How fast are the bytes of a file found in a multipart form? In memory, beside a bare find.

    python -m bench forms [--mib 2048] [--block 1024] [--rounds 5]

find    bytes.find of the boundary over the same blocks, which nothing can beat
reader  protocol/forms fed with the blocks, as it stands
source  web/form_source, read into blocks as the engine does
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.report import machine
from towpath.core.ports import Ending
from towpath.protocol.forms import FileBytes, FormReader
from towpath.web.form_source import open_form

KIB = 1024
MIB = 1024 * KIB
BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
HEAD = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' % BOUNDARY
TAIL = b"\r\n--%s--\r\n" % BOUNDARY


def contents(size: int) -> dict[str, bytes]:
    """Blocks of three kinds of files."""
    text = b"The quick brown fox -- jumps over the lazy dog.\r\n"
    return {
        "random": random.Random(1).randbytes(size),
        "zeros": bytes(size),
        "lines": (text * (size // len(text) + 1))[:size],
    }


class Endless:
    """A source that puts the same block in again and again without copying it."""

    length = None

    def __init__(self, count: int) -> None:
        self.trailers: dict[str, str] = {}
        self.left = count
        self.ending: Ending | None = None
        self.first = HEAD
        self.last = TAIL

    def read_into(self, view: memoryview) -> int:
        """The head of the form, then what `view` holds already, then the form's end."""
        if self.first:
            size, self.first = len(self.first), b""
            view[:size] = HEAD
            return size
        if self.left:
            size = min(len(view), self.left)
            self.left -= size
            return size
        if self.last:
            self.last = b""
            view[: len(TAIL)] = TAIL
            return len(TAIL)
        self.ending = Ending.WHOLE
        return 0

    async def ready(self) -> None:
        """At once."""

    def stop(self) -> None:
        """Nothing holds it."""


def bare(block: bytes, count: int) -> None:
    """The yardstick."""
    delimiter = b"\r\n--" + BOUNDARY
    for _ in range(count):
        assert block.find(delimiter) < 0


def reader(block: bytes, count: int) -> None:
    """The parser alone."""
    form, got, view = FormReader(BOUNDARY), 0, memoryview(block)
    form.feed(memoryview(HEAD))
    for _ in range(count):
        for event in form.feed(view):
            assert isinstance(event, FileBytes)
            got += len(event.view)
    form.feed(memoryview(TAIL))
    form.finish()
    assert got >= (count - 1) * len(block)


def source(block: bytes, count: int) -> None:
    """The parser inside a source."""

    async def run() -> None:
        with ThreadPoolExecutor(1) as threads:
            _, form = await open_form(Endless(count * len(block)), TYPE, threads)
            view, got = memoryview(bytearray(block)), 0
            while took := form.read_into(view):
                got += took
            assert (form.ending, got) == (Ending.WHOLE, count * len(block))

    asyncio.run(run())


WAYS: dict[str, Callable[[bytes, int], None]] = {"find": bare, "reader": reader, "source": source}


def main(arguments: list[str]) -> int:
    """Read the command line, measure each way in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--block", type=int, default=1024, help="KiB of one block")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    size = given.block * KIB
    count = given.mib * MIB // size
    speeds: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.rounds):
        for kind, block in contents(size).items():
            for way, run in WAYS.items():
                began = time.perf_counter()
                run(block, count)
                took = time.perf_counter() - began
                speeds.setdefault((kind, way), []).append(count * size / took / 1e9)
    print(f"python -m bench forms {' '.join(arguments)}".strip())
    print(*(f"{key}: {value}" for key, value in machine().items()), sep=", ")
    print(f"load {os.getloadavg()[0]:.1f}; GB/s")
    print(f"{'content':<8} {'way':<8} {'best':>6} {'median':>7}")
    for (kind, way), those in speeds.items():
        print(f"{kind:<8} {way:<8} {max(those):6.2f} {statistics.median(those):7.2f}")
    return 0
