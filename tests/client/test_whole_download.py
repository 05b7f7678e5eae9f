"""Small files of which a list told: each comes in one request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.conftest import sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import Client, NameRecord
from towpath.client.whole import SMALL


@pytest.fixture
def client(server: FakeServer, state: Path) -> Iterator[Client]:
    with Client(server.url, state_dir=state) as client:
        yield client


def known(client: Client, name: str) -> NameRecord:
    """What a list tells of it."""
    return next(record for record in client.names() if record.path == name)


def gets(server: FakeServer) -> list[str]:
    """Addresses that were asked for since the list."""
    asked = [target for method, target, _ in server.requests if method in ("GET", "HEAD")]
    return [target for target in asked if not target.startswith("/api/v1/names?")]


@pytest.mark.parametrize("size", [0, 5_000, SMALL])
def test_it_comes_in_one_request_and_is_verified(
    client: Client, server: FakeServer, tmp_path: Path, state: Path, size: int
) -> None:
    made = server.add("a", sample(size))
    result = client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (tmp_path / "x").read_bytes() == sample(size)
    assert (result.verified, result.length, result.received_bytes) == (True, size, size)
    assert (result.crc64nvme, result.resumed_from) == (f"{made.crc:016x}", 0)
    assert gets(server) == [f"/files/{made.id}"]
    assert [path.name for path in tmp_path.iterdir() if path != state] == ["x"]
    assert list(state.iterdir()) == []


def test_what_is_longer_comes_the_long_way(
    client: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.add("a", sample(SMALL + 1))
    result = client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (result.verified, len(gets(server)) > 1) == (True, True)


def test_what_is_another_by_now_comes_the_long_way(
    client: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.add("a", b"older")
    told = known(client, "a")
    client.remove("a")
    server.add("a", b"newer")
    client.download("a", tmp_path / "x", known=told).result()
    assert (tmp_path / "x").read_bytes() == b"newer"


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_after_a_cut_it_comes_again(
    client: Client,
    server: FakeServer,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.add("a", sample(5_000))
    server.fail_download(kind, at=1_000)
    client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (tmp_path / "x").read_bytes() == sample(5_000)


@pytest.mark.usefixtures("open_parts_stay")
def test_other_bytes_than_were_announced_are_refused_and_leave_nothing(
    client: Client, server: FakeServer, tmp_path: Path, state: Path
) -> None:
    server.add("a", sample(5_000))
    server.fail_download("wrong-digest")
    with pytest.raises(errors.DigestMismatch):
        client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert [path for path in tmp_path.iterdir() if path != state] == []


def test_a_file_that_exists_is_replaced_only_if_that_was_said(
    client: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.add("a", b"new")
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(errors.NameConflict):
        client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (tmp_path / "x").read_bytes() == b"old"
    client.download("a", tmp_path / "x", overwrite=True, known=known(client, "a")).result()
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.parametrize("left", [b"", b"the be"])
def test_the_beginning_that_a_kill_left_is_written_over(
    client: Client, server: FakeServer, tmp_path: Path, left: bytes
) -> None:
    server.add("a", b"the beginning and the rest")
    (tmp_path / "x.part").write_bytes(left)
    client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (tmp_path / "x").read_bytes() == b"the beginning and the rest"
    assert not (tmp_path / "x.part").exists()


@pytest.mark.parametrize("left", [b"mine", b"the beginning and the rest of mine"])
def test_somebody_s_part_is_left_alone(
    client: Client, server: FakeServer, tmp_path: Path, left: bytes
) -> None:
    server.add("a", b"the beginning and the rest")
    (tmp_path / "x.part").write_bytes(left)
    with pytest.raises(errors.NameConflict):
        client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (tmp_path / "x.part").read_bytes() == left


def test_without_verifying_nothing_is_compared(
    server: FakeServer, tmp_path: Path, state: Path
) -> None:
    server.add("a", b"abc")
    server.fail_download("wrong-digest")
    with Client(server.url, state_dir=state, verify=False) as client:
        result = client.download("a", tmp_path / "x", known=known(client, "a")).result()
    assert (result.verified, result.crc64nvme) == (False, None)
