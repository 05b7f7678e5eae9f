"""Who holds what is known of an upload, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.world import ANN
from towpath.core.model import Upload
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.engine.live import Live
from towpath.engine.lives import Lives
from towpath.errors import NotFound

pytestmark = pytest.mark.anyio


def live() -> Live:
    """What is known of some upload."""
    row = Upload(
        tenant=ANN.tenant,
        owner=ANN.subject,
        id="u",
        state=UploadState.OPEN,
        length=1,
        handle="h",
        created_at=0,
        updated_at=0,
        expires_at=None,
    )
    return Live(row, Extent(0, 0, ()), ())


async def test_who_comes_when_it_is_loaded_does_not_pass_who_waited_for_it() -> None:
    loading: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
    lives = Lives(lambda _: loading)
    entered: list[str] = []

    async def hold(name: str) -> None:
        async with lives.hold("u"):
            entered.append(name)

    early = [asyncio.ensure_future(hold(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    loading.set_result(live())
    await hold("last")  # at this very moment: those who waited have not woken yet
    await asyncio.gather(*early)
    assert entered == ["first", "second", "last"]


async def test_who_stops_waiting_lets_the_others_in() -> None:
    loading: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
    lives = Lives(lambda _: loading)

    async def hold() -> Live:
        async with lives.hold("u") as held:
            return held

    first, second = (asyncio.ensure_future(hold()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    loading.set_result(live())
    assert await second is loading.result()
    await lives.nobody()


async def test_all_who_wait_learn_that_there_is_none() -> None:
    loading: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
    lives = Lives(lambda _: loading)

    async def hold() -> None:
        async with lives.hold("u"):
            pytest.fail("there is nothing to hold")

    waiting = [asyncio.ensure_future(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    loading.set_exception(NotFound("none", why="none", todo="none"))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotFound] * 3
    await lives.nobody()
