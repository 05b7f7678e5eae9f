"""The digests of one chunk, held against what its sender announced.

Rules: computed while the bytes pass; values may stand before the bytes or come behind them; a
chunk whose digests do not match counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from towpath.core.digest import hasher
from towpath.errors import DigestMismatch

Behind = Callable[[Mapping[str, str]], Mapping[str, bytes]]
"""Reads the fields that came behind the bytes. An empty value: the sender did not say, and need
not have. Raises Malformed."""


class Proof:
    """Computes the digests of a chunk."""

    def __init__(
        self, announced: Mapping[str, bytes], trailing: Iterable[str], behind: Behind | None
    ) -> None:
        """`trailing`: algorithms whose values `behind` finds in the trailers."""
        self._announced = dict(announced)
        self._trailing = frozenset(trailing)
        self._behind = behind
        self._hashers = {name: hasher(name) for name in {*announced, *self._trailing}}

    def feed(self, block: memoryview) -> None:
        """Go on with a block."""
        for each in self._hashers.values():
            each.update(block)

    def hold(self, trailers: Mapping[str, str]) -> None:
        """Raises DigestMismatch if a digest is missing or differs, Malformed for bad trailers."""
        announced = self._announced
        if self._trailing and self._behind is not None:
            announced = {**announced, **self._behind(trailers)}
        for name, each in self._hashers.items():
            if announced.get(name) == b"":
                continue
            if announced.get(name) != each.digest():
                raise DigestMismatch(
                    "The bytes are not the ones that were announced.",
                    why=f"Their {name} digest "
                    + ("differs." if name in announced else "did not come behind them."),
                    todo="Send the chunk again; nothing of it was kept.",
                )
