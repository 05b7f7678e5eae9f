"""Whether a limit is kept, and how soon a change of it holds: `python -m bench throttle`.

A file is uploaded by the client to a server with stock settings, through a proxy on the loopback
that counts what the server has taken. First 20 MB/s for ten seconds, after one second to begin;
then the limit is changed while it runs, up and down, and from one second after the change the new
one is measured. The same for a download, counted where it leaves the client's sockets: what their
buffers hold, some megabytes for each connection, has passed a proxy and not the client. A rate
that is off by more than 5 % is a failure.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.contestants import HERE
from towpath.client import BlockingTransfer, Client
from towpath.client.wire import Connection
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MB = 1_000_000
BOUND = 0.05  # of the rate
CHANGES = (40, 5, 20)  # MB/s, one after the other
HOLDS_WITHIN = 1.0  # seconds from a change


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes a second over some time."""

    what: str
    limit: int
    found: float
    seconds: float

    @property
    def off(self) -> float:
        """How far from the limit, as a share of it."""
        return self.found / self.limit - 1


def rate(count: Callable[[], int], what: str, limit: int, seconds: float) -> Measured:
    """What passes in so many seconds from now."""
    before, began = count(), time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return Measured(what, limit, (count() - before) / passed, passed)


def follow(
    way: str, transfer: BlockingTransfer[Any], client: Client, count: Callable[[], int], hold: float
) -> Iterator[Measured]:
    """Measure a transfer that has begun at 20 MB/s, then with other limits."""
    time.sleep(HOLDS_WITHIN)
    yield rate(count, f"{way}, kept", 20 * MB, hold)
    for limit in CHANGES:
        client.set_limit(limit * MB)
        time.sleep(HOLDS_WITHIN)
        yield rate(count, f"{way}, changed to {limit} MB/s", limit * MB, min(hold, 3.0))
    if transfer.done:
        raise AssertionError("the file was too short to measure")


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many bytes of bodies the client has taken from its sockets: the one number of a list."""
    taken, lock, plain = [0], threading.Lock(), Connection.receive_into

    def receive_into(connection: Connection, view: memoryview) -> int:
        count = plain(connection, view)
        with lock:
            taken[0] += count
        return count

    Connection.receive_into = receive_into  # type: ignore[method-assign,assignment]
    try:
        yield taken
    finally:
        Connection.receive_into = plain  # type: ignore[method-assign]


@contextmanager
def stand(data: Path) -> Iterator[tuple[Wire, str]]:
    """A server behind a proxy that counts."""
    with Server(data) as server, threaded(Wire("127.0.0.1", server.port)) as wire:
        yield wire, f"http://127.0.0.1:{wire.port}/"


def measure(folder: Path, hold: float) -> list[Measured]:
    """Both ways."""
    found: list[Measured] = []
    source = folder / "source"
    with stand(folder / "data") as (wire, url):
        with source.open("wb") as file:
            file.truncate(int(20 * MB * (hold + 1) + sum(CHANGES) * MB * 5))
        state = folder / "state"
        with Client(url, state_dir=state, limit=20 * MB) as client:
            up = client.upload(source, "source")
            found += follow("upload", up, client, lambda: wire.up, hold)
            client.set_limit(None)
            up.result()
        with counted() as taken, Client(url, state_dir=state, limit=20 * MB) as client:
            down = client.download("source", folder / "copy")
            found += follow("download", down, client, lambda: taken[0], hold)
            down.cancel()
    return found


def main(arguments: list[str]) -> int:
    """Measure, print and write; 1 when a limit was not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench throttle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="that 20 MB/s are held")
    parser.add_argument("--data", type=Path, help="where the server keeps its bytes")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="towpath-bench-", dir=asked.data) as name:
        found = measure(Path(name), asked.seconds)
    for one in found:
        print(
            f"{one.what:28} limit {one.limit / MB:6.1f} MB/s  found {one.found / MB:7.2f} MB/s"
            f"  {one.off:+7.2%}  over {one.seconds:.1f} s"
        )
    failed = [one.what for one in found if abs(one.off) > BOUND]
    for what in failed:
        print(f"NOT KEPT within {BOUND:.0%}: {what}")
    facts = {"machine": report.machine(), "measured": [asdict(one) for one in found]}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "throttle.json").write_text(json.dumps(facts, indent=1))
    return 1 if failed else 0
