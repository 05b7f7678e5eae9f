"""A transfer in a `with` block: what becomes of it when that is left."""

from pathlib import Path

import pytest

from tests.client.conftest import received
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import AsyncClient, Client, Transfer

pytestmark = pytest.mark.anyio


async def test_leaving_a_transfer_waits_for_it_and_raises_what_ended_it(
    server: FakeServer, state: Path, tmp_path: Path
) -> None:
    async with AsyncClient(server.url, state_dir=state) as client:
        async with client.upload(b"x", "x") as transfer:
            assert isinstance(transfer, Transfer)
        assert transfer.done
        failing = client.upload(tmp_path / "nothing")
        with pytest.raises(errors.NotFound):
            async with failing:
                pass


async def test_leaving_a_transfer_by_an_error_pauses_it(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the context is what is tested
            async with transfer:
                await received(server, 2_000_000)
                raise ZeroDivisionError
        assert (transfer.progress.state, len(await client.unfinished())) == ("paused", 1)
        async with transfer:
            """It is paused: there is nothing to wait for."""
        server.release.set()
        async with transfer:
            await transfer.resume()
        assert (await transfer).resumed_from >= 2_000_000


async def test_leaving_a_transfer_that_was_cancelled_raises_nothing(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client, client.upload(large) as transfer:
        await received(server, 2_000_000)
        await transfer.cancel()
    assert server.uploads == {}


def test_leaving_a_transfer_of_the_blocking_side_does_the_same(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    with Client(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        with pytest.raises(ZeroDivisionError), transfer:  # noqa: PT012 - the context is what is tested
            server.wait_for(2_000_000)
            raise ZeroDivisionError
        assert transfer.progress.state == "paused"
        server.release.set()
        with transfer:
            transfer.resume()
        assert transfer.done
        paused = client.upload(large, "again")
    with paused:
        client.close()  # again is no error, and there is nothing left to wait for


async def test_leaving_the_client_waits_for_what_was_just_resumed(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        await received(server, 2_000_000)
        await transfer.pause()
        server.release.set()
        await transfer.resume()
    assert transfer.progress.state == "complete"
