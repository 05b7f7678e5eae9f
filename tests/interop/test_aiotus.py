"""aiotus, an asynchronous Python client of tus."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import aiotus
import pytest
from yarl import URL

from tests.interop.conftest import MIB, require_same
from tests.interop.cutting import cutting
from tests.web.process import process
from tests.web.running import Served
from tests.web.talk import Tus

CHUNK = 7 * MIB
# Its chunks are bytes in memory, of which aiohttp warns.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
QUICK = aiotus.RetryConfiguration(retry_attempts=5, max_retry_period_seconds=0.1)


@pytest.fixture(scope="module", params=["direct", "plain", "granian"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A process of each kind. aiotus 1.1.0 refuses a Location that begins with a slash."""
    folder = tmp_path_factory.mktemp(request.param)
    with process(request.param, folder, absolute_locations=True) as made:
        yield made.served


async def upload(url: str, file: Path) -> URL | None:
    """Upload it as one, in chunks."""
    async with aiohttp.ClientSession() as session:
        with file.open("rb") as content:
            return await aiotus.upload(
                f"{url}/files/", content, {"name": b"a.bin"}, session, QUICK, None, CHUNK
            )


async def upload_parts(url: str, content: bytes, count: int) -> URL | None:
    """Upload it in parts, at the same time."""
    share = -(-len(content) // count)
    parts = [io.BytesIO(content[at : at + share]) for at in range(0, len(content), share)]
    async with aiohttp.ClientSession() as session:
        return await aiotus.upload_multiple(
            f"{url}/files/", parts, {"name": b"a.bin"}, session, QUICK, None, CHUNK, count
        )


def test_an_upload_that_is_cut_goes_on_by_itself(server: Served, large: Path) -> None:
    with cutting(server.address, up=large.stat().st_size // 2) as cutter:
        done = asyncio.run(upload(cutter.url, large))
        assert cutter.cuts == 1
    assert done is not None
    require_same(server, str(done), large)


def test_parts_that_are_cut_go_on_and_become_one(server: Served, large: Path) -> None:
    with cutting(server.address, up=large.stat().st_size // 2) as cutter:
        done = asyncio.run(upload_parts(cutter.url, large.read_bytes(), 4))
        assert cutter.cuts == 1
    assert done is not None
    require_same(server, str(done), large)


def test_metadata_comes_back_as_it_was_sent(server: Served) -> None:
    async def there_and_back() -> tuple[str, dict[str, bytes | None]]:
        async with aiohttp.ClientSession() as session:
            said = {"filename": "Größe 1.bin".encode(), "note": None}
            with tempfile.TemporaryFile() as empty:
                at = await aiotus.upload(f"{server.url}/files/", empty, said, session, QUICK)
            assert at is not None
            found = await aiotus.metadata(at, session, QUICK)
            assert found is not None
            return str(at), dict(found)

    at, found = asyncio.run(there_and_back())
    assert found == {"filename": "Größe 1.bin".encode(), "note": None}
    path = "/api/v1/uploads/" + at.rpartition("/")[2]
    assert Tus(server).ask("GET", path).document["state"] == "complete"
