"""One budget, whoever uses it: blocks, pieces of any length, windows of streams."""

import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.coding import KEY
from towpath.client import BlockingTransfer, Client
from towpath.client.blocks import BLOCK
from towpath.client.memory import Memory
from towpath.testing.server import Server

SOON = 10.0  # seconds


def nobody() -> None:
    """No wish to stop."""


@contextmanager
def waiting(
    memory: Memory, length: int, looked: Callable[[], None] = nobody
) -> Iterator[threading.Event]:
    """Somebody who asks for a piece and gives it back; set once they have it.

    `looked` is called each time that they looked and have to wait.
    """
    asked, got = threading.Event(), threading.Event()

    def check() -> None:
        asked.set()
        looked()

    def take() -> None:
        with memory.pieces(1, length, check):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert asked.wait(SOON)  # they stand in the queue
    yield got
    assert got.wait(SOON)
    thread.join(SOON)


def test_a_block_is_used_again() -> None:
    memory = Memory(4 * BLOCK)
    with memory.block(nobody) as first:
        assert len(first) == BLOCK
        first[0] = 42
    with memory.block(nobody) as second:
        assert second[0] == 42


def test_who_finds_none_waits_for_one() -> None:
    memory = Memory(BLOCK)
    with ExitStack() as stack:
        with memory.block(nobody):
            got = stack.enter_context(waiting(memory, BLOCK))
            assert not got.is_set()
        assert got.wait(SOON)


def test_who_waits_can_be_told_to_stop_and_stands_in_nobody_s_way() -> None:
    def stop() -> None:
        raise InterruptedError

    memory = Memory(0)  # one block at least
    with memory.block(nobody), pytest.raises(InterruptedError), memory.block(stop):
        pass
    with memory.block(nobody) as block:
        assert len(block) == BLOCK


def test_pieces_of_all_lengths_are_counted_together() -> None:
    memory = Memory(8 * BLOCK)
    with (
        ExitStack() as stack,
        memory.pieces(1, 5 * BLOCK + 1, nobody) as (piece,),
        memory.counted(BLOCK, nobody),
    ):
        assert len(piece.view) == 5 * BLOCK + 1
        with memory.block(nobody):
            got = stack.enter_context(waiting(memory, BLOCK))
            assert not got.is_set()
        assert got.wait(SOON)


def test_who_comes_first_is_served_first_however_much_they_want() -> None:
    memory = Memory(4 * BLOCK)
    with ExitStack() as stack:
        with memory.block(nobody):
            large = stack.enter_context(waiting(memory, 4 * BLOCK))
            looks = threading.Semaphore(0)
            small = stack.enter_context(waiting(memory, BLOCK, looks.release))
            assert memory._has(BLOCK)  # it is free, but it is not their turn, whenever they look
            assert all(looks.acquire(timeout=SOON) for _ in range(3))
            assert not large.is_set()
            assert not small.is_set()
        assert large.wait(SOON)
        assert small.wait(SOON)


def test_more_than_the_budget_is_for_who_is_alone() -> None:
    memory = Memory(2 * BLOCK)
    with ExitStack() as stack:
        with memory.block(nobody):
            got = stack.enter_context(waiting(memory, 5 * BLOCK))
            assert not got.is_set()
        assert got.wait(SOON)
    assert memory.holds(5 * BLOCK) == 1
    assert memory.holds(BLOCK) == 2


def test_a_stream_waits_for_nothing_and_leaves_half_to_the_others() -> None:
    memory = Memory(8 * BLOCK)
    with (
        memory.window(3 * BLOCK) as first,
        memory.window(3 * BLOCK) as second,
        memory.window(3 * BLOCK) as third,
    ):
        assert [len(first), len(second), len(third)] == [3 * BLOCK, BLOCK, BLOCK]
        with memory.pieces(1, 3 * BLOCK, nobody), memory.window(BLOCK) as fourth:
            assert len(fourth) == BLOCK
    with memory.pieces(1, 8 * BLOCK, nobody), memory.window(2 * BLOCK) as last:
        assert len(last) == BLOCK
    with memory.window(100) as small, memory.window(BLOCK, least=6 * BLOCK) as kept:
        assert (len(small), len(kept)) == (100, 6 * BLOCK)


def test_streams_that_stand_still_keep_nobody_from_going_on() -> None:
    memory = Memory(2 * BLOCK)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(memory.window(BLOCK))
        with memory.pieces(1, 4 * BLOCK, nobody) as (piece,):
            assert len(piece.view) == 4 * BLOCK


def test_many_threads_never_hold_more_than_there_is(commit_seed: int) -> None:
    memory, most = Memory(16 * BLOCK), 16 * BLOCK
    counting, held, peak = threading.Lock(), 0, 0  # bytes

    def work(seed: int) -> None:
        nonlocal held, peak
        dice = random.Random(seed)
        for _ in range(60):
            count = dice.randrange(BLOCK, 10 * BLOCK)
            with memory.pieces(1, count, nobody) as (piece,):
                mark = dice.randbytes(8)
                piece.view[:8] = mark
                with counting:
                    held += count
                    peak = max(peak, held)
                time.sleep(0)
                assert piece.view[:8] == mark  # nobody else has it
                with counting:
                    held -= count

    threads = [threading.Thread(target=work, args=(commit_seed + n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert held == 0
    assert 8 * BLOCK < peak <= most


def test_what_is_given_back_before_is_for_who_waits() -> None:
    memory = Memory(4 * BLOCK)
    with ExitStack() as stack, memory.pieces(2, 2 * BLOCK, nobody) as (first, second):
        got = stack.enter_context(waiting(memory, 2 * BLOCK))
        assert not got.is_set()
        assert first.has(first.view[5:])
        assert not first.has(second.view)
        first.give_back()
        first.give_back()
        assert got.wait(SOON)
        second.view[:] = bytes(2 * BLOCK)  # is still ours
    with memory.pieces(1, 4 * BLOCK, nobody):
        pass


CODED = {"compress": "auto", "encrypt": [KEY]}


@pytest.mark.parametrize(
    ("verb", "how"),
    [
        ("upload", {}),
        ("upload", CODED),
        ("upload", {"delta": True}),
        ("download", {}),
        ("download", CODED),
        ("pour", {}),
        ("pour", CODED),
    ],
)
def test_every_transfer_waits_for_the_budget_of_its_client_but_a_stream_does_not(
    real: Server, client: Client, mixed: Path, tmp_path: Path, verb: str, how: dict[str, Any]
) -> None:
    name, keys = f"{tmp_path.name}/file", how.get("encrypt", ())
    if verb != "upload":
        client.upload(mixed, name, **how).result()
    with Client(real.url, state_dir=tmp_path / "tight", memory=64 * BLOCK) as tight:
        memory = tight._client._memory
        begin: dict[str, Callable[[], BlockingTransfer[Any]]] = {
            "upload": lambda: tight.upload(mixed, name, **how),
            "download": lambda: tight.download(name, tmp_path / "copy", keys=keys),
            "pour": lambda: tight.download(name, io.BytesIO(), keys=keys),
        }
        with memory.counted(64 * BLOCK, nobody):
            transfer, deadline = begin[verb](), time.monotonic() + SOON
            while not memory._waiting:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            stream = tight.upload(io.BytesIO(b"a stream goes on"), f"{name} beside")
            assert stream.result(SOON).verified
            assert not transfer.done
        assert transfer.result(SOON).verified
