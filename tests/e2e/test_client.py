"""The client and the command line against a real server, through kills on both sides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from towpath import errors
from towpath.client import BlockingTransfer, Client, UploadResult
from towpath.testing.server import Server, towpath_serve

SIZE = 200 * 1024 * 1024

pytestmark = pytest.mark.timeout(120)  # a disk that others use takes its time with that


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server") as server:
        yield server


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "large.bin"
    path.write_bytes(Random(1).randbytes(SIZE))
    return path


def halfway(transfer: BlockingTransfer[UploadResult]) -> None:
    """Return when some of the bytes are sent."""
    assert any(0 < p.transferred_bytes < SIZE for p in transfer), "it was over too soon"


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def test_a_file_goes_there_and_back(server: Server, large: Path, tmp_path: Path) -> None:
    with Client(server.url, state_dir=tmp_path / "state") as client:
        up = client.upload(large, "a b/ü/", metadata={"case": "42"}).result()
        assert (up.name, up.verified, up.sent_bytes) == ("a b/ü/large.bin", True, SIZE)
        record = client.stat(up.name)
        assert (record.length, record.digests["crc64nvme"]) == (SIZE, up.crc64nvme)
        down = client.download(up.name, tmp_path / "copy").result()
        assert (down.verified, down.received_bytes) == (True, SIZE)
        assert same(large, tmp_path / "copy")
        client.remove(up.name)
        assert list(client.names()) == []


def test_a_taken_name_is_treated_as_asked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two" * 30_000)
    with Client(server.url, state_dir=tmp_path / "state") as client:
        client.upload(tmp_path / "a", "n.x").result()
        assert client.upload(tmp_path / "b", "n.x").result().name == "n (2).x"
        with pytest.raises(errors.NameConflict):
            client.upload(tmp_path / "b", "n.x", on_conflict="fail").result()
        client.remove("n.x")
        again = client.upload(tmp_path / "b", "n.x", on_conflict="fail").result()
        assert (again.name, again.sent_bytes) == ("n.x", 0)  # the bytes were there already
        assert client.upload(tmp_path / "a", "n.x", on_conflict="replace").result().name == "n.x"
        client.download("n.x", tmp_path / "c").result()
    assert same(tmp_path / "a", tmp_path / "c")


def test_a_killed_server_is_waited_for(server: Server, large: Path, tmp_path: Path) -> None:
    with Client(server.url, state_dir=tmp_path / "state") as client:
        transfer = client.upload(large)
        halfway(transfer)
        server.restart()
        assert transfer.result().verified
        client.download("large.bin", tmp_path / "copy").result()
    assert same(large, tmp_path / "copy")


def test_a_killed_client_is_followed_by_one_that_sends_the_rest(
    server: Server, large: Path, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "TOWPATH_URL": server.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": "src",
    }
    command = [sys.executable, "-m", "towpath", "put", str(large), "x", "--progress", "json"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        next(line for line in first.stderr if '"state": "running"' in line)
        first.send_signal(signal.SIGKILL)
    with Client(server.url, state_dir=tmp_path / "state" / "towpath") as client:
        (note,) = client.unfinished()
        result = client.resume(note).result()
        assert result.verified
        assert result.sent_bytes == SIZE - result.resumed_from
        client.download("x", tmp_path / "copy").result()
    assert same(large, tmp_path / "copy")


def test_cancelling_takes_the_upload_from_the_server(
    server: Server, large: Path, tmp_path: Path
) -> None:
    with Client(server.url, state_dir=tmp_path / "state") as client:
        transfer = client.upload(large)
        transfer.set_limit(SIZE // 10)
        halfway(transfer)
        transfer.pause()
        (upload,) = client.uploads()
        assert (upload.name, upload.length) == ("large.bin", SIZE)
        transfer.cancel()
        assert list(client.uploads()) == []


def test_tokens_made_by_the_command_let_in(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    made = subprocess.run(
        [
            *(sys.executable, "-m", "towpath", "token", "new", str(tokens)),
            *("--subject", "me", "--scope", "write", "--scope", "list"),
        ],
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "a").write_bytes(b"x")
    command = towpath_serve("--tokens", str(tokens))
    with Server(tmp_path / "server", command=command) as server:
        with Client(server.url, made.stdout.strip(), state_dir=tmp_path / "state") as client:
            assert client.upload(tmp_path / "a").result().verified
            assert [name.path for name in client.names()] == ["a"]
            with pytest.raises(errors.Forbidden):
                client.remove("a")
        with (
            pytest.raises(errors.Unauthenticated),
            Client(server.url, state_dir=tmp_path / "state") as client,
        ):
            client.stat("a")
