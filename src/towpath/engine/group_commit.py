"""Group commit: what several threads ask for at the same time is done at once, for all of them.

Rules:
- Who comes while nothing is on its way is served at once, alone. Who comes meanwhile waits, and
  all who wait are served together by the first of them.
- Nobody returns before what it asked for is done, and each gets its own error: where a group
  fails, each of it is tried alone, for one that may not must not hold back the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Lets one thread at a time act, for all who wait. Used in any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()  # held while somebody acts
        self._guard = threading.Lock()
        self._waiting: list[tuple[T, Future[None]]] = []

    @property
    def waiting(self) -> int:
        """How many are to be served by the next who acts."""
        return len(self._waiting)

    def do(self, asked: T, act: Callable[[Sequence[T]], None]) -> None:
        """Return when `act` has been called with `asked` among others. Blocks.

        All who share this give an `act` that does the same. Raises what `act` raises for `asked`.
        """
        mine: Future[None] = Future()
        with self._guard:
            self._waiting.append((asked, mine))
        with self._turn:
            if not mine.done():
                with self._guard:
                    group, self._waiting = self._waiting, []
                _serve(group, act)
        mine.result()


def _serve(group: Sequence[tuple[T, Future[None]]], act: Callable[[Sequence[T]], None]) -> None:
    try:
        act([asked for asked, _ in group])
    except BaseException as error:  # noqa: BLE001  # each is told of its own
        if len(group) == 1:
            group[0][1].set_exception(error)
            return
        for one in group:
            _serve([one], act)
    else:
        for _, future in group:
            future.set_result(None)
