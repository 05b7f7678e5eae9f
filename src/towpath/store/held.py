"""What the process knows of each upload it touched, and a bounded number of open descriptors.

Rules: a descriptor in use is never closed; an idle one is closed when there are more than the
bound, the longest idle first; one with unsettled bytes is settled before it is closed, because
the kernel tells of a failed write-back only those who have the file open.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock

NOBODY = 1 << 63  # a fence above all others: no writer has the upload any more


class Held:
    """One upload."""

    __slots__ = (
        "descriptor", "entered", "fence", "fresh", "gone", "key", "lock", "size", "unsettled",
        "users", "window",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = Lock()  # one settle, seal or remove at a time
        self.fence = 0  # the highest seen
        self.size: int | None = None  # bytes announced at `create`, if this process saw it
        self.window = -1  # start of the window reserved last
        self.unsettled = False  # a write returned since the last settle began
        self.entered = False  # the directory entry is durable
        self.fresh = False  # this process made the file
        self.descriptor = -1
        self.users = 0
        self.gone = False


class HeldUploads:
    """All of them, by key. Thread-safe."""

    def __init__(
        self, bound: int, open_file: Callable[[str], int], settle: Callable[[Held, int], None]
    ) -> None:
        """`bound`: descriptors that may be open while idle."""
        self._bound = bound
        self._open_file = open_file
        self._settle = settle
        self._lock = Lock()
        self._by_key: dict[str, Held] = {}
        self._open: OrderedDict[Held, None] = OrderedDict()  # longest unused first

    def get(self, key: str) -> Held:
        """What is known of this upload; something empty when nothing is."""
        with self._lock:
            return self._by_key.setdefault(key, Held(key))

    def claim(self, held: Held, fence: int) -> bool:
        """Raise the upload's fence to this one; False when a higher one was seen."""
        with self._lock:
            if fence < held.fence:
                return False
            held.fence = fence
            return True

    def acquire(self, held: Held) -> int:
        """The upload's descriptor, open until `release`. Raises OSError."""
        with self._lock:
            if held.descriptor < 0:
                held.descriptor = self._open_file(held.key)
            held.users += 1
            self._open[held] = None
            self._open.move_to_end(held)
            return held.descriptor

    def release(self, held: Held) -> None:
        """Give it back. Raises StoreReadOnly when another upload could not be settled, OSError."""
        with self._lock:
            held.users -= 1
            self._close_if_done(held)
            longest = self._longest_idle()
        if longest is None:
            return
        try:
            if longest.unsettled:
                self._settle(longest, longest.descriptor)
        finally:
            with self._lock:
                longest.users -= 1
                self._close_if_done(longest, idle=not longest.unsettled)

    def drop(self, held: Held) -> None:
        """Forget the upload: whoever still writes stops at the next block. Raises OSError."""
        with self._lock:
            held.fence = NOBODY
            held.gone = True
            if self._by_key.get(held.key) is held:
                del self._by_key[held.key]
            self._close_if_done(held)

    def close(self) -> None:
        """Drop all."""
        with ExitStack() as stack:  # all of them, whatever one says
            for held in list(self._by_key.values()):
                stack.callback(self.drop, held)

    def _longest_idle(self) -> Held | None:
        """When too many are open, the one to close, counted as used until that is done."""
        if len(self._open) > self._bound:
            for held in self._open:
                if held.users == 0:
                    held.users = 1
                    return held
        return None

    def _close_if_done(self, held: Held, *, idle: bool = False) -> None:
        if held.users == 0 and held.descriptor >= 0 and (held.gone or idle):
            del self._open[held]
            descriptor, held.descriptor = held.descriptor, -1
            os.close(descriptor)
