"""Below a base path, or mounted in another application: where things live, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.web.forming import Forms
from tests.web.running import House, running
from tests.web.talk import CHUNK, TUS, Fields, Tus, metadata, require_problem
from towpath.assemble import application, gate_of, service
from towpath.client import Client
from towpath.settings import Settings

KINDS = ["direct", "plain", "granian", "tls"]


@pytest.fixture(params=KINDS)
def based(house: House, request: pytest.FixtureRequest) -> Forms:
    """A server all of whose routes live below /towpath."""
    return Forms(house.get(request.param, base_path="/towpath"), "/towpath")


def test_all_routes_live_below_the_base(based: Forms) -> None:
    tus = Tus(based.served)
    for path in ("/towpath", "/towpath/", "/towpath/livez", "/towpath/readyz",
                 "/towpath/api/v1/names", "/towpath/api/v1/server"):  # fmt: skip
        assert tus.ask("GET", path).status == 200, path
    assert "creation" in tus.ask("OPTIONS", "/towpath/files").fields["tus-extension"]
    shown = tus.ask("GET", "/towpath").body.decode()
    assert 'href="/towpath/readyz?verbose"' in shown
    assert "<code>/towpath/files/</code>" in shown
    for path in ("/", "/livez", "/files/", "/api/v1/names", "/towpathology"):
        document = require_problem(tus.ask("GET", path), 404, "not-found")
        assert "/towpath/" in document["detail"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_location_has_scheme_and_host_where_that_is_wanted(house: House, kind: str) -> None:
    served = house.get(kind, base_path="/towpath", absolute_locations=True)
    tus = Tus(served)
    fields = {**TUS, "Upload-Length": 5}
    location = tus.ask("POST", "/towpath/files/", fields).fields["location"]
    origin = served.url.removesuffix("/towpath")
    assert location.startswith(f"{origin}/towpath/files/")
    path = location.removeprefix(origin)
    assert tus.patch(path, 0, b"hello").status == 204
    asked: Fields = {"Upload-Draft-Interop-Version": 8, "Upload-Complete": "?1"}
    other = tus.ask("POST", "/towpath/files/", asked, b"whole").fields["location"]
    assert other.startswith(f"{origin}/towpath/files/")


def test_every_address_has_the_base(based: Forms) -> None:
    tus = Tus(based.served)
    name = metadata(name="based")
    fields = {**TUS, "Upload-Length": 5, "Upload-Metadata": name}
    path = tus.ask("POST", "/towpath/files/", fields).fields["location"]
    assert path.startswith("/towpath/files/")
    key = path.rpartition("/")[2]
    assert tus.ask("GET", f"/towpath/api/v1/uploads/{key}").document["href"] == path
    assert tus.patch(path, 0, b"hello").status == 204
    assert tus.ask("GET", path).body == b"hello"
    listed = tus.ask("GET", "/towpath/api/v1/names?prefix=based").document["names"]
    assert listed[0]["href"] == path
    sent = tus.ask("POST", "/towpath/v1/uploads?name=one", {}, b"hello").document
    assert sent["url"].startswith("/towpath/files/")
    put = tus.ask("PUT", "/towpath/names/folder/put", {}, b"hello")
    assert (put.status, put.fields["location"]) == (201, "/towpath/names/folder/put")
    ranged = tus.ask("POST", "/towpath/ranges", {}, b'{"length": 5}')
    assert ranged.status == 201, ranged.body
    assert ranged.fields["location"].startswith("/towpath/ranges/")
    said = {"filename": "a.pdf", "file_size": 10, "chunk_size": 5}
    begun = based.json("POST", "/api/documents/streaming/initiate", said).document
    assert begun["upload_url"].startswith("/towpath/api/documents/streaming/chunk/")
    fields = {**CHUNK, "Upload-Length": 5, "Upload-Concat": "partial"}
    part = tus.ask("POST", "/towpath/files/", fields, b"hello").fields["location"]
    joined = {**TUS, "Upload-Concat": f"final;{part} http://files.example{part}"}
    assert tus.ask("POST", "/towpath/files/", joined).status == 201


def test_health_is_not_logged_below_a_base_and_nothing_else_hides_behind_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    tus = Tus(house.get("direct", base_path="/towpath"))
    with caplog.at_level("INFO", "towpath.web"):
        for path in ("/towpath/livez", "/towpath/api/v1/names/livez", "/livez"):
            tus.ask("GET", path)
        tus.ask("GET", "/towpath/api/v1/server")
    logged = [getattr(record, "path", "") for record in caplog.records]
    assert "/towpath/livez" not in logged
    assert "/towpath/api/v1/names/livez" in logged


def test_our_own_client_finds_its_way_below_the_base(tmp_path: Path) -> None:
    file, back = tmp_path / "file.bin", tmp_path / "back.bin"
    file.write_bytes(bytes(range(256)) * 4000)
    with (
        running("direct", tmp_path / "server", base_path="/towpath") as served,
        Client(served.url, state_dir=tmp_path / "state") as client,
    ):
        assert served.url.endswith("/towpath")
        client.upload(file, name="a/file.bin").result()
        client.download("a/file.bin", back).result()
    assert back.read_bytes() == file.read_bytes()


# Mounted in another application


@pytest.mark.anyio
async def test_a_mounted_application_tells_addresses_below_its_mount(tmp_path: Path) -> None:
    made = await asyncio.to_thread(service, Settings(data=tmp_path / "data"))
    try:
        inner = application(made, gate_of(made.settings))
        outer = Starlette(routes=[Mount("/store", app=inner)])
        fields = {"tus-resumable": "1.0.0", "upload-length": "0", "upload-metadata": "name bQ=="}
        status, told, _ = await ask(outer, "POST", "/store/files/", fields)
        assert status == 201
        assert told["location"].startswith("/store/files/")
        status, _, body = await ask(outer, "GET", "/store/api/v1/names/m", {})
        assert status == 200
        assert told["location"].encode() in body
        status, _, body = await ask(outer, "GET", told["location"], {})
        assert (status, body) == (200, b"")
    finally:
        await made.end()


async def ask(
    asked: Callable[..., Any], method: str, path: str, fields: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """A request by ASGI, without a body."""
    headers = [(b"host", b"localhost")]
    headers += [(name.encode(), value.encode()) for name, value in fields.items()]
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "root_path": "",
        "query_string": b"", "headers": headers, "scheme": "http", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asked(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent[1:])
