"""Checkpoints as objects of a data folder, beside the documents that they tell of."""

from __future__ import annotations

from collections.abc import Iterator

from towpath.uds3.records import SHELF, id_of, name_of
from towpath.uds3.small_objects import SmallObjects

_LONGEST = 1 << 30  # bytes of one: a row for each of very many chunks


class EngineCheckpoints:
    """`Checkpoints` over an engine."""

    def __init__(self, objects: SmallObjects) -> None:
        self._objects = objects

    def read(self, operation_id: str) -> bytes | None:
        return self._objects.read(name_of(operation_id), _LONGEST)

    def write(self, operation_id: str, data: bytes) -> None:
        self._objects.write(name_of(operation_id), data)

    def written_at(self, operation_id: str) -> float | None:
        return self._objects.written_at(name_of(operation_id))

    def remove(self, operation_id: str) -> None:
        self._objects.remove(name_of(operation_id))

    def all(self) -> Iterator[str]:
        yield from (id_of(name) for name in self._objects.all(SHELF))
