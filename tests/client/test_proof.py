"""A file that was changed so that its size and time do not tell is never mixed into an upload."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.client.coding import CHUNK, KEY, MIXED, another, stopped
from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import Client
from towpath.client.progress import Direction
from towpath.client.proof import recognised, remembered
from towpath.client.resume import Note, Notebook, Source
from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
SIZE = 6_000_000
SENT = 3_000_000
BEFORE = Source(10, 20, 30, 40, 50)


def write_in_place(path: Path, at: int, data: bytes) -> None:
    """Change bytes of a file, and give it its old time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Source.of(path.stat()) == Source.of(before)


def copied(path: Path) -> None:
    """Put a copy of the same time in its place."""
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    copy.replace(path)


@pytest.fixture
def begun(carry: Carry, server: FakeServer, tmp_path: Path) -> Path:
    """A file of which an earlier call sent a part, and then gave up."""
    path = tmp_path / "image"
    path.write_bytes(sample(SIZE))
    server.fail("PATCH", "cut", at=SENT)
    server.fail("HEAD", "status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("upload", path)
    assert server.received == SENT
    return path


def test_bytes_that_were_written_under_the_old_time_are_noticed(
    carry: Carry, server: FakeServer, begun: Path
) -> None:
    write_in_place(begun, 1_000_000, b"something else")
    before = len(server.requests)
    with pytest.raises(errors.SourceChanged, match=r"other bytes.*--restart"):
        carry("upload", begun)
    assert len(server.requests) == before
    assert carry("upload", begun, restart=True).verified
    assert bytes(server.named("image").data) == begun.read_bytes()


@pytest.mark.parametrize("touch", [lambda path: path.chmod(0o600), copied], ids=["mode", "copy"])
def test_a_file_that_has_its_bytes_still_goes_on(
    carry: Carry, server: FakeServer, begun: Path, touch: Callable[[Path], None]
) -> None:
    touch(begun)
    result = carry("upload", begun)
    assert (result.resumed_from, result.sent_bytes, result.verified) == (SENT, SIZE - SENT, True)
    assert bytes(server.named("image").data) == begun.read_bytes()


def test_without_checksums_nobody_can_tell(carry: Carry, server: FakeServer, begun: Path) -> None:
    begun.chmod(0o600)
    with pytest.raises(errors.SourceChanged, match="no checksums"):
        carry("upload", begun, client={"verify": False})
    assert server.received == SENT


def test_ranges_that_were_sent_are_compared_too(tmp_path: Path) -> None:
    path, state = tmp_path / "image", tmp_path / "state"
    path.write_bytes(Random(5).randbytes(24 * MIB))
    stalls = Plan(up=Lane(fault=Fault.STALL, at=3 * MIB))  # so that it is never over
    with (
        Server(tmp_path / "data") as server,
        threaded(Wire("127.0.0.1", server.port, plan=lambda _: stalls)) as wire,
    ):
        url = f"http://127.0.0.1:{wire.port}"
        with Client(url, state_dir=state, connections=4, chunk_size=MIB) as client:
            transfer = client.upload(path, "ranges")
            wire.when(lambda: wire.up >= 4 * 3 * MIB).result(20)  # with chunks got through
            transfer.pause()
        (note,) = Notebook(state).all()
        write_in_place(path, note.spans[0][0] + 100, b"something else")
        Notebook(state).write(replace(note, server=f"{server.url}/"))
        wire.plan = lambda _: Plan()
        with (
            Client(url, state_dir=state) as client,
            pytest.raises(errors.SourceChanged, match="other bytes"),
        ):
            client.upload(path, "ranges").result()


def test_chunks_that_were_sent_are_compared_too(real: Server, state: Path, mixed: Path) -> None:
    stopped(real, state, mixed, "proof", encrypt=[KEY])
    mixed.chmod(0o600)
    stopped(real, state, mixed, "proof", 1, encrypt=[KEY])  # the same bytes: it goes on
    write_in_place(mixed, CHUNK + 1, b"something else")
    with another(real, state) as client:
        with pytest.raises(errors.SourceChanged, match="other bytes"):
            client.upload(mixed, "proof", encrypt=[KEY]).result()
        mixed.write_bytes(MIXED)
        client.upload(mixed, "proof", encrypt=[KEY], restart=True).result()


def note(**rest: object) -> Note:
    given = {
        "id": "a",
        "direction": Direction.UPLOAD,
        "server": "http://x/",
        "name": "a",
        "path": "/a",
        "url": "http://x/files/1",
        "source": BEFORE,
    }
    return Note(**{**given, **rest})  # type: ignore[arg-type]


def never(start: int, end: int) -> int:
    raise AssertionError


def test_nothing_is_read_of_a_file_that_is_surely_the_same() -> None:
    for source in (BEFORE, replace(BEFORE, changed_ns=0)):
        found = note(source=source)
        assert recognised(found, BEFORE, known=[(0, 5, 1)], crc=never) is found


@pytest.mark.parametrize("name", ["device", "inode", "changed_ns"])
def test_what_a_restart_or_a_copy_changes_is_looked_at(name: str) -> None:
    now = replace(BEFORE, **{name: 99})
    assert recognised(note(), now, known=[(0, 5, 1)], crc=lambda a, b: 1).source == now
    with pytest.raises(errors.SourceChanged):
        recognised(note(), now, known=[(0, 5, 1)], crc=lambda a, b: 2)


@pytest.mark.parametrize("name", ["size", "mtime_ns"])
def test_another_size_or_time_means_other_bytes(name: str) -> None:
    with pytest.raises(errors.SourceChanged, match=f"Its {name} was"):
        recognised(note(), replace(BEFORE, **{name: 99}), known=(), crc=never)


def test_a_note_remembers_ranges_or_the_last_mark() -> None:
    assert list(remembered(note())) == []
    assert list(remembered(note(marks=((5, 1), (9, 2))))) == [(0, 9, 2)]
    assert list(remembered(note(spans=((5, 9, 2),)))) == [(5, 9, 2)]
