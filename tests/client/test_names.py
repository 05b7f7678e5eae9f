"""What both clients ask about names, from a real server."""

from __future__ import annotations

import asyncio
import io
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.web.running import House, Served
from tests.web.talk import Tus, metadata
from towpath.client import AsyncClient, Client
from towpath.errors import Malformed, NameConflict, NotFound, SettingsError


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


BAD = os.fsdecode(b"bad\xff")
CALLS: dict[str, Callable[[Client], object]] = {
    "stat": lambda client: client.stat(BAD),
    "remove": lambda client: client.remove(BAD),
    "move": lambda client: client.move(BAD, "a"),
    "move to": lambda client: client.move("a", BAD),
    "link": lambda client: client.link(BAD),
    "names": lambda client: list(client.names(BAD)),
    "names after": lambda client: list(client.names(after=BAD)),
    "rewrap": lambda client: client.rewrap(BAD, [], []),
    "open": lambda client: client.open(BAD).read(),
    "open to write": lambda client: client.open(BAD, "wb").close(),
    "blocks": lambda client: list(client.blocks(BAD)),
    "download": lambda client: client.download(BAD, "not there").result(),
    "pour": lambda client: client.download(BAD, io.BytesIO()).result(),
    "upload": lambda client: client.upload(__file__, BAD).result(),
    "upload of bytes": lambda client: client.upload(b"x", BAD).result(),
    "metadata": lambda client: client.upload(b"x", "a", metadata={"k": BAD}).result(),
    "cancel": lambda client: client.cancel(BAD),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_name_that_is_not_utf8_is_refused_by_every_call(
    served: Served, tmp_path: Path, call: Callable[[Client], object]
) -> None:
    with (
        Client(served.url, state_dir=tmp_path, retries=0) as client,
        pytest.raises(Malformed, match="it is not UTF-8"),
    ):
        call(client)


def test_the_asyncio_client_refuses_a_name_that_is_not_utf8(served: Served, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncClient(served.url, state_dir=tmp_path) as client:
            with pytest.raises(Malformed, match="it is not UTF-8"):
                await client.stat(BAD)
            with pytest.raises(Malformed, match="it is not UTF-8"):
                client.upload(__file__, BAD)

    asyncio.run(main())


def test_an_address_that_is_not_utf8_is_refused(served: Served, tmp_path: Path) -> None:
    with (
        Client(served.url, state_dir=tmp_path) as client,
        pytest.raises(SettingsError, match="is no URL"),
    ):
        client.download(f"{served.url}/files/{BAD}", tmp_path / "x").result()
