"""A ledger in memory: for tests and trials. It is gone with the process.

It passes the same conformance suite as the SQL ledger, so that what works on it works there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from towpath.core.model import KINDS, Row
from towpath.ledger import rules
from towpath.ledger.base import Add, Change, Expect, Key, Query, Update

R = TypeVar("R", bound=Row)
_Rows = dict[type[Row], dict[Key, Row]]


class MemoryLedger:
    """Keeps facts in dictionaries behind one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: _Rows = {kind: {} for kind in KINDS}
        self._closed = False

    def reopened(self) -> MemoryLedger:
        """Return a ledger of the same facts, as a program that starts again finds them."""
        again = MemoryLedger()
        again._lock, again._rows = self._lock, self._rows
        return again

    def get(self, kind: type[R], *key: str | int) -> R | None:
        rules.check_key(kind, key)
        with self._lock:
            self._must_be_open()
            return cast("R | None", self._rows[kind].get(key))

    def list(self, kind: type[R], query: Query) -> list[R]:
        rules.check_query(kind, query)
        rows = sorted(_matching(self._snapshot(kind), query), key=_ordered)
        if query.after is not None:
            after: Any = query.after
            rows = [row for row in rows if row.key > after]
        return rows[: query.limit]

    def count(self, kind: type[Row], query: Query) -> int:
        rules.check_query(kind, query)
        return sum(1 for _ in _matching(self._snapshot(kind), query))

    def commit(self, changes: Sequence[Change]) -> None:
        rules.check_changes(changes)
        with self._lock:
            self._must_be_open()
            staged: dict[tuple[type[Row], Key], Row | None] = {}
            for change in changes:
                self._stage(change, staged)
            for (kind, key), row in staged.items():
                if row is None:
                    self._rows[kind].pop(key, None)
                else:
                    self._rows[kind][key] = row

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _stage(self, change: Change, staged: dict[tuple[type[Row], Key], Row | None]) -> None:
        """Put what the change makes of a row into `staged`; raise if it cannot be."""
        if isinstance(change, Expect):
            for key in change.keys:
                if staged.get((change.kind, key), self._rows[change.kind].get(key)) is None:
                    raise rules.stale(change.kind, key)
            return
        if isinstance(change, (Add, Update)):
            kind, key = type(change.row), change.row.key
        else:
            kind, key = change.kind, change.key
        place = (kind, key)
        row = staged[place] if place in staged else self._rows[kind].get(key)
        if isinstance(change, Add):
            if row is not None:
                raise rules.duplicate(kind, key)
            staged[place] = replace(change.row, version=1)
        elif isinstance(change, Update):
            if row is None or row.version != change.row.version:
                raise rules.stale(kind, key)
            staged[place] = replace(change.row, version=change.row.version + 1)
        else:
            if change.version is not None and (row is None or row.version != change.version):
                raise rules.stale(kind, key)
            staged[place] = None

    def _snapshot(self, kind: type[R]) -> tuple[R, ...]:
        with self._lock:
            self._must_be_open()
            return cast("tuple[R, ...]", tuple(self._rows[kind].values()))

    def _must_be_open(self) -> None:
        if self._closed:
            raise rules.closed()


def _ordered(row: Row) -> Any:  # noqa: ANN401  keys of one kind compare with each other
    return row.key


def _matching(rows: Iterable[R], query: Query) -> Iterator[R]:
    return (row for row in rows if _matches(row, query))


def _matches(row: Row, query: Query) -> bool:
    for name, wanted in query.where.items():
        value = getattr(row, name)
        if value not in (wanted if isinstance(wanted, tuple) else (wanted,)):
            return False
    if query.prefix is not None:
        name, beginning = query.prefix
        text = getattr(row, name)
        if text is None or not text.startswith(beginning):
            return False
    if query.below is not None:
        name, bound = query.below
        number = getattr(row, name)
        if number is None or number >= bound:
            return False
    return True
