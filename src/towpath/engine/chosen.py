"""Ids of uploads that hooks chose.

Rules: one that names something already, or did and is not quite gone, is refused before the store
is asked for anything; two who choose the same at once are told apart here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from towpath.core.model import Object, Outbox, Segment, Upload
from towpath.errors import Malformed, StateConflict
from towpath.ledger.base import Ledger, Query

_ID = re.compile("[0-9a-z]{8,64}")


class Chosen:
    """Reserves ids while uploads with them are made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._taken: set[str] = set()

    @asynccontextmanager
    async def reserve(
        self, key: str | None, do: Callable[..., Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Nobody else gets the id meanwhile. Raises Malformed, StateConflict."""
        if key is None:
            yield
            return
        if not _ID.fullmatch(key):
            raise Malformed(
                "That cannot be the id of an upload.",
                field="id",
                why="A hook chose it; an id is 8 to 64 characters of 0-9 and a-z.",
                todo="Ask who runs the server to correct the hook.",
            )
        if key in self._taken:
            raise _exists()
        self._taken.add(key)
        try:
            if await do(self._is_known, key):
                raise _exists()
            yield
        finally:
            self._taken.discard(key)

    def _is_known(self, key: str) -> bool:
        ledger = self._ledger
        rows = ledger.get(Upload, key), ledger.get(Object, key)
        note = ledger.get(Outbox, f"completed:{key}")
        return any((*rows, note)) or ledger.count(Segment, Query(where={"object": key})) > 0


def _exists() -> StateConflict:
    return StateConflict(
        "There is an upload with that id already.",
        why="A hook chose the id, and it is taken.",
        todo="Go on with that upload, or ask who runs the server.",
    )
