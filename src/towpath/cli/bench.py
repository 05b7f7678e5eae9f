"""`towpath bench`: how fast a server is as this client reaches it.

Rules: it does what `put` and `get` do, with their checks; bytes are random, so that nothing on the
way can make them fewer; what it makes is removed, here and there, also when it is stopped.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.amounts import size
from towpath.cli.interrupt import Ear, Halt, interruptible
from towpath.cli.options import Caller, Size, caller_options
from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.client import Client

_ROUND_TRIPS = 9
_BLOCK = 1024 * 1024
_MIB = 1024 * 1024
FOLDER = ".towpath-bench"


@click.command()
@click.option(
    "--size", "sizes", type=Size(), multiple=True, help="May be given again; 1MiB and 64MiB."
)
@click.option("--times", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--chunk-size", type=Size(), help="Bytes of one request; all of it by default.")
@click.option("--no-verify", is_flag=True, help="Compute and compare no checksums.")
@caller_options
def bench(
    caller: Caller, sizes: tuple[int, ...], times: int, chunk_size: int | None, no_verify: bool
) -> int:
    """Measure uploads to the server and downloads from it.

    Shows the best of all times in MiB/s, as whole transfers have it: with the disks on both sides
    and with checksums. Needs the scopes to write, list, read and remove.
    """
    output = caller.output
    try:
        with interruptible() as ear:
            seconds = _round_trip(caller)
            output.record("round_trip", seconds=seconds)
            output.line(f"round trip  {seconds * 1000:.1f} ms")
            output.line(f"{'size':>9}  {'upload':>12}  {'download':>12}")
            for length in sizes or (_MIB, 64 * _MIB):
                with _place(caller, ear, chunk_size=chunk_size, verify=not no_verify) as place:
                    up, down = _measure(place, length, times)
                for direction, best in (("upload", up), ("download", down)):
                    rate = length / best
                    output.record(
                        "bench",
                        direction=direction,
                        length=length,
                        seconds=best,
                        bytes_per_second=rate,
                    )
                output.line(
                    f"{size(length):>9}  {_rate(length, up):>12}  {_rate(length, down):>12}"
                )
    except Halt as halt:
        output.say("Stopped; what was made is removed.")
        return halt.code
    return 0


class _Place:
    """A folder here and names on the server, for one size."""

    def __init__(self, client: Client, folder: Path, ear: Ear) -> None:
        self.client = client
        self.ear = ear
        self.folder = folder
        self.names: list[str] = []

    def upload(self, file: Path) -> float:
        """Send a file under a name of its own; seconds."""
        name = f"{FOLDER}/{secrets.token_hex(8)}"
        began = time.perf_counter()
        transfer = None
        try:
            with self.ear.holding():  # what has begun is to be cancelled
                transfer = self.client.upload(file, name, on_conflict="fail")
            transfer.result()
        except BaseException:
            if transfer is not None:
                with suppress(TowpathError):
                    transfer.cancel()
            raise
        finally:
            self.names.append(name)
        return time.perf_counter() - began

    def download(self) -> float:
        """Fetch what was sent last; seconds."""
        target = self.folder / "back"
        began = time.perf_counter()
        self.client.download(self.names[-1], target).result()
        spent = time.perf_counter() - began
        target.unlink()
        return spent

    def clear(self) -> None:
        """Remove the names; what is not there is fine."""
        while self.names:
            with suppress(TowpathError):
                self.client.remove(self.names.pop())


@contextmanager
def _place(
    caller: Caller,
    ear: Ear,
    **options: Any,  # noqa: ANN401 - the client's own
) -> Iterator[_Place]:
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as folder,
        caller.client(state_dir=folder, parallel=1, retries=0, **options) as client,
    ):
        place = _Place(client, Path(folder), ear)
        try:
            yield place
        finally:
            place.clear()


def _measure(place: _Place, length: int, times: int) -> tuple[float, float]:
    """The least seconds of an upload and of a download."""
    up, down = [], []
    file = place.folder / "sent"
    for _ in range(times):
        _fill(file, length)  # anew each time: a server may know what it was sent before
        up.append(place.upload(file))
        down.append(place.download())
        place.clear()
    return max(min(up), 1e-9), max(min(down), 1e-9)


def _fill(file: Path, length: int) -> None:
    with file.open("wb") as out:
        for at in range(0, length, _BLOCK):
            out.write(os.urandom(min(_BLOCK, length - at)))


def _round_trip(caller: Caller) -> float:
    """The median seconds of a question about the server."""
    from towpath.client.peer import expect

    peer = caller.peer()
    try:
        found = sorted(
            _timed(lambda: expect(peer.ask("GET", peer.api("server"), again=True)))
            for _ in range(_ROUND_TRIPS)
        )
    finally:
        peer.done_with()
    return found[_ROUND_TRIPS // 2]


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _rate(length: int, seconds: float) -> str:
    return f"{length / seconds / _MIB:.1f} MiB/s"
