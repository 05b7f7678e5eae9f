"""A server that stops: what came is kept, who asked is answered, and it ends in time."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.web.process import Process, process
from tests.web.talk import CHUNK, Fields, Line, Tus, metadata, require_problem
from towpath.assemble import application, service
from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.settings import Settings
from towpath.web.app import App
from towpath.web.gate import LoopbackGate
from towpath.web.service import Service

CONTENT = random.Random(11).randbytes(20_000_000)
MINE = {"X-Request-Id": "my-request-1"}


@pytest.fixture(params=["direct", "plain", "granian"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    """A process of each kind of server."""
    with process(request.param, tmp_path, shutdown_seconds=2) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """A process of the server that most people run."""
    with process("direct", tmp_path, shutdown_seconds=1) as made:
        yield made


def begin(line: Line, path: str, count: int) -> None:
    """Send so many bytes of a chunk that announces all of them."""
    fields = {**CHUNK, "Upload-Offset": 0, "Content-Length": len(CONTENT)}
    line.send_head("PATCH", path, fields)
    line.send(CONTENT[:count])


def test_an_upload_under_way_is_settled_and_goes_on_after_a_restart(running: Process) -> None:
    tus = Tus(running.served)
    path = tus.new(len(CONTENT))
    line = Line(running.served)
    begin(line, path, 15_000_000)
    seen = tus.offset_reaches(path, 5_000_000)
    running.send(signal.SIGTERM)
    if running.served.kind != "granian":  # which does not tell the application
        require_problem(line.answer(), 409, "taken-over")
    running.end()
    line.close()
    running.start_again()
    offset = tus.offset(path)
    assert seen <= offset <= 15_000_000
    assert tus.patch(path, offset, CONTENT[offset:]).status == 204
    assert tus.ask("GET", path).body == CONTENT


def test_what_was_acknowledged_outlives_a_kill(running: Process) -> None:
    tus = Tus(running.served)
    path = tus.new(len(CONTENT))
    assert tus.patch(path, 0, CONTENT[:3_000_000]).status == 204
    running.end(signal.SIGKILL)
    running.start_again()
    assert tus.offset(path) == 3_000_000
    assert tus.patch(path, 3_000_000, CONTENT[3_000_000:]).status == 204
    assert tus.ask("GET", path).body == CONTENT


def test_a_server_without_work_ends_well(running: Process) -> None:
    assert Tus(running.served).ask("GET", "/livez").body == b"ok\n"
    assert running.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nobody_holds_a_server_that_stops(server: Process, number: signal.Signals) -> None:
    """Not an idle connection, half a head, a silent body, nor a reader who takes nothing."""
    tus = Tus(server.served)
    large = tus.put(CONTENT)
    idle, half, silent, reader = (Line(server.served) for _ in range(4))
    assert idle.ask("GET", "/livez").status == 200
    half.send(b"POST /files/ HTTP/1.1\r\nHost:")
    begin(silent, tus.new(len(CONTENT)), 100)
    reader.send_head("GET", large, {})
    assert reader.head()[0] == 200
    began = time.monotonic()
    assert server.end(number) == 0
    assert time.monotonic() - began < 10
    for line in (idle, half, silent, reader):
        line.close()


def test_a_second_server_does_not_take_the_data(server: Process, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="StoreBusy"):
        Process("direct", tmp_path)
    assert Tus(server.served).ask("GET", "/livez").status == 200


# What is logged


def test_each_request_is_a_line_of_json_with_its_ids(running: Process) -> None:
    tus = Tus(running.served)
    answer = tus.create(3, upload_metadata=metadata(name="x"), X_Request_Id="creation-1")
    assert answer.fields["x-request-id"] == "creation-1"
    path = answer.fields["location"]
    key = path.rpartition("/")[2]
    tus.patch(path, 0, b"abc", X_Request_Id="chunk-1")
    tus.patch(path, 1, b"abc", X_Request_Id="refused-1")
    tus.ask("GET", path, MINE)
    tus.ask("GET", "/api/v1/names?secret=1", {"X-Request-Id": "not a word"})
    tus.ask("GET", "/livez", {"X-Request-Id": "alive-1"})
    running.end()
    lines = {line["request"]: line for line in running.entries() if line["message"] == "request"}
    for word, method, status in (
        ("creation-1", "POST", 201),
        ("chunk-1", "PATCH", 204),
        ("refused-1", "PATCH", 409),
        ("my-request-1", "GET", 200),
    ):
        line = lines[word]
        assert (line["upload"], line["method"], line["status"]) == (key, method, status)
        assert line["seconds"] >= 0
        assert line["level"] == "info"
        assert line["time"].endswith("+00:00")
    assert "alive-1" not in lines
    assert "not a word" not in lines
    assert "secret" not in running.log.read_text()


def test_a_chunk_that_ends_early_is_a_line_with_its_ids(server: Process) -> None:
    tus = Tus(server.served)
    path = tus.new(len(CONTENT))
    line = Line(server.served)
    begin(line, path, 1000)
    tus.offset_reaches(path, 1000)
    assert tus.offset(path) == 1000
    require_problem(line.answer(), 409, "taken-over")
    line.close()
    server.end()
    (early,) = (each for each in server.entries() if each["message"] == "a request ended early")
    assert early["upload"] == path.rpartition("/")[2]
    assert early["level"] == "warning"
    assert early["request"]


def test_a_path_cannot_forge_a_line_of_the_log(tmp_path: Path) -> None:
    with process("direct", tmp_path, log_format="text") as made:
        Tus(made.served).ask("GET", "/files/x%0a2026-01-01_forged%0d%1b[2J")
        made.end()
        lines = made.log.read_bytes().splitlines()
    assert not any(line.startswith(b"2026-01-01") for line in lines)
    assert b"\x1b" not in b"".join(lines)


# Readiness


async def ask(
    app: App, path: str, query: str = "", *, method: str = "GET", fields: Fields | None = None
) -> tuple[int, str]:
    """What the application answers."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(name.encode(), str(value).encode()) for name, value in (fields or {}).items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    return said[0]["status"], b"".join(each.get("body", b"") for each in said).decode()


@pytest.fixture
def made(tmp_path: Path) -> Service:
    """What stands behind a server that is not there."""
    return service(Settings(data=tmp_path / "data", sweep_seconds=0, scrub_every=0))


@pytest.mark.anyio
async def test_readiness_flips_when_the_server_stops_and_life_stays(made: Service) -> None:
    app = application(made, LoopbackGate())
    assert await ask(app, "/readyz") == (200, "ok\n")
    status, text = await ask(app, "/readyz", "verbose")
    assert status == 200
    assert text.splitlines() == ["[+] server ok", "[+] memory ok", "[+] store ok", "[+] ledger ok"]
    await made.drain()
    status, text = await ask(app, "/readyz")
    assert status == 503
    assert "[-] server is stopping" in text
    assert (await ask(app, "/livez"))[0] == 200
    await made.end()


@pytest.mark.anyio
async def test_a_disk_that_is_full_makes_the_server_not_ready(made: Service) -> None:
    made.settings = replace(made.settings, min_free=2**62)
    status, text = await ask(application(made, LoopbackGate()), "/readyz")
    assert status == 503
    assert "[-] store is full" in text
    assert "[+] ledger ok" in text
    await made.end()


@pytest.mark.anyio
async def test_a_server_that_stops_takes_no_more_chunks(made: Service) -> None:
    upload = await made.engine.create(ANONYMOUS, NewUpload(length=10))
    await made.drain()
    app = application(made, LoopbackGate())
    fields = {**CHUNK, "Upload-Offset": 0, "Content-Length": 0}
    status, text = await ask(app, f"/files/{upload.id}", method="PATCH", fields=fields)
    assert (status, json.loads(text)["code"]) == (503, "limit-reached")
    await made.end()
