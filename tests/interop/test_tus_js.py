"""tus-js-client, the JavaScript client of the tus project, under Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import SIZE, require_same
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

HERE = Path(__file__).parent
PATIENCE = 25.0

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(
        not (HERE / "node_modules").exists(), reason="make setup-node was not called"
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
    "in chunks": {"chunkSize": 7 * 1024 * 1024},
    "with the creation": {"uploadDataDuringCreation": True},
    "length deferred": {"uploadLengthDeferred": True, "chunkSize": 7 * 1024 * 1024},
    "in chunks with the creation": {
        "uploadDataDuringCreation": True,
        "chunkSize": 7 * 1024 * 1024,
        "metadata": {"filename": "Größe.bin", "filetype": "application/x-large"},
    },
}


@pytest.mark.parametrize("options", [pytest.param(v, id=k) for k, v in WAYS.items()])
def test_an_upload_that_is_cut_goes_on_by_itself(
    server: Served, large: Path, options: dict[str, Any]
) -> None:
    with cutting(server.address, up=SIZE // 2) as cutter:
        done = upload(cutter.url, large, options=options)
        assert cutter.cuts == 1
    # Granian hands over requests in no order: a chunk that was cut off may be admitted behind the
    # HEAD that came after it, and then the next chunk is told the true offset, once more.
    fine = {200, 201, 204} | ({409} if server.kind == "granian" else set())
    assert {status for _, status in done["requests"]} <= fine, done["requests"]
    require_same(server, done["url"], large)


def test_an_upload_that_was_stopped_is_carried_on_by_another_process(
    server: Served, large: Path, tmp_path: Path
) -> None:
    memory = str(tmp_path / "uploads.json")
    stopped = upload(server.url, large, urlStorage=memory, stopAt=SIZE // 2)
    assert stopped["stopped"]
    done = upload(server.url, large, urlStorage=memory)
    assert done["url"] == stopped["url"]
    assert [method for method, _ in done["requests"]] == ["HEAD", "PATCH"]
    require_same(server, done["url"], large)


def test_an_upload_of_nothing_is_complete_at_once(server: Served, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    done = upload(server.url, empty)
    assert done["requests"][0] == ["POST", 201]
    require_same(server, done["url"], empty)
    key = done["url"].rpartition("/")[2]
    assert Tus(server).ask("GET", f"/api/v1/uploads/{key}").document["state"] == "complete"
