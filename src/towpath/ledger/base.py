"""What a place for facts must do: keep rows, and change several of them all or not at all.

Rules:
- Rows are the frozen values of `core.model`; the ledger knows their fields, not their meaning.
- `commit` is durable when it returns, or it changed nothing.
- Reads see every commit that returned before they began.
- Methods block and may be called from any thread.
- A row or a question that some database could not take (`rules`) is a LedgerError in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from towpath.core.model import Row

R = TypeVar("R", bound=Row)
Key = tuple[str | int, ...]
Value = str | int | bytes | bool | None


@dataclass(frozen=True, slots=True)
class Add:
    """Insert a row; its version becomes 1. Raises Duplicate if its key exists."""

    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the row with this key if its version is still `row.version`, else Stale.

    The stored version is `row.version + 1`.
    """

    row: Row


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the row with this key; what is not there is fine.

    With `version` the row must be there in that version, else Stale.
    """

    kind: type[Row]
    key: Key
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """Change nothing, but fail the commit with Stale unless a row with each key exists."""

    kind: type[Row]
    keys: Sequence[Key]


Change = Add | Update | Remove | Expect


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows: every condition holds; ordered by key; at most `limit`."""

    where: Mapping[str, Value | tuple[Value, ...]] = field(default_factory=dict)
    """field -> the value it has, or a tuple of values it may have"""
    prefix: tuple[str, str] | None = None  # (field, text it begins with, case and all)
    below: tuple[str, int] | None = None  # (field, number it is smaller than); NULL is not
    after: Key | None = None  # keys behind this one
    limit: int = 1000


class Ledger(Protocol):
    """A place for facts."""

    def get(self, kind: type[R], *key: str | int) -> R | None:
        """The row with this key, or None."""
        ...

    def list(self, kind: type[R], query: Query) -> list[R]:
        """The rows that `query` asks for."""
        ...

    def count(self, kind: type[Row], query: Query) -> int:
        """How many rows `query` matches, whatever its `limit` and `after`."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Do all the changes, in order, in one transaction, durably; or none of them.

        Raises Stale, Duplicate, LedgerError.
        """
        ...

    def close(self) -> None:
        """Finish what was accepted and let go. Idempotent."""
        ...


def every(ledger: Ledger, kind: type[R], query: Query) -> list[R]:
    """All rows that `query` asks for, read page by page; its `limit` is the page's. Blocks."""
    rows: list[R] = []
    while len(page := ledger.list(kind, query)) == query.limit:
        rows.extend(page)
        query = replace(query, after=page[-1].key)
    return rows + page
