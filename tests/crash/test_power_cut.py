"""What a strict server has acknowledged is there after a power cut, on ext4 and on xfs."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from towpath.testing.pattern import Pattern
from towpath.testing.powercut import Disk, why_not
from towpath.testing.rawhttp import Gone
from towpath.testing.rawtus import Patch, RawTus
from towpath.testing.server import Server, towpath_serve

STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "testing" / "stand_in.py"))
KIB, MIB = 1024, 1024 * 1024
LENGTH = 40 * MIB  # of each upload
SENDERS = 3
STILL = 1.0  # seconds after which a server that was stopped has no answer on its way any more

pytestmark = [
    pytest.mark.loopmount,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("kind", ["ext4", "xfs"]),
]


@pytest.fixture(autouse=True)
def _can_mount(kind: str) -> None:
    """Skip, loudly, where an image cannot be mounted."""
    if missing := why_not(kind):
        pytest.skip(f"NO POWER CUT WAS TESTED on {kind}: {missing}")


class Sender:
    """Uploads in small chunks and keeps what the server acknowledged."""

    def __init__(self, tus: RawTus, chunk: int) -> None:
        self.tus = tus
        self.chunk = chunk
        self.path = tus.create(LENGTH)
        self.acknowledged = 0
        self.patch: Patch | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Send until the end, or until `end`."""
        try:
            while self.acknowledged < LENGTH:
                length = min(self.chunk, LENGTH - self.acknowledged)
                with self.tus.open_patch(self.path, self.acknowledged, length) as self.patch:
                    self.patch.send(length)
                    self.acknowledged = self.patch.answer().number("upload-offset")
        except (OSError, Gone):
            pass  # the server was stopped: what is acknowledged stands

    def end(self) -> None:
        """Wait for what a server that was stopped had answered before, then hang up."""
        while self.thread.is_alive():
            self.thread.join(STILL)
            if self.patch is not None:
                with contextlib.suppress(OSError):  # it was closed just now
                    self.patch.line.socket.shutdown(socket.SHUT_RDWR)


def strict(disk: Disk, program: Sequence[str], *options: str) -> Server:
    """A strict server whose data is on the disk and whose log is not."""
    command = towpath_serve("--durability", "strict", *options, program=program)
    return Server(disk.root / "data", command=command, log=disk.directory / "server.log")


def finish(tus: RawTus, path: str, offset: int) -> None:
    """Send the rest, and see that everything is right."""
    if offset < LENGTH:
        assert tus.patch(path, offset, LENGTH - offset).status == 204
    assert tus.sha256(path) == (LENGTH, tus.pattern.sha256(LENGTH))


def lost_by_a_cut(
    directory: Path, kind: str, program: Sequence[str], dice: random.Random, *options: str
) -> list[int]:
    """Cut the power amid uploads, go on after it; the acknowledged bytes that were lost, each."""
    with Disk(directory, kind) as disk, strict(disk, program, *options) as server:
        senders = []
        for number in range(SENDERS):
            tus = RawTus(server.url, pattern=Pattern(number))
            senders.append(Sender(tus, dice.choice([64 * KIB, 256 * KIB, 1 * MIB])))
        place = dice.randrange(1 * MIB, LENGTH // 2)
        for sender in senders:
            sender.thread.start()
        while max(sender.acknowledged for sender in senders) < place:
            assert any(sender.thread.is_alive() for sender in senders)
            senders[0].thread.join(0.001)
        server.stop()
        for sender in senders:
            sender.end()
        with disk.cut() as after:
            server.kill()
            with strict(after, program, *options) as again:
                lost = []
                for sender in senders:
                    tus = RawTus(again.url, pattern=sender.tus.pattern)
                    offset = tus.offset(sender.path)
                    lost.append(sender.acknowledged - offset)
                    finish(tus, sender.path, offset)
    return lost


@pytest.mark.parametrize("number", range(2))
def test_acknowledged_bytes_survive_a_cut_amid_uploads(
    tmp_path: Path, kind: str, program: Sequence[str], commit_seed: int, number: int
) -> None:
    lost = lost_by_a_cut(tmp_path, kind, program, random.Random(f"{commit_seed}/{number}"))
    assert max(lost) <= 0, f"seed {commit_seed}: {lost} acknowledged bytes are gone"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("portion", range(10))
def test_acknowledged_bytes_survive_ten_cuts(
    tmp_path: Path, kind: str, program: Sequence[str], commit_seed: int, portion: int
) -> None:
    for number in range(portion * 10, portion * 10 + 10):
        dice = random.Random(f"{commit_seed}/{number}")
        lost = lost_by_a_cut(tmp_path / str(number), kind, program, dice)
        assert max(lost) <= 0, f"seed {commit_seed}, {number}: {lost} acknowledged bytes are gone"


def test_an_offset_told_amid_a_chunk_survives_a_cut(
    tmp_path: Path, kind: str, program: Sequence[str]
) -> None:
    with Disk(tmp_path, kind) as disk, strict(disk, program) as server:
        tus = RawTus(server.url)
        path = tus.create(LENGTH)
        with tus.open_patch(path, 0, LENGTH) as patch:
            patch.send(11 * MIB)
            told = tus.offset(path)
        server.stop()
        with disk.cut() as after:
            server.kill()
            with strict(after, program) as again:
                tus = RawTus(again.url)
                offset = tus.offset(path)
                assert offset >= told
                finish(tus, path, offset)


def test_a_complete_upload_survives_a_cut(
    tmp_path: Path, kind: str, program: Sequence[str]
) -> None:
    with Disk(tmp_path, kind) as disk, strict(disk, program) as server:
        tus = RawTus(server.url)
        path = tus.create(LENGTH)
        assert tus.patch(path, 0, LENGTH).status == 204
        server.stop()
        with disk.cut() as after:
            server.kill()
            with strict(after, program) as again:
                finish(RawTus(again.url), path, RawTus(again.url).offset(path))


def test_a_server_that_never_syncs_is_noticed(tmp_path: Path, kind: str) -> None:
    lost = lost_by_a_cut(tmp_path, kind, STAND_IN, random.Random(1), "--sin", "never-syncs")
    assert max(lost) > 0
