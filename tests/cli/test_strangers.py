"""Servers that are no Towpath: another web server, and another server of tus."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SAID = "What answers is not a Towpath server."


class Stranger(BaseHTTPRequestHandler):
    """Knows nothing of what it is asked, and says so as web servers do. `more`: fields of tus."""

    more: dict[str, str] = {}  # noqa: RUF012 - each server has a class of its own
    found = 404

    def do_GET(self) -> None:
        body = b"<h1>Nothing here</h1>"
        self.send_response(self.found)
        for name, value in {"Content-Length": str(len(body)), **self.more}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - as http.server calls them

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    do_PATCH = do_POST  # noqa: N815 - as above

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Say nothing."""


@pytest.fixture
def strange(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Stranger]]:
    """What the server of the commands is like."""
    kind = type("Kind", (Stranger,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("TOWPATH_URL", f"http://127.0.0.1:{server.server_port}")
        try:
            yield kind
        finally:
            server.shutdown()
            thread.join()


COMMANDS = [
    ["ls"],
    ["stat", "a"],
    ["get", "a", "b"],
    ["cat", "a"],
    ["rm", "a"],
    ["mv", "a", "b"],
    ["link", "a"],
    ["verify", "a"],
    ["sync", ".", ":a"],
    ["top", "--once"],
]


@pytest.mark.parametrize("words", [*COMMANDS, ["put", "file"]], ids=" ".join)
@pytest.mark.parametrize("status", [200, 404, 405, 501])
def test_another_web_server_is_called_one(
    run: Run,
    strange: type[Stranger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    strange.found = status
    ran = run(*words)
    assert ran.code in (1, 4)
    if (words[0], status) != ("put", 200):
        assert SAID in ran.err
        assert "towpath doctor" in ran.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_another_server_of_tus_is_called_one_where_names_are_asked_for(
    run: Run,
    strange: type[Stranger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    strange.more = {"Tus-Resumable": "1.0.0"}
    assert SAID in run(*words).err


def test_a_server_of_tus_that_refuses_an_upload_is_not_called_a_stranger(
    run: Run, strange: type[Stranger], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    strange.more = {"Tus-Resumable": "1.0.0"}
    ran = run("put", tmp_path / "file")
    assert (ran.code, SAID in ran.err) == (4, False)
