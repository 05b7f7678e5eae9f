"""One budget of blocks, whoever uses them."""

import threading

import pytest

from towpath.client.blocks import BLOCK
from towpath.client.memory import Memory


def nobody() -> None:
    """No wish to stop."""


def test_a_block_is_used_again() -> None:
    memory = Memory(4 * BLOCK)
    with memory.block(nobody) as first:
        assert len(first) == BLOCK
        first[0] = 42
    with memory.block(nobody) as second:
        assert second[0] == 42


def test_who_finds_none_waits_for_one() -> None:
    memory = Memory(BLOCK)
    got = threading.Event()

    def take() -> None:
        with memory.block(nobody):
            got.set()

    with memory.block(nobody):
        thread = threading.Thread(target=take)
        thread.start()
        assert not got.wait(0.1)
    thread.join(10)
    assert got.is_set()


def test_who_waits_can_be_told_to_stop() -> None:
    def stop() -> None:
        raise InterruptedError

    memory = Memory(0)  # one block at least
    with memory.block(nobody), pytest.raises(InterruptedError), memory.block(stop):
        pass
