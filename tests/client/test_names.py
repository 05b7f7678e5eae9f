"""What both clients ask about names, from a real server."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest

from tests.web.running import House, Served
from tests.web.talk import Tus, metadata
from towpath.client import AsyncClient, Client
from towpath.errors import NameConflict, NotFound


@pytest.fixture
def served(house: House) -> Served:
    return house.get("direct")


def put(served: Served, name: str) -> None:
    Tus(served).put(name.encode(), upload_metadata=metadata(name=name))


def test_the_blocking_client_moves_and_links(served: Served, tmp_path: Path) -> None:
    put(served, "blocking/a b")
    with Client(served.url, state_dir=tmp_path) as client:
        assert client.move("blocking/a b", "blocking/ü") == "blocking/ü"
        with pytest.raises(NotFound):
            client.move("blocking/a b", "blocking/c")
        made = client.link("blocking/ü", seconds=60, disposition="inline", filename="x.txt")
        assert made.href.startswith(f"{served.url}/files/")
        with urllib.request.urlopen(made.href, timeout=10) as answer:
            assert answer.read() == b"blocking/a b"
        client.remove("blocking/ü")


def test_the_asyncio_client_moves_and_links(served: Served, tmp_path: Path) -> None:
    put(served, "asyncio/a")
    put(served, "asyncio/b")

    async def main() -> tuple[str, str]:
        async with AsyncClient(served.url, state_dir=tmp_path) as client:
            with pytest.raises(NameConflict):
                await client.move("asyncio/a", "asyncio/b")
            name = await client.move("asyncio/a", "asyncio/b", on_conflict="replace")
            return name, (await client.link(name)).href

    name, href = asyncio.run(main())
    assert name == "asyncio/b"
    with urllib.request.urlopen(href, timeout=10) as answer:
        assert answer.read() == b"asyncio/a"
