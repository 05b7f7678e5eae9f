"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from threading import Thread

import pytest

from towpath.core.ports import Clock
from towpath.testing.clock import FakeClock


async def _until_asleep(clock: FakeClock, count: int) -> None:
    while clock.asleep < count:  # noqa: ASYNC110 - a few turns of the loop, no time
        await asyncio.sleep(0)


def test_time_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock(now=1_000)
    port: Clock = clock
    assert (port.now(), port.monotonic()) == (1_000, 0.0)
    clock.advance(1.5)
    assert (port.now(), port.monotonic()) == (2_500, 1.5)


def test_a_jump_moves_the_wall_clock_only() -> None:
    clock = FakeClock(now=1_000)
    clock.jump(-600)
    assert (clock.now(), clock.monotonic()) == (400, 0.0)


def test_ten_tenths_of_a_second_are_one() -> None:
    clock = FakeClock()
    for _ in range(10):
        clock.advance(0.1)
    assert clock.monotonic() == 1.0


def test_monotonic_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def scene() -> list[str]:
        clock, woken = FakeClock(), list[str]()

        async def sleep(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name, seconds in (("late", 3.0), ("early", 1.0), ("middle", 2.0)):
                tasks.create_task(sleep(name, seconds))
            await _until_asleep(clock, 3)
            clock.advance(0.9)
            await asyncio.sleep(0)
            assert woken == []
            clock.advance(5)
        return woken

    assert asyncio.run(scene()) == ["early", "middle", "late"]


def test_another_thread_can_wake_a_sleeper() -> None:
    async def scene() -> None:
        clock = FakeClock()
        sleeper = asyncio.create_task(clock.sleep(60))
        await _until_asleep(clock, 1)
        thread = Thread(target=clock.advance, args=(60,))
        thread.start()
        await sleeper
        thread.join()

    asyncio.run(scene())


def test_no_time_at_all_lets_others_run_once() -> None:
    asyncio.run(FakeClock().sleep(0))


def test_a_cancelled_sleeper_is_forgotten() -> None:
    async def scene() -> None:
        clock = FakeClock()
        sleeper = asyncio.create_task(clock.sleep(1))
        await _until_asleep(clock, 1)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
        assert clock.asleep == 0
        clock.advance(1)
        await asyncio.sleep(0)

    asyncio.run(scene())


def test_advancing_after_the_loop_has_ended_harms_nothing() -> None:
    clock = FakeClock()

    async def scene() -> None:
        asyncio.get_running_loop().create_task(clock.sleep(1))
        await _until_asleep(clock, 1)

    asyncio.run(scene())
    clock.advance(1)
