"""tus-js-client, the JavaScript client of the tus project, under Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import require_same
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

HERE = Path(__file__).parent
PATIENCE = 25.0
CLIENTS = {"4": "tus-js-client", "5": "tus-js-client-5"}
CHUNK = 7 * 1024 * 1024
SLOWLY = 60e6  # bytes a second

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        shutil.which("node") is None, reason="LOUD: tus-js-client has sent nothing: install Node"
    ),
    pytest.mark.skipif(
        not (HERE / "node_modules").exists(),
        reason="LOUD: tus-js-client has sent nothing: install Node, then call make setup-node",
    ),
]


def upload(url: str, file: Path, **wanted: Any) -> dict[str, Any]:
    """What became of it, and which requests were answered how."""
    told = {"endpoint": f"{url}/files/", "file": str(file), **wanted}
    done = subprocess.run(
        ["node", HERE / "upload.mjs", json.dumps(told)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


WAYS = {
    "as one": {},
    "in chunks": {"chunkSize": CHUNK},
    "with the creation": {"uploadDataDuringCreation": True},
    "length deferred": {"uploadLengthDeferred": True, "chunkSize": CHUNK},
    "four at once": {"parallelUploads": 4},
    "four at once in chunks": {"parallelUploads": 4, "chunkSize": CHUNK},
    "draft 03": {"protocol": "ietf-draft-03"},
    "draft 05": {"protocol": "ietf-draft-05"},
    "draft 05 in chunks": {"protocol": "ietf-draft-05", "chunkSize": CHUNK},
    "in chunks with the creation": {
        "uploadDataDuringCreation": True,
        "chunkSize": CHUNK,
        "metadata": {"filename": "Größe.bin", "filetype": "application/x-large"},
    },
}


FEW = ("as one", "four at once", "draft 05")  # where the server is not our own
RUNS = [
    pytest.param(kind, client, way, id=f"{kind}, {client}, {way}")
    for kind in ("direct", "plain", "granian")
    for client in CLIENTS
    for way in (WAYS if kind == "direct" else FEW)
]


@pytest.mark.parametrize(("server", "client", "way"), RUNS, indirect=["server"])
def test_an_upload_that_is_cut_goes_on_by_itself(
    server: Served, large: Path, client: str, way: str
) -> None:
    with cutting(server.address, up=large.stat().st_size // 2) as cutter:
        # Of a file, version 4 takes the last piece for the last only if it is the whole file.
        told = {"inMemory": client == "4" and way.startswith("draft")}
        done = upload(cutter.url, large, client=CLIENTS[client], options=WAYS[way], **told)
        assert cutter.cuts == 1
    # Granian hands over requests in no order: a chunk that was cut off may be admitted behind the
    # HEAD that came after it, and then the next chunk is told the true offset, once more.
    fine = {200, 201, 204} | ({409} if server.kind == "granian" else set())
    assert {status for _, status in done["requests"]} <= fine, done["requests"]
    require_same(server, done["url"], large)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_upload_that_was_stopped_is_carried_on_by_another_process(
    server: Served, large: Path, tmp_path: Path, client: str
) -> None:
    told: dict[str, Any] = {"client": CLIENTS[client]}
    if client == "4":
        told["urlStorage"] = str(tmp_path / "uploads.json")
    with cutting(server.address, rate=SLOWLY) as wire:  # else it may be over before it is stopped
        stopped = upload(wire.url, large, stopAt=large.stat().st_size // 2, **told)
        assert stopped["stopped"]
        if client == "5":  # it has no memory of its own under Node yet
            told["options"] = {"uploadUrl": stopped["url"]}
        done = upload(wire.url, large, **told)
    assert done["url"] == stopped["url"]
    assert [method for method, _ in done["requests"]] == ["HEAD", "PATCH"]
    require_same(server, done["url"], large)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_upload_of_nothing_is_complete_at_once(
    server: Served, tmp_path: Path, client: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    done = upload(server.url, empty, client=CLIENTS[client])
    assert done["requests"][0] == ["POST", 201]
    require_same(server, done["url"], empty)
    key = done["url"].rpartition("/")[2]
    assert Tus(server).ask("GET", f"/api/v1/uploads/{key}").document["state"] == "complete"
