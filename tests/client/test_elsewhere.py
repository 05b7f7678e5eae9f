"""An upload that another machine began and left is gone on with by whoever has the same file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from towpath import errors
from towpath.client import Client, UploadResult, elsewhere
from towpath.client.blocks import Blocks
from towpath.client.upload import UploadTask
from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
SIZE = 20 * MIB + 321


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "one" / "film"
    path.parent.mkdir()
    path.write_bytes(Random(3).randbytes(SIZE))
    return path


@pytest.fixture
def other(tmp_path: Path, original: Path) -> Path:
    """The same file on the other machine: in another place, with another time."""
    path = tmp_path / "other" / "copy of film"
    path.parent.mkdir()
    path.write_bytes(original.read_bytes())
    return path


@pytest.fixture
def left(running: Server, original: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The name of an upload of which one machine sent a part."""
    name = f"left/{tmp_path.name}"
    lane = Plan(up=Lane(fault=Fault.STALL, at=3 * MIB))  # so that it is never over
    options: dict[str, Any] = {"connections": 4, "chunk_size": MIB}
    with (
        threaded(Wire("127.0.0.1", running.port, plan=lambda _: lane)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=tmp_path / "first", **options) as client,
    ):
        transfer = client.upload(original, name)
        wire.when(lambda: wire.up >= 4 * 3 * MIB).result(20)  # with two chunks of each got through
        transfer.pause()
    return name


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_LEFT_ALONE", -3600.0)


def put(running: Server, tmp_path: Path, path: Path, name: str, **how: Any) -> UploadResult:
    """What the second machine does."""
    options = {"connections": how.pop("connections", None)}
    with Client(running.url, state_dir=tmp_path / "second", **options) as client:
        return client.upload(path, name, **how).result()


def content(running: Server, name: str) -> bytes:
    with Client(running.url) as client:
        found = io.BytesIO()
        client.download(name, found).result()
        return found.getvalue()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("connections", [None, 1])
def test_what_one_machine_left_another_one_goes_on_with(
    running: Server, tmp_path: Path, left: str, other: Path, connections: int | None
) -> None:
    result = put(running, tmp_path, other, left, connections=connections)
    assert result.resumed_from >= 8 * MIB
    assert (result.sent_bytes <= SIZE - 8 * MIB, result.verified, result.name) == (True, True, left)
    assert content(running, left) == other.read_bytes()
    with Client(running.url) as client:
        assert [each.name for each in client.uploads() if each.name == left] == []


def test_what_somebody_may_still_carry_is_left_to_them(
    running: Server, tmp_path: Path, left: str, other: Path
) -> None:
    assert put(running, tmp_path, other, left).resumed_from == 0


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", [{"on_conflict": "replace"}, {"metadata": {"case": "1"}}], ids=str)
def test_what_was_wanted_in_another_way_is_not_taken_up(
    running: Server, tmp_path: Path, left: str, other: Path, how: dict[str, Any]
) -> None:
    assert put(running, tmp_path, other, left, **how).resumed_from == 0


@pytest.mark.usefixtures("at_once")
def test_another_file_of_the_same_name_is_not_taken_for_it(
    running: Server, tmp_path: Path, left: str, other: Path
) -> None:
    other.write_bytes(Random(4).randbytes(SIZE))
    assert put(running, tmp_path, other, left).resumed_from == 0
    assert content(running, left) == other.read_bytes()


@pytest.mark.usefixtures("at_once")
def test_a_difference_that_no_fingerprint_sees_is_found_at_the_end(
    running: Server, tmp_path: Path, left: str, other: Path
) -> None:
    with other.open("r+b") as file:
        file.seek(elsewhere.SAMPLE + 5)
        file.write(b"something else")
    with pytest.raises(errors.DigestMismatch, match="send it again"):
        put(running, tmp_path, other, left)
    assert put(running, tmp_path, other, left).resumed_from == 0
    assert content(running, left) == other.read_bytes()


def test_a_fingerprint_is_of_the_bytes_and_of_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(Random(1).randbytes(MIB))
    task = UploadTask(id="1", path="/a", name="a")

    def mark(task: UploadTask, size: int = MIB) -> str:
        with (tmp_path / "a").open("rb", buffering=0) as file:
            return elsewhere.fingerprint(task, size, Blocks(file))

    assert mark(task) == mark(task._replace(id="2", path="/b", chunk_size=5))
    marks = {
        mark(task),
        mark(task._replace(name="b")),
        mark(task._replace(on_conflict="fail")),
        mark(task._replace(metadata={"a": "b"})),
        mark(task, MIB - 1),
    }
    (tmp_path / "a").write_bytes(Random(2).randbytes(MIB))
    assert len(marks | {mark(task)}) == 6
