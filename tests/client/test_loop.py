"""The loop of a blocking client: what is left unfinished is closed, and holds no other loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from towpath.client.loop import Loop
from towpath.errors import StateConflict

WAIT = 10  # seconds


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


class Counted:
    """Numbers that never end, and whether they were closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def numbers(self) -> AsyncGenerator[int, None]:
        number = 0
        try:
            while True:
                yield (number := number + 1)
        finally:
            self.closed.set()


def test_what_is_closed_before_its_end_is_closed_when_that_returns(loop: Loop) -> None:
    counted = Counted()
    values = loop.each(counted.numbers())
    assert [next(values), next(values)] == [1, 2]
    values.close()
    assert counted.closed.is_set()


def test_what_is_dropped_on_another_loop_is_closed_and_does_not_wait_there(loop: Loop) -> None:
    counted = Counted()
    values = [loop.each(counted.numbers())]
    assert next(values[0]) == 1

    async def drop() -> None:
        values.clear()  # that waiting is an error here is seen to for all tests

    asyncio.run(drop())
    assert counted.closed.wait(WAIT)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, ZeroDivisionError])
def test_what_ends_an_event_loop_is_raised_where_it_is_waited_for_and_ends_no_other(
    loop: Loop, kind: type[BaseException]
) -> None:
    gate = asyncio.Event()

    async def leave() -> None:
        raise kind

    async def opened() -> bool:
        return await gate.wait()

    async def open_it() -> None:
        gate.set()

    with ThreadPoolExecutor(2) as threads:
        other = threads.submit(loop.call, opened(), WAIT)
        with pytest.raises(kind):
            threads.submit(loop.call, leave(), WAIT).result()
        loop.call(open_it(), WAIT)
        assert other.result(WAIT)


def test_who_still_waits_when_it_ends_hears_that_it_is_closed(loop: Loop) -> None:
    begun = threading.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(loop.call, never(), WAIT)
        assert begun.wait(WAIT)
        loop.end()
        with pytest.raises(StateConflict, match="closed"):
            waiting.result(WAIT)
    loop.end()  # again is no error
    with pytest.raises(StateConflict, match="closed"):
        loop.call(never())


def test_it_is_not_ended_by_what_runs_on_it(loop: Loop) -> None:
    async def end() -> None:
        loop.end()

    async def one() -> int:
        return 1

    loop.call(end(), WAIT)
    assert loop.call(one(), WAIT) == 1
