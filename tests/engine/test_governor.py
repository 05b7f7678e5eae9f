"""One budget for all blocks."""

from __future__ import annotations

import asyncio
import random

import pytest

from towpath.engine.governor import Governor

pytestmark = pytest.mark.anyio


def governor(budget: int = 8, smallest: int = 1, largest: int = 4, blocks: int = 99) -> Governor:
    return Governor(budget, smallest=smallest, largest=largest, blocks=blocks)


async def taken(memory: Governor, count: int) -> list[bytearray]:
    return [await memory.take() for _ in range(count)]


async def waiting(memory: Governor, count: int) -> list[asyncio.Task[bytearray]]:
    tasks = [asyncio.ensure_future(memory.take()) for _ in range(count)]
    await asyncio.sleep(0)
    assert memory.waiting == count
    return tasks


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_no_block_waits_until_one_is_given_back() -> None:
    memory = governor(budget=1)
    block = await memory.take()
    (task,) = await waiting(memory, 1)
    memory.give(block)
    assert len(await task) == 1
    assert (memory.waiting, memory.reserved, memory.peak) == (0, 1, 1)


async def test_blocks_are_given_out_in_the_order_of_asking() -> None:
    memory = governor(budget=1)
    block = await memory.take()
    tasks = await waiting(memory, 3)
    for number in range(3):
        memory.give(block)
        await turns()
        assert [task.done() for task in tasks] == [n <= number for n in range(3)]
        block = tasks[number].result()


async def test_a_large_block_given_back_serves_all_that_it_has_room_for() -> None:
    memory = governor(budget=5)
    block = memory.grow(await memory.take())
    (rest,) = await taken(memory, 1)
    tasks = await waiting(memory, 5)
    memory.give(block)
    await turns()
    assert [task.done() for task in tasks] == [True, True, True, True, False]
    memory.give(rest)
    assert await tasks[4]


async def test_a_waiter_that_is_cancelled_as_its_turn_comes_passes_the_turn_on() -> None:
    memory = governor(budget=1)
    block = await memory.take()
    first, second = await waiting(memory, 2)
    memory.give(block)
    first.cancel()
    await turns()
    assert first.cancelled()
    assert second.done()
    memory.give(second.result())
    assert memory.reserved == 0


async def test_a_waiter_that_is_cancelled_holding_its_turn_gives_it_back() -> None:
    memory = governor(budget=1)
    block = await memory.take()
    (first,) = await waiting(memory, 1)
    memory.give(block)
    await asyncio.sleep(0)  # the turn is its own, it has not run yet
    first.cancel()
    await turns()
    assert (first.cancelled(), memory.reserved) == (True, 0)


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    memory = governor(budget=1)
    block = await memory.take()
    (first,) = await waiting(memory, 1)
    memory.give(block)
    newcomer = asyncio.ensure_future(memory.take())
    await turns()
    assert (first.done(), newcomer.done()) == (True, False)
    newcomer.cancel()


async def test_a_block_grows_fourfold_up_to_the_largest() -> None:
    memory = governor(budget=100, largest=10)
    block = await memory.take()
    sizes = []
    for _ in range(4):
        block = memory.grow(block)
        sizes.append(len(block))
    assert sizes == [4, 10, 10, 10]
    assert memory.reserved == 10


async def test_a_block_does_not_grow_while_somebody_waits_or_without_room() -> None:
    memory = governor(budget=4)
    first, *others = await taken(memory, 4)
    tasks = await waiting(memory, 1)
    assert memory.grow(first) is first
    memory.give(others[0])
    await tasks[0]
    assert memory.grow(first) is first
    assert memory.reserved == 4


async def test_no_more_blocks_are_out_than_there_are_threads() -> None:
    memory = governor(budget=100, blocks=2)
    first, second = await taken(memory, 2)
    tasks = await waiting(memory, 2)
    assert not memory.short
    second = memory.grow(second)
    memory.give(first)
    await turns()
    assert [task.done() for task in tasks] == [True, False]
    memory.give(second)
    await turns()
    assert (tasks[1].done(), memory.reserved) == (True, 2)


async def test_blocks_grow_while_others_wait_for_a_thread_and_not_for_memory() -> None:
    memory = governor(budget=100, blocks=1)
    block = await memory.take()
    tasks = await waiting(memory, 1)
    assert len(memory.grow(block)) == 4
    tasks[0].cancel()


async def test_growing_never_counts_both_blocks() -> None:
    memory = governor(budget=4)
    assert len(memory.grow(await memory.take())) == 4
    assert memory.peak == 4


async def test_blocks_are_used_again() -> None:
    memory = governor()
    block = await memory.take()
    memory.give(block)
    assert await memory.take() is block


async def test_the_budget_holds_whatever_many_writers_do(commit_seed: int) -> None:
    draw = random.Random(commit_seed)
    memory = governor(budget=13, smallest=1, largest=6)

    async def writer() -> None:
        for _ in range(50):
            block = await memory.take()
            for _ in range(draw.randrange(4)):
                block = await asyncio.to_thread(memory.grow, block)
            memory.give(block)

    await asyncio.gather(*(writer() for _ in range(20)))
    assert (memory.reserved, memory.waiting) == (0, 0)
    assert memory.peak <= memory.budget


def test_a_budget_without_room_for_one_block_is_refused() -> None:
    with pytest.raises(ValueError, match="one block"):
        governor(budget=3, smallest=4)
