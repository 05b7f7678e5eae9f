"""A client's memory does not follow the size of the file, however the file is coded.

Peak resident memory of `put` and `get`, each in a process of its own, over that of the same command
for a small file. The budget of memory is the default, 32 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from towpath.codec.keys import KeyFile
from towpath.testing.pattern import Pattern
from towpath.testing.program import Program
from towpath.testing.server import Server, towpath_serve

KIB, MIB, GIB = 1024, 1024 * 1024, 1024 * 1024 * 1024
GROWTH = 48 * MIB
RUN = 8 * MIB  # bytes of one kind in a file, then of the other
WAYS = {
    "plain": ((), ()),
    "compressed": (("--compress",), ()),
    "encrypted": (("--key-file", "key"), ("--key-file", "key")),
    "both": (("--compress", "--key-file", "key"), ("--key-file", "key")),
}

Peak = Callable[..., int]


def make(path: Path, length: int) -> Path:
    """A file that becomes shorter by compression in every other part."""
    noise = Pattern(path.name)
    text = b"".join(b"%d," % number for number in range(10_000_000, 10_200_000))[:MIB]
    with path.open("wb") as file:
        for at in range(0, length, MIB):
            size = min(MIB, length - at)
            file.write(noise.view(at, size) if at // RUN % 2 else text[:size])
    return path


@pytest.fixture
def peak(tmp_path: Path, program: Sequence[str]) -> Iterator[Peak]:
    """Runs a command against a server of this test; the most that was resident."""
    (tmp_path / "key").write_text(KeyFile.new().text())
    (tmp_path / "key").chmod(0o600)

    def run(*words: str) -> int:
        where = {"TOWPATH_URL": server.url, "XDG_STATE_HOME": str(tmp_path / "state")}
        found = [str(tmp_path / word) if word == "key" else word for word in words]
        command = [*program, *found, "--progress", "none"]
        with Program(command, log=tmp_path / "client.log", environment=where) as client:
            return client.watch(240)

    try:
        with Server(tmp_path / "data", command=towpath_serve(program=program)) as server:
            yield run
    finally:
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.stat().st_size > MIB:
                path.unlink()


def grown(tmp_path: Path, peak: Peak, way: str, length: int) -> tuple[int, int]:
    """How much more a file of that length takes than a small one, up and down."""
    up, down = WAYS[way]
    peaks = []
    for name, size in (("small", 64 * KIB), ("large", length)):
        file, copy = make(tmp_path / name, size), tmp_path / f"{name}.copy"
        peaks.append((peak("put", str(file), name, *up), peak("get", name, str(copy), *down)))
        with file.open("rb") as sent, copy.open("rb") as came:
            while block := sent.read(MIB):
                assert came.read(MIB) == block
            assert not came.read(1)
        file.unlink()
        copy.unlink()
    (small_up, small_down), (large_up, large_down) = peaks
    return large_up - small_up, large_down - small_down


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", ["compressed", "both"])  # plain is in test_memory
def test_a_coded_transfer_stays_within_its_memory(tmp_path: Path, peak: Peak, way: str) -> None:
    assert max(grown(tmp_path, peak, way, 256 * MIB)) <= GROWTH


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
def test_a_long_transfer_stays_within_its_memory(tmp_path: Path, peak: Peak, way: str) -> None:
    assert max(grown(tmp_path, peak, way, 2 * GIB)) <= GROWTH
