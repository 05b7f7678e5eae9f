"""tuspy, the Python client of the tus project."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tusclient import client
from tusclient.exceptions import TusCommunicationError

from tests.interop.conftest import require_same
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

CHUNK_SIZE = 7 * 1024 * 1024


def uploader(server_url: str, file: BinaryIO, **more: Any) -> Any:
    """A client's upload of the file; tuspy would leave a file open that it opened itself."""
    return client.TusClient(f"{server_url}/files/").uploader(file_stream=file, **more)


WAYS: dict[str, dict[str, Any]] = {
    "in chunks": {"chunk_size": CHUNK_SIZE},
    "as one": {"chunk_size": 1 << 30},
    "with checksums": {"chunk_size": CHUNK_SIZE, "upload_checksum": True},
    "as one with a checksum": {"chunk_size": 1 << 30, "upload_checksum": True},
}


@pytest.mark.parametrize("way", [pytest.param(v, id=k) for k, v in WAYS.items()])
def test_an_upload_that_is_cut_goes_on_by_itself(
    server: Served, large: Path, way: dict[str, Any]
) -> None:
    size = large.stat().st_size
    told = {"metadata": {"filename": large.name, "note": ""}, "retries": 3, "retry_delay": 0}
    with cutting(server.address, up=size // 2) as cutter, large.open("rb") as file:
        upload = uploader(cutter.url, file, **way, **told)
        upload.upload()
        assert cutter.cuts == 1
    assert upload.offset == size
    require_same(server, upload.url, large)


def test_an_upload_that_failed_is_carried_on_by_another_client(server: Served, large: Path) -> None:
    size = large.stat().st_size
    with cutting(server.address, up=size // 2) as cutter, large.open("rb") as file:
        first = uploader(cutter.url, file, chunk_size=CHUNK_SIZE)
        with pytest.raises(TusCommunicationError):
            first.upload()
    address = f"{server.url}/files/{first.url.rpartition('/')[2]}"
    with large.open("rb") as file:
        second = uploader(server.url, file, chunk_size=CHUNK_SIZE, url=address)
        assert CHUNK_SIZE < second.offset < size // 2 + CHUNK_SIZE
        second.upload()
    require_same(server, second.url, large)


def test_metadata_comes_back_as_it_was_sent(server: Served, large: Path) -> None:
    with large.open("rb") as file:
        upload = uploader(server.url, file, metadata={"note": "", "filename": "Größe 1.bin"})
        address = upload.create_url()
    answer = Tus(server).head("/files/" + address.rpartition("/")[2])
    assert answer.fields["upload-metadata"] == ",".join(upload.encode_metadata())
