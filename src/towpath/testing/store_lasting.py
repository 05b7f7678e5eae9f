"""What a store must keep when its process ends, in order or not.

Rules: one behaviour each, named by it; a store that ends with its process has no maker and is not
asked. A crash may lose what was not settled, so no check asks for it, nor for its absence.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from towpath.errors import NotFound
from towpath.store.base import Store
from towpath.testing.store_words import KEY, OTHER, RECORD, blocks, content, fetch, raising, sealed


class StoreMaker(Protocol):
    """Makes stores whose bytes outlive them."""

    def make(self) -> AbstractContextManager[Store]:
        """Yield an empty store; at the end close the one that `reopen` or `crash` made of it."""
        ...

    def reopen(self, store: Store) -> Store:
        """Close the store and open one on the same bytes."""
        ...

    def crash(self, store: Store) -> Store:
        """End the store as its `properties.durable` allows, and open one on what is left."""
        ...


def check_reopening_keeps_uploads_and_objects(maker: StoreMaker) -> None:
    with maker.make() as store:
        address, handle = sealed(store, b"bytes"), store.create(OTHER, 9)
        store.write(handle, 1, 0, blocks(b"some "))
        store.settle(handle)
        before = store.list()
        store = maker.reopen(store)  # noqa: PLW2901 - the maker closes it
        assert store.list() == before
        assert fetch(store, address, 0, 5) == b"bytes"
        store.write(handle, 1, 5, blocks(b"more"))
        assert fetch(store, store.seal(handle, 9, RECORD), 0, 9) == b"some more"


def check_reopening_brings_nothing_removed_back(maker: StoreMaker) -> None:
    with maker.make() as store:
        store.remove(sealed(store, b"bytes"))
        store.remove(sealed(store, b"bytes", OTHER), keep=True)
        assert maker.reopen(store).list() == []


def check_settled_bytes_live_through_a_crash(maker: StoreMaker) -> None:
    data = content(300_000)
    with maker.make() as store:
        handle = store.create(KEY, len(data))
        store.write(handle, 1, 0, blocks(data[:200_000]))
        store.settle(handle)
        store.write(handle, 1, 200_000, blocks(data[200_000:]))
        store = maker.crash(store)  # noqa: PLW2901 - the maker closes it
        extent = store.extent(handle)
        assert extent is None or 200_000 <= extent <= len(data)
        store.write(handle, 1, 200_000, blocks(data[200_000:]))
        assert fetch(store, store.seal(handle, len(data), RECORD), 0, len(data)) == data


def check_settled_bytes_beyond_a_gap_live_through_a_crash(maker: StoreMaker) -> None:
    with maker.make() as store:
        if not store.properties.positional:
            return
        handle = store.create(KEY, 9)
        store.write(handle, 1, 6, blocks(b"end"))
        store.settle(handle)
        store = maker.crash(store)  # noqa: PLW2901 - the maker closes it
        store.write(handle, 1, 0, blocks(b"begin,"))
        assert fetch(store, store.seal(handle, 9, RECORD), 0, 9) == b"begin,end"


def check_an_upload_lost_before_it_was_settled_can_be_created_again(maker: StoreMaker) -> None:
    with maker.make() as store:
        handle = store.create(KEY, 5)
        store.write(handle, 1, 0, blocks(b"lost?"))
        store = maker.crash(store)  # noqa: PLW2901 - the maker closes it
        assert store.create(KEY, 5) == handle
        assert (store.extent(handle) or 0) <= 5
        store.write(handle, 1, 0, blocks(b"again"))
        assert fetch(store, store.seal(handle, 5, RECORD), 0, 5) == b"again"


def check_an_object_and_its_manifest_live_through_a_crash(maker: StoreMaker) -> None:
    with maker.make() as store:
        address = sealed(store, b"bytes")
        store = maker.crash(store)  # noqa: PLW2901 - the maker closes it
        assert fetch(store, address, 0, 5) == b"bytes"
        assert [(item.at, item.manifest) for item in store.list()] == [(address, RECORD)]


def check_seal_after_a_crash_returns_the_same_address(maker: StoreMaker) -> None:
    with maker.make() as store:
        handle = store.create(KEY, 5)
        store.write(handle, 1, 0, blocks(b"bytes"))
        address = store.seal(handle, 5, RECORD)
        store = maker.crash(store)  # noqa: PLW2901 - the maker closes it
        assert store.seal(handle, 5, RECORD) == address
        with raising(NotFound):
            store.extent(handle)


LASTING_CHECKS: tuple[Callable[[StoreMaker], None], ...] = tuple(
    check for name, check in sorted(globals().items()) if name.startswith("check_")
)
