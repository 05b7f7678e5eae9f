"""resumable-upload, a Python client of tus; it sends checksums in fields, and knows no trailers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resumable_upload import TusClient

from tests.interop.conftest import MIB, require_same
from tests.interop.cutting import cutting
from tests.web.running import Served

CHUNK = 7 * MIB
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "with SHA-1": ({}, {}),
    "with SHA-256": ({"checksum": "sha256"}, {}),
    "without checksums": ({"checksum": False}, {}),
    "four at once": ({}, {"parallel_uploads": 4}),
    "by POST alone": ({"override_patch_method": True}, {}),
}


def client(url: str, chunk: int = CHUNK, **more: Any) -> TusClient:
    """One that retries soon."""
    return TusClient(f"{url}/files/", chunk_size=chunk, max_retries=5, retry_delay=0.02, **more)


@pytest.mark.parametrize("way", WAYS)
def test_an_upload_that_is_cut_goes_on_by_itself(server: Served, large: Path, way: str) -> None:
    made, how = WAYS[way]
    # It sends a chunk again without asking for the offset, and all of it before it reads that it is
    # refused. Granian does not wait for that: there a chunk has to fit into the sockets.
    chunk = MIB if server.kind == "granian" else CHUNK
    with cutting(server.address, up=large.stat().st_size // 2) as cutter:
        url = client(cutter.url, chunk, **made).upload_file(
            str(large), metadata={"note": ""}, **how
        )
        assert cutter.cuts == 1
    require_same(server, url, large)


def test_an_upload_that_was_stopped_is_carried_on_by_another_client(
    server: Served, large: Path
) -> None:
    stopped = client(server.url).upload_file(str(large), stop_at=2 * CHUNK)
    assert client(server.url).resume_upload(str(large), stopped) == stopped
    require_same(server, stopped, large)
