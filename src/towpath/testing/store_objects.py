"""What every store must do with what it holds: seal, read, remove, list.

Rules: one behaviour each, named by it; AssertionError says that it is not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from towpath.errors import NotFound, StoreError, StoreLost, TakenOver, TowpathError
from towpath.testing.store_words import (
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

# Sealing


def check_seal_cuts_what_lies_beyond_the_length(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, None)
        store.write(handle, 1, 0, blocks(b"wanted, unwanted"))
        address = store.seal(handle, 6, RECORD)
        assert fetch(store, address, 0, 6) == b"wanted"
        assert [found.size for found in store.list()] == [6]


def check_seal_of_nothing_makes_an_empty_object(make: Make) -> None:
    with make() as store:
        assert fetch(store, store.seal(store.create(KEY, 0), 0, RECORD), 0, 0) == b""


def check_seal_twice_returns_the_same_address(make: Make) -> None:
    with make() as store:
        address = sealed(store, b"bytes")
        assert store.seal(store.create(KEY, 5), 5, RECORD) == address
        assert fetch(store, address, 0, 5) == b"bytes"
        assert [found.manifest for found in store.list()] == [RECORD]


def check_a_sealed_handle_is_gone(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 5)
        store.write(handle, 1, 0, blocks(b"bytes"))
        store.seal(handle, 5, RECORD)
        with raising(NotFound):
            store.extent(handle)
        with raising(NotFound):
            store.write(handle, 2, 0, blocks(b"BYTES"))


def check_a_short_upload_is_not_sealed_and_can_go_on(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 10)
        store.write(handle, 1, 0, blocks(b"short"))
        with raising(StoreLost):
            store.seal(handle, 10, RECORD)
        store.write(handle, 1, 5, blocks(b", not"))
        assert fetch(store, store.seal(handle, 10, RECORD), 0, 10) == b"short, not"


def check_seal_cuts_off_a_writer_that_waits(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 6)

        def late() -> Iterator[memoryview]:
            yield memoryview(b"before")
            store.seal(handle, 6, RECORD)
            yield memoryview(b"AFTER!")

        with raising(TakenOver, NotFound):
            store.write(handle, 1, 0, late())
        assert [found.size for found in store.list()] == [6]


# Reading


def check_any_range_can_be_read(make: Make) -> None:
    size = 2_300_000
    data = content(size)
    with make() as store:
        address = sealed(store, data)
        for start, end in (
            (0, size),
            (1, size - 1),
            (7, 7),
            (size, size),
            (0, 1),
            (65_535, 65_537),
        ):
            assert fetch(store, address, start, end) == data[start:end]
            assert fetch(store, address, start, end, mapped=True) == data[start:end]


def check_bytes_that_are_not_there_are_not_read(make: Make) -> None:
    with make() as store:
        address = sealed(store, b"bytes")
        for start, end in ((0, 6), (5, 6), (-1, 3), (3, 2)):
            with raising(StoreError):
                fetch(store, address, start, end)


def check_an_upload_can_be_read_by_its_handle_while_it_is_written(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, None)
        store.write(handle, 1, 0, blocks(b"durable"))
        store.settle(handle)
        reading = store.read(handle, 1, 7)
        store.write(handle, 1, 7, blocks(b" and more"))
        assert b"".join(bytes(block) for block in reading) == b"urable"
        reading.close()
        assert fetch(store, handle, 8, 16) == b"and more"
        with raising(StoreError):
            store.read(handle, 0, 17)
        store.seal(handle, 16, RECORD)
        with raising(NotFound):
            store.read(handle, 0, 1)


def check_a_file_that_a_reading_offers_holds_its_bytes(make: Make) -> None:
    with make() as store:
        reading = store.read(sealed(store, b"some bytes"), 5, 9)
        if reading.file is not None:
            descriptor, offset, count = reading.file
            assert os.pread(descriptor, count, offset) == b"byte"
        reading.close()


def check_readings_are_independent_and_close_twice(make: Make) -> None:
    with make() as store:
        address = sealed(store, b"bytes")
        first, second = store.read(address, 0, 5), store.read(address, 0, 5)
        first.close()
        first.close()
        assert b"".join(bytes(block) for block in second) == b"bytes"
        second.close()


# Removing


def check_a_removed_upload_is_gone_and_remove_again_is_fine(make: Make) -> None:
    _check_removed_upload(make, keep=False)


def check_an_upload_kept_for_a_look_is_gone_as_well(make: Make) -> None:
    _check_removed_upload(make, keep=True)


def _check_removed_upload(make: Make, *, keep: bool) -> None:
    with make() as store:
        handle = store.create(KEY, 5)
        store.write(handle, 1, 0, blocks(b"bytes"))
        for _ in range(2):
            store.remove(handle, keep=keep)
        uses: tuple[Callable[[], object], ...] = (
            lambda: store.write(handle, 2, 0, blocks(b"x")),
            lambda: store.extent(handle),
            lambda: store.seal(handle, 0, RECORD),
        )
        for use in uses:
            with raising(NotFound):
                use()
        assert store.list() == []
        assert store.write(store.create(KEY, 3), 1, 0, blocks(b"new")) == 3


def check_a_removed_object_is_gone_with_its_manifest(make: Make) -> None:
    for keep in (False, True):
        with make() as store:
            address, other = sealed(store, b"bytes"), sealed(store, b"stays", OTHER)
            for _ in range(2):
                store.remove(address, keep=keep)
            with raising(NotFound):
                store.read(address, 0, 5)
            assert [(found.at, found.manifest) for found in store.list()] == [(other, RECORD)]


def check_removing_a_sealed_handle_harms_no_object(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 5)
        store.write(handle, 1, 0, blocks(b"bytes"))
        address = store.seal(handle, 5, RECORD)
        store.remove(handle)
        assert fetch(store, address, 0, 5) == b"bytes"
        assert [found.manifest for found in store.list()] == [RECORD]


# Looking


def check_the_extent_ends_behind_the_last_byte(make: Make) -> None:
    with make() as store:
        handle = store.create(KEY, 1000)
        known = store.properties.knows_extent
        assert store.extent(handle) == (0 if known else None)
        store.write(handle, 1, 0, blocks(content(700)))
        assert store.extent(handle) == (700 if known else None)


def check_what_was_never_created_is_not_found(make: Make) -> None:
    with make() as store:
        handle, address = store.create(KEY, 0), sealed(store, b"", OTHER)
        handle, address = (at.replace(KEY, "z" * 12).replace(OTHER, "z" * 12)
                           for at in (handle, address))  # fmt: skip
        uses: tuple[Callable[[], object], ...] = (
            lambda: store.write(handle, 1, 0, blocks(b"x")),
            lambda: store.settle(handle),
            lambda: store.extent(handle),
            lambda: store.seal(handle, 0, RECORD),
            lambda: store.read(handle, 0, 0),
            lambda: store.read(address, 0, 0),
        )
        for use in uses:
            with raising(NotFound):
                use()
        store.remove(handle)
        store.remove(address)


def check_list_shows_all_in_order_page_by_page(make: Make) -> None:
    with make() as store:
        expected = [store.create(f"{n:04}upload", None) for n in range(13)]
        expected += [sealed(store, b"bytes", f"{n:04}object") for n in range(11)]
        for limit in (1, 3, 24, 1000):
            assert [found.at for found in listed(store, limit)] == sorted(expected)
        assert store.list(limit=0) == []
        assert store.list(after=max(expected)) == []


def check_list_says_what_each_thing_is(make: Make) -> None:
    with make() as store:
        address, handle = sealed(store, b"bytes"), store.create(OTHER, 3)
        store.write(handle, 1, 0, blocks(b"one"))
        found = {item.at: (item.kind, item.size, item.manifest) for item in store.list()}
        assert found == {address: ("object", 5, RECORD), handle: ("upload", 3, None)}


def check_space_tells_facts(make: Make) -> None:
    with make() as store:
        space = store.space()
        assert space.read_only == ""
        assert space.free is None or space.free >= 0
        assert space.total is None or (space.free is not None and space.total >= space.free)


def check_close_twice_and_nothing_works_after_it(make: Make) -> None:
    with make() as store:
        address, handle = sealed(store, b"bytes"), store.create(OTHER, 3)
        store.close()
        store.close()
        uses: tuple[Callable[[], object], ...] = (
            lambda: store.create("checked00003", 1),
            lambda: store.write(handle, 1, 0, blocks(b"x")),
            lambda: store.settle(handle),
            lambda: store.extent(handle),
            lambda: store.seal(handle, 0, RECORD),
            lambda: store.read(address, 0, 1),
            lambda: store.remove(handle),
            store.list,
        )
        for use in uses:
            with raising(TowpathError):
                use()


CHECKS: tuple[Callable[[Make], None], ...] = tuple(
    check for name, check in sorted(globals().items()) if name.startswith("check_")
)
