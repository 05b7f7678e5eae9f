"""A server on a Unix socket: its file, who may connect, and that bytes come and go fast there."""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.web.running import PATIENCE, Served
from tests.web.talk import TUS, Line, Tus, metadata, require_problem
from towpath.assemble import server
from towpath.errors import SettingsError, StoreBusy
from towpath.settings import Settings, load
from towpath.web.exchange import Exchange
from towpath.web.local_socket import LocalSocket

CONTENT = bytes(range(256)) * 40_000
STRANGER = "203.0.113.9"


@dataclass(frozen=True)
class Local(Served):
    """A server that answers on a Unix socket."""

    path: Path = Path()

    @property
    def address(self) -> tuple[str, int]:
        """What stands in Host."""
        return "localhost", 80

    def connect(self) -> socket.socket:
        """A connection."""
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(PATIENCE)
        line.connect(str(self.path))
        return line


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[tuple[Local, str]]:
    """A server and what it announced."""
    path = folder / "towpath.sock"
    told = {"data": folder / "data", "unix_socket": path, **settings}
    urls: queue.Queue[str] = queue.Queue()
    serving = server(load(told, environment=False), announce=urls.put)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    try:
        announced = urls.get(timeout=PATIENCE)
        yield Local("unix", announced, folder / "data", path=path), announced
    finally:
        serving.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not end"


@pytest.fixture(params=[True, False], ids=["direct", "plain"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Local]:
    """Both kinds of our server."""
    with running(tmp_path, direct=request.param) as (served, _):
        yield served


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_and_its_download_go_through_the_socket(local: Local, chunked: bool) -> None:
    tus = Tus(local, chunked=chunked)
    path = tus.new(len(CONTENT))
    assert tus.patch(path, 0, CONTENT[:5_000_000]).status == 204
    assert tus.patch(path, 5_000_000, CONTENT[5_000_000:]).status == 204
    assert tus.ask("GET", path).body == CONTENT


def test_bytes_come_straight_from_the_socket_and_go_by_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []
    take, send = Exchange.take, Exchange._send_range

    def taken(self: Exchange) -> Any:
        ways.append("taken")
        return take(self)

    def sent(self: Exchange, *range_of: int) -> Any:
        ways.append("sent")
        return send(self, *range_of)

    monkeypatch.setattr(Exchange, "take", taken)
    monkeypatch.setattr(Exchange, "_send_range", sent)
    with running(tmp_path) as (served, _):
        tus = Tus(served)
        assert tus.ask("GET", tus.put(CONTENT)).body == CONTENT
    assert ways == ["taken", "sent"]


def test_a_sender_that_goes_away_is_noticed_and_its_bytes_are_kept(local: Local) -> None:
    tus = Tus(local)
    path = tus.new(1000)
    line = Line(local)
    kind = {**TUS, "Content-Type": "application/offset+octet-stream"}
    line.send_head("PATCH", path, {**kind, "Upload-Offset": 0, "Content-Length": 1000})
    line.send(b"x" * 400)
    tus.offset_reaches(path, 400)
    line.close()
    assert tus.patch(path, 400, b"y" * 600).status == 204
    assert tus.ask("GET", path).body == b"x" * 400 + b"y" * 600


def test_a_sender_that_stalls_is_taken_over(local: Local) -> None:
    tus = Tus(local)
    path = tus.new(1000)
    line = Line(local)
    kind = {**TUS, "Content-Type": "application/offset+octet-stream"}
    line.send_head("PATCH", path, {**kind, "Upload-Offset": 0, "Content-Length": 1000})
    line.send(b"x" * 400)
    tus.offset_reaches(path, 400)
    assert tus.offset(path) == 400
    require_problem(line.answer(), 409, "taken-over")
    line.close()


def test_without_tokens_it_counts_as_this_machine(local: Local) -> None:
    tus = Tus(local)
    assert tus.ask("GET", "/api/v1/names").status == 200
    require_problem(tus.ask("GET", "/api/v1/names", host="evil.example"), 403, "forbidden")
    origin = {"Origin": "https://evil.example"}
    require_problem(tus.ask("GET", "/api/v1/names", origin), 403, "forbidden")
    assert tus.ask("GET", "/api/v1/names", {"X-Forwarded-For": STRANGER}).status == 200


def test_a_proxy_that_uses_the_socket_is_trusted_by_that_name(tmp_path: Path) -> None:
    with running(tmp_path, proxies="unix") as (served, _):
        tus = Tus(served)
        assert tus.ask("GET", "/api/v1/names", {"X-Forwarded-For": STRANGER}).status == 403
        assert tus.ask("GET", "/api/v1/names", {"X-Forwarded-For": "::1"}).status == 200
        assert tus.ask("GET", "/api/v1/names").status == 200


# The file


def test_the_file_has_its_permissions_and_goes_with_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as (served, announced):
        assert announced == f"unix:{served.path}"
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o660
    assert not served.path.exists()
    with running(tmp_path, unix_mode="600") as (served, _):
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o600


def test_the_file_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "towpath.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with running(tmp_path) as (served, _):
        assert Tus(served).ask("GET", "/livez").status == 200


def test_the_file_of_a_living_server_is_left_to_it(tmp_path: Path) -> None:
    with running(tmp_path) as (served, _):
        with pytest.raises(SettingsError) as caught:
            server(Settings(data=tmp_path / "other", unix_socket=served.path), announce=print)
        assert "Another server" in caught.value.why
        assert not (tmp_path / "other").exists()
        assert Tus(served).ask("GET", "/livez").status == 200


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_is_no_socket_is_never_taken_away(tmp_path: Path, what: str) -> None:
    path = tmp_path / "precious"
    path.write_text("precious") if what == "file" else path.mkdir()
    with pytest.raises(SettingsError):
        LocalSocket(path, 0o660)
    assert path.exists()


@pytest.mark.parametrize("path", ["no/such/folder/a.sock", "x" * 120])
def test_a_path_that_cannot_be_used_is_refused_in_words(tmp_path: Path, path: str) -> None:
    with pytest.raises(SettingsError) as caught:
        LocalSocket(tmp_path / path, 0o660)
    assert caught.value.why


def test_nobody_is_let_in_before_the_file_has_its_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, refused = tmp_path / "a.sock", []
    chmod = Path.chmod

    def late(self: Path, mode: int) -> None:
        with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
            early.connect(str(self))
        refused.append(self)
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", late)
    LocalSocket(path, 0o600).close()
    assert refused == [path]


def test_a_file_that_is_not_ours_any_more_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = LocalSocket(path, 0o660)
    path.unlink()
    second = LocalSocket(path, 0o660)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    second.close()


def test_no_file_is_left_when_the_data_cannot_be_opened(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", unix_socket=tmp_path / "second.sock")
    with running(tmp_path), pytest.raises(StoreBusy):
        server(settings, announce=print)
    assert not (tmp_path / "second.sock").exists()


@pytest.mark.parametrize("mode", ["8", "abc", "0o660", "6600", "-66"])
def test_permissions_that_are_none_are_refused(mode: str) -> None:
    with pytest.raises(SettingsError):
        load({"unix_mode": mode}, environment=False)


# The command


def test_the_command_says_where_it_listens_and_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "towpath.sock"
    words = ["serve", "--unix-socket", str(path), "--base-path", "/up"]
    process = subprocess.Popen(
        [sys.executable, "-m", "towpath.cli.main", *words, "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Towpath listens on unix:{path}\n"
        tus = Tus(Local("unix", "", tmp_path / "data", path=path))
        fields = {**TUS, "Upload-Length": 0, "Upload-Metadata": metadata(name="a")}
        answer = tus.ask("POST", "/up/files/", fields)
        assert (answer.status, answer.fields["location"][:10]) == (201, "/up/files/")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not path.exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def test_a_killed_server_is_followed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "towpath.sock"
    words = ["serve", "--unix-socket", str(path), "--data", str(tmp_path / "data")]
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "towpath.cli.main", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.kill()
        assert path.exists()
