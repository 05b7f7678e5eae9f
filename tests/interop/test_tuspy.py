"""tuspy, the Python client of the tus project."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tusclient import client
from tusclient.exceptions import TusCommunicationError

from tests.interop.conftest import SIZE, require_same
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

CHUNK_SIZE = 7 * 1024 * 1024


def uploader(server_url: str, file: BinaryIO, **more: Any) -> Any:
    """A client's upload of the file; tuspy would leave a file open that it opened itself."""
    return client.TusClient(f"{server_url}/files/").uploader(file_stream=file, **more)


@pytest.mark.parametrize("chunk_size", [CHUNK_SIZE, SIZE])
def test_an_upload_that_is_cut_goes_on_by_itself(
    server: Served, large: Path, chunk_size: int
) -> None:
    told = {"metadata": {"filename": large.name, "note": ""}, "retries": 3, "retry_delay": 0}
    with cutting(server.address, up=SIZE // 2) as cutter, large.open("rb") as file:
        upload = uploader(cutter.url, file, chunk_size=chunk_size, **told)
        upload.upload()
        assert cutter.cuts == 1
    assert upload.offset == SIZE
    require_same(server, upload.url, large)


def test_an_upload_that_failed_is_carried_on_by_another_client(server: Served, large: Path) -> None:
    with cutting(server.address, up=SIZE // 2) as cutter, large.open("rb") as file:
        first = uploader(cutter.url, file, chunk_size=CHUNK_SIZE)
        with pytest.raises(TusCommunicationError):
            first.upload()
    address = f"{server.url}/files/{first.url.rpartition('/')[2]}"
    with large.open("rb") as file:
        second = uploader(server.url, file, chunk_size=CHUNK_SIZE, url=address)
        assert CHUNK_SIZE < second.offset < SIZE // 2 + CHUNK_SIZE
        second.upload()
    require_same(server, second.url, large)


def test_metadata_comes_back_as_it_was_sent(server: Served, large: Path) -> None:
    with large.open("rb") as file:
        upload = uploader(server.url, file, metadata={"note": "", "filename": "Größe 1.bin"})
        address = upload.create_url()
    answer = Tus(server).head("/files/" + address.rpartition("/")[2])
    assert answer.fields["upload-metadata"] == ",".join(upload.encode_metadata())
