"""The loop of a blocking client: what is left unfinished is closed, and holds no other loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from towpath.client.loop import Loop

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
