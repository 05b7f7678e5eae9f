"""Digests of the whole, computed while it arrives: a hasher that follows the prefix.

Rules: bytes are hashed once, in order, as soon as the prefix has them, while the kernel still has
them at hand; the state is saved with the extent, so that a restart goes on where it was; whoever
makes the prefix grow waits for the hasher, so that it never falls behind by more than one settle.
"""

from __future__ import annotations

import threading
from typing import Protocol

from rehashes import PySha256

from towpath.core.digest import SHA256
from towpath.store.base import Store

FOLLOWED = (SHA256,)
"""Algorithms that can be followed."""


class _State(Protocol):
    """A hasher whose state can be kept."""

    def update(self, data: bytes) -> None:
        """Go on with `data`."""
        ...

    def serialize(self) -> bytes:
        """The state, to go on from."""
        ...

    def finalize(self) -> str:
        """The value in hexadecimal digits; ends the hasher."""
        ...


class Frontier:
    """Follows the prefix of one upload with SHA-256 (FIPS 180-4). Methods block; any thread."""

    def __init__(self, store: Store, handle: str, saved: bytes | None) -> None:
        self._store = store
        self._handle = handle
        self._guard = threading.Lock()
        self._offset = 0
        self._state: _State = PySha256()
        if saved:
            self._offset = int.from_bytes(saved[:8], "big")
            self._state = PySha256.deserialize(saved[8:])

    def follow(self, offset: int) -> None:
        """Hash up to `offset`, which is durable or at least written. Raises StoreError."""
        with self._guard:
            if offset <= self._offset:
                return
            reading = self._store.read(self._handle, self._offset, offset)
            try:
                for block in reading:
                    self._state.update(bytes(block))
                    self._offset += len(block)
            finally:
                reading.close()

    def save(self, most: int) -> bytes | None:
        """The state to go on from after a restart; None if it is beyond `most`."""
        with self._guard:
            if self._offset > most:
                return None
            return self._offset.to_bytes(8, "big") + self._state.serialize()

    def digest(self) -> bytes:
        """SHA-256 of all that was followed."""
        with self._guard:
            copy: _State = PySha256.deserialize(self._state.serialize())
            return bytes.fromhex(copy.finalize())
