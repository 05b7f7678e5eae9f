"""Towpath's own client, sending to other people's tus servers.

resumable-upload joins uploads, so that a large file goes by many connections there; @tus/server
does not, and gets it by one. Neither knows digests of a whole, so what they have is read back.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest

from towpath.client import Client
from towpath.client.resume import Notebook
from towpath.testing.overheard import Overheard
from towpath.testing.plan import Lane, Plan, breaking
from towpath.testing.program import Program
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

HERE = Path(__file__).parent
MIB = 1024 * 1024
SIZE = 40 * MIB + 12_345
CONNECTIONS = 4
CHUNK = 8 * MIB  # the largest
HEADS = 64 * 1024
SOON = 25.0


def joins(port: int, data: Path) -> Sequence[str]:
    """The server of resumable-upload."""
    where = ["--host", "127.0.0.1", "--port", str(port), "--metrics-path", "/livez"]
    files = ["--upload-dir", str(data), "--db-path", f"{data}.db", "--enable-downloads"]
    return [sys.executable, "-m", "resumable_upload", "serve", *where, *files]


def joins_not(port: int, data: Path) -> Sequence[str]:
    """@tus/server."""
    return ["node", str(HERE.parent / "testing" / "tus_server.mjs"), str(port), str(data)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "large.bin"
    path.write_bytes(Random(3).randbytes(SIZE))
    return path


@pytest.fixture
def joining(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "joining", command=joins) as server:
        yield server


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(url: str) -> str:
    """The SHA-256 of what the server has there."""
    with urlopen(url) as answer:
        return digest(answer.read())


def over(wire: Wire, client: Program, at: int) -> bool:
    """So many bytes have passed, or nobody is there who would send more."""
    return wire.up >= at or client.exit_code() is not None


def finals(server: Server) -> list[str]:
    """The ids of what was joined."""
    with contextlib.closing(sqlite3.connect(f"{server.data}.db")) as known:
        query = "SELECT upload_id FROM uploads WHERE concat_partial_ids IS NOT NULL AND completed"
        return [str(row[0]) for row in known.execute(query)]


def test_a_large_file_goes_by_many_connections_and_is_joined(
    joining: Server, large: Path, tmp_path: Path
) -> None:
    heard = Overheard()
    with (
        threaded(Wire("127.0.0.1", joining.port, tap=heard)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=tmp_path / "state") as client,
    ):
        up = client.upload(large, "a/").result()
        assert wire.opened >= 2
        assert stored(up.url) == digest(large.read_bytes())
    assert (up.length, up.sent_bytes) == (SIZE, SIZE)
    assert not up.verified  # it says nothing that could prove it
    assert len({each.path for each in heard.requests if each.method == "PATCH"}) == 5
    assert finals(joining) == [up.url.rpartition("/")[2]]


def test_connections_that_break_do_no_harm(
    joining: Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.retry._FIRST", 0.01)
    with (  # it keeps nothing of a chunk whose connection was reset
        threaded(Wire("127.0.0.1", joining.port, plan=breaking(7, Lane(), 0.1))) as wire,
        Client(
            f"http://127.0.0.1:{wire.port}", state_dir=tmp_path / "state", chunk_size=2 * MIB
        ) as client,
    ):
        up = client.upload(large, "b/").result()
        assert sum("reset at byte" in event.what for event in wire.events) >= 1
    assert len(finals(joining)) == 1
    assert stored(f"{joining.url}/files/{finals(joining)[0]}") == digest(large.read_bytes())
    assert up.length == SIZE


def test_a_client_that_is_killed_is_gone_on_with_by_another_process(
    joining: Server, large: Path, tmp_path: Path, program: Sequence[str]
) -> None:
    plan = Plan(up=Lane(rate=8 * MIB))
    with threaded(Wire("127.0.0.1", joining.port, plan=lambda _: plan)) as wire:
        environment = {
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "TOWPATH_URL": f"http://127.0.0.1:{wire.port}",
        }
        put = [*program, "put", str(large), "c/", "--connections", str(CONNECTIONS)]
        client = Program(put, log=tmp_path / "client.log", environment=environment)
        kills = (12 * MIB, 28 * MIB)
        with client:
            for at in kills:
                wire.when(partial(over, wire, client, at)).result(SOON)
                assert client.exit_code() is None, client.tail()
                client.signal(signal.SIGKILL)
                client.kill()
                client.start()
            assert client.wait(SOON) == 0, client.tail()
        assert SIZE <= wire.up <= SIZE + len(kills) * CONNECTIONS * CHUNK + HEADS
    (final,) = finals(joining)
    assert stored(f"{joining.url}/files/{final}") == digest(large.read_bytes())
    assert list(Notebook(tmp_path / "state" / "towpath").all()) == []


def test_cancelling_terminates_the_parts(joining: Server, large: Path, tmp_path: Path) -> None:
    plan = Plan(up=Lane(rate=4 * MIB))
    with (
        threaded(Wire("127.0.0.1", joining.port, plan=lambda _: plan)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=tmp_path / "state") as client,
    ):
        transfer = client.upload(large, "d/")
        assert any(progress.sent_bytes >= 4 * MIB for progress in transfer)
        transfer.cancel()
    with contextlib.closing(sqlite3.connect(f"{joining.data}.db")) as known:
        assert known.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


@pytest.mark.interop
def test_a_server_that_joins_nothing_is_sent_a_large_file_by_one_connection(
    large: Path, tmp_path: Path
) -> None:
    if not shutil.which("node") or not (HERE / "node_modules").exists():
        pytest.skip(
            "LOUD: no file went to a server that joins nothing: install Node, make setup-node"
        )
    heard = Overheard()
    with (
        Server(tmp_path / "data", command=joins_not) as server,
        threaded(Wire("127.0.0.1", server.port, tap=heard)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=tmp_path / "state") as client,
    ):
        up = client.upload(large, "e/").result()
        assert stored(up.url) == digest(large.read_bytes())
    methods = [each.method for each in heard.requests if each.method != "GET"]
    assert methods[:4] == ["POST", "OPTIONS", "POST", "PATCH"]
    sent = [(each.path, each.place) for each in heard.requests if each.method == "PATCH"]
    assert sent == [(sent[0][0], 0), (sent[0][0], SIZE)]  # the second one asks what became of it
