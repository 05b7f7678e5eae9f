"""What the outbox says is done at least once, later if it fails, and also after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.engine.world import World, until
from towpath.core.model import Outbox
from towpath.engine.outbox import AT_ONCE, FIRST_WAIT, LONGEST_WAIT, MOST_TRIES, Chores, wait_before
from towpath.errors import SettingsError, Unanswered
from towpath.ledger.base import Add, Query

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


class Place:
    """The outbox of a world, and what becomes of its rows."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[str] = []
        self.tries = 0
        self.raises: Callable[[], Exception | None] = lambda: None
        self.chores = self.again()

    def again(self) -> Chores:
        """Another process's."""
        world = self.world
        return Chores(
            world.ledger,
            world.clock,
            world.engine.do,
            {"tell": self.work},
            patience=PATIENCE,
            draw=lambda: 0.5,
        )

    async def work(self, row: Outbox) -> None:
        self.tries += 1
        error = self.raises()
        if error is not None:
            raise error
        self.done.append(f"{row.id} {row.payload}")

    async def put(self, *ids: str, kind: str = "tell") -> None:
        now = self.world.clock.now()
        rows = [
            Outbox(
                tenant="t",
                owner="o",
                id=each,
                kind=kind,
                subject="s",
                payload="{}",
                created_at=now,
                due_at=now,
            )
            for each in ids
        ]
        await self.world.engine.do(self.world.ledger.commit, [Add(row) for row in rows])

    async def rows(self) -> list[Outbox]:
        return await self.world.engine.do(self.world.ledger.list, Outbox, Query())

    async def look(self) -> int:
        begun = await self.chores.look()
        await self.chores.idle()
        return begun


@pytest.fixture
def place(world: World) -> Place:
    return Place(world)


async def test_what_is_due_is_done_once_and_its_row_goes(place: Place) -> None:
    await place.put("a", "b")
    await place.put("c", kind="of another")
    assert await place.look() == 2
    assert sorted(place.done) == ["a {}", "b {}"]
    assert [row.id for row in await place.rows()] == ["c"]
    assert await place.look() == 0


async def test_what_fails_is_tried_again_later_and_later_until_the_last_try(place: Place) -> None:
    place.raises = lambda: Unanswered("nobody is there", retry_after=0)
    await place.put("a")
    waits: list[float] = []
    rows: list[Outbox] = []
    for tries in range(1, MOST_TRIES + 1):
        assert await place.look() == 1
        rows = await place.rows()
        if tries == MOST_TRIES:
            break
        (row,) = rows
        assert row.tries == tries
        waits.append((row.due_at - place.world.clock.now()) / 1000)
        place.world.clock.advance(waits[-1] - 0.001)
        assert await place.look() == 0
        place.world.clock.advance(0.001)
    assert rows == []
    assert waits[:4] == [5, 15, 45, 135]
    assert max(waits) == LONGEST_WAIT
    assert 86_400 < sum(waits) < 4 * 86_400
    assert place.tries == MOST_TRIES


async def test_who_asks_for_a_longer_wait_gets_it(place: Place) -> None:
    place.raises = lambda: Unanswered("busy", retry_after=1000)
    await place.put("a")
    await place.look()
    (row,) = await place.rows()
    assert row.due_at - place.world.clock.now() == 1_000_000


async def test_what_can_never_be_done_is_given_up_at_once(place: Place) -> None:
    place.raises = lambda: SettingsError("no such address")
    await place.put("a")
    await place.look()
    assert await place.rows() == []


async def test_a_mistake_in_a_chore_is_tried_again_too(place: Place) -> None:
    errors: list[Exception | None] = [ZeroDivisionError(), None]
    place.raises = lambda: errors.pop(0)
    await place.put("a")
    await place.look()
    place.world.clock.advance(FIRST_WAIT)
    await place.look()
    assert (place.done, await place.rows()) == (["a {}"], [])


async def test_what_a_crash_interrupts_is_done_again(place: Place) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    async def hang(row: Outbox) -> None:
        started.set()
        await never.wait()

    world = place.world
    crashing = Chores(world.ledger, world.clock, world.engine.do, {"tell": hang}, patience=PATIENCE)
    await place.put("a")
    running = asyncio.ensure_future(crashing.run())
    await started.wait()
    assert await place.look() == 0, "somebody else has claimed it"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await world.reopen(crash=True)
    place.chores = place.again()
    assert await place.look() == 0
    world.clock.advance(PATIENCE)
    assert await place.look() == 1
    assert place.done == ["a {}"]


async def test_so_much_runs_at_once_and_no_more(here: World) -> None:
    place, gate, most, now = Place(here), asyncio.Event(), 0, 0

    async def slow(row: Outbox) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1

    chores = Chores(here.ledger, here.clock, here.engine.do, {"tell": slow}, patience=PATIENCE)
    await place.put(*(f"{number:03}" for number in range(3 * AT_ONCE)))
    running = asyncio.ensure_future(chores.run())
    await until(lambda: now == AT_ONCE)
    for _ in range(50):
        await asyncio.sleep(0)
    assert most == AT_ONCE
    gate.set()
    while await place.rows():  # noqa: ASYNC110  # a few turns of the loop, no time
        await asyncio.sleep(0)
    running.cancel()
    assert most == AT_ONCE


async def test_news_wake_who_waits(here: World) -> None:
    place = Place(here)
    running = asyncio.ensure_future(place.chores.run())
    await until(lambda: here.clock.asleep > 0)
    await place.put("a")
    key = await here.put(b"x")
    row = await here.row(key)
    assert row is not None
    place.chores.tell("progress", row)
    await asyncio.sleep(0)
    await asyncio.to_thread(place.chores.tell, "completed", row)
    await until(lambda: bool(place.done))
    running.cancel()


def test_waits_are_drawn_around_their_length() -> None:
    assert (wait_before(1, lambda: 0.0), wait_before(1, lambda: 1.0)) == (2.5, 7.5)
    assert wait_before(1000, lambda: 0.5) == LONGEST_WAIT
