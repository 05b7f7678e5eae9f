"""What every store must do with bytes on their way in: create, write, fences.

Rules: one behaviour each, named by it; AssertionError says that it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from towpath.errors import NotFound, Refused, StoreFull, TakenOver
from towpath.testing.store_words import (
    HOSTILE,
    KEY,
    OTHER,
    RECORD,
    Make,
    blocks,
    content,
    fetch,
    listed,
    raising,
    sealed,
)

# Creating


def check_create_twice_gives_the_same_handle_and_keeps_the_bytes(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 100)
        store.write(handle, 1, 0, blocks(b"bytes"))
        assert store.create(KEY, 100) == handle
        assert fetch(store, store.seal(handle, 5, RECORD), 0, 5) == b"bytes"


def check_create_at_once_from_many_threads_gives_one_upload(make: Make) -> None:
    with make() as store, ThreadPoolExecutor(8) as threads:
        handles = set(threads.map(lambda _: store.create(KEY, None), range(32)))
        assert len(handles) == 1
        assert [found.at for found in store.list()] == list(handles)


def check_create_of_a_sealed_key_harms_no_object(make: Make) -> None:
    with make() as store:
        address = sealed(store, b"first")
        handle = store.create(KEY, 6)
        with raising(NotFound):
            store.write(handle, 9, 0, blocks(b"second"))
        assert fetch(store, address, 0, 5) == b"first"


def check_create_of_more_than_there_is_room_for_is_refused(make: Make) -> None:
    with make() as store:
        if store.space().free is None:
            return
        with raising(StoreFull):
            store.create(KEY, 2**62)
        assert store.list() == []


def check_hostile_keys_are_refused(make: Make) -> None:
    with make() as store:
        for key in HOSTILE:
            with raising(Refused):
                store.create(key, 1)
        assert store.list() == []


def check_hostile_handles_and_addresses_are_refused(make: Make) -> None:
    with make() as store:
        address = sealed(store, b"bytes")
        handle = store.create(OTHER, 1)
        for key in HOSTILE:
            for at in (key, handle.replace(OTHER, key), address.replace(KEY, key)):
                with raising(NotFound):
                    store.write(at, 1, 0, blocks(b"x"))
                with raising(NotFound):
                    store.seal(at, 0, RECORD)
                with raising(NotFound):
                    store.read(at, 0, 0)
                with raising(NotFound):
                    store.remove(at)
        assert [found.at for found in listed(store)] == sorted([address, handle])


# Writing


def check_bytes_come_back_as_they_were_written(make: Make) -> None:
    data = content(2_500_000)
    with make() as store:
        handle = store.create(KEY, len(data))
        assert store.write(handle, 1, 0, blocks(data, 65_536)) == len(data)
        store.settle(handle)
        assert fetch(store, store.seal(handle, len(data), RECORD), 0, len(data)) == data


def check_bytes_may_come_in_any_order(make: Make) -> None:
    data = content(100_000)
    with make() as store:
        if not store.properties.positional:
            return
        handle = store.create(KEY, None)
        for start in (90_000, 30_000, 0, 60_000):
            assert store.write(handle, 1, start, blocks(data[start : start + 30_000])) == min(
                start + 30_000, len(data)
            )
        assert fetch(store, store.seal(handle, len(data), RECORD), 0, len(data)) == data


def check_a_gap_may_stay_open_and_be_filled_later(make: Make) -> None:
    with make() as store:
        if not store.properties.positional:
            return
        handle = store.create(KEY, 9)
        store.write(handle, 1, 6, blocks(b"end"))
        store.settle(handle)
        store.write(handle, 1, 0, blocks(b"begin,"))
        assert fetch(store, store.seal(handle, 9, RECORD), 0, 9) == b"begin,end"


def check_a_write_of_no_blocks_returns_its_offset(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 10)
        store.write(handle, 1, 0, blocks(b"four"))
        assert store.write(handle, 1, 4, iter(())) == 4
        assert store.write(handle, 1, 4, [memoryview(b""), memoryview(b"x")]) == 5


def check_blocks_that_end_early_leave_what_was_written(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 1000)
        assert store.write(handle, 1, 0, blocks(b"only this")) == 9
        assert store.write(handle, 1, 9, blocks(b", then this")) == 20
        assert fetch(store, store.seal(handle, 20, RECORD), 0, 20) == b"only this, then this"


def check_what_blocks_raise_comes_through_and_bytes_before_it_stay(make: Make) -> None:
    def cut(error: Exception) -> Iterator[memoryview]:
        yield memoryview(b"before")
        raise error

    with make() as store:
        handle = store.create(KEY, 6)
        for error in (ConnectionResetError(), FileNotFoundError(), ValueError()):
            try:
                store.write(handle, 1, 0, cut(error))
            except (OSError, ValueError) as raised:
                assert raised is error, "an error of the sender was taken for one of the store"
            else:
                raise AssertionError("what the blocks raised was swallowed")
        assert fetch(store, store.seal(handle, 6, RECORD), 0, 6) == b"before"


def check_each_block_is_used_up_before_the_next_is_asked_for(make: Make) -> None:
    data = content(50_000)
    with make() as store:
        handle = store.create(KEY, len(data))
        store.write(handle, 1, 0, blocks(data, 100))  # one reused buffer, wiped at the end
        assert fetch(store, store.seal(handle, len(data), RECORD), 0, len(data)) == data


def check_many_writers_of_one_upload_do_not_disturb_each_other(make: Make) -> None:
    data, part = content(1_600_000), 100_000
    with make() as store, ThreadPoolExecutor(8) as threads:
        if not store.properties.positional:
            return
        handle = store.create(KEY, len(data))

        def carry(start: int) -> int:
            end = store.write(handle, 1, start, blocks(data[start : start + part], 1000))
            store.settle(handle)
            return end

        starts = range(0, len(data), part)
        assert list(threads.map(carry, starts)) == [start + part for start in starts]
        assert fetch(store, store.seal(handle, len(data), RECORD), 0, len(data)) == data


def check_many_uploads_at_once_do_not_disturb_each_other(make: Make) -> None:
    with make() as store, ThreadPoolExecutor(8) as threads:

        def carry(number: int) -> bool:
            data = content(20_000, number)
            address = sealed(store, data, f"upload{number:06}")
            return fetch(store, address, 0, len(data)) == data

        assert all(threads.map(carry, range(40)))


# Fences


def check_a_lower_fence_is_refused(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 10)
        store.write(handle, 7, 0, blocks(b"seven"))
        with raising(TakenOver):
            store.write(handle, 6, 0, blocks(b"woken"))
        assert store.write(handle, 7, 5, blocks(b"again")) == 10
        assert store.write(handle, 8, 10, iter(())) == 10
        assert fetch(store, store.seal(handle, 10, RECORD), 0, 10) == b"sevenagain"


def check_a_fence_counts_for_its_own_upload_only(make: Make) -> None:
    with make() as store:
        store.write(store.create(KEY, 3), 100, 0, blocks(b"one"))
        assert store.write(store.create(OTHER, 3), 1, 0, blocks(b"two")) == 3


def check_a_writer_woken_after_a_takeover_writes_nothing_more(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 6)

        def sleeper() -> Iterator[memoryview]:
            yield memoryview(b"old")
            store.write(handle, 2, 3, blocks(b"new"))
            yield memoryview(b"OLD")

        with raising(TakenOver):
            store.write(handle, 1, 0, sleeper())
        assert fetch(store, store.seal(handle, 6, RECORD), 0, 6) == b"oldnew"


CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    check for name, check in sorted(globals().items()) if name.startswith("check_")
)
