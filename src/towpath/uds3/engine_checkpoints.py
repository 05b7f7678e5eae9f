"""Checkpoints as objects of a data folder, beside the documents that they tell of.

Rules: a small object with a name of its own; a new one takes the name from the old one in one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.core.model import OnConflict
from towpath.core.transfer import Write
from towpath.errors import NotFound
from towpath.uds3.house import House
from towpath.uds3.records import SHELF, id_of, name_of
from towpath.uds3.source import BytesSource

_PAGE = 1000


class EngineCheckpoints:
    """`Checkpoints` over an engine."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._engine = house.service.engine
        self._shelf = house.service.shelf

    def read(self, operation_id: str) -> bytes | None:
        try:
            _, made = self._house.call(self._shelf.stat(ANONYMOUS, name_of(operation_id)))
            opened = self._house.call(self._shelf.open(ANONYMOUS, made.id))
        except NotFound:
            return None
        with closing(opened.read(0, made.length)) as reading:
            return b"".join(bytes(block) for block in reading)

    def write(self, operation_id: str, data: bytes) -> None:
        self._house.call(self._write(name_of(operation_id), data))

    def remove(self, operation_id: str) -> None:
        try:
            self._house.call(self._shelf.forget(ANONYMOUS, name_of(operation_id)))
        except NotFound:  # nothing to forget
            return

    def all(self) -> Iterator[str]:
        after: str | None = None
        while page := self._house.call(
            self._shelf.list(ANONYMOUS, prefix=SHELF, after=after, limit=_PAGE)
        ):
            yield from (id_of(name.path) for name, _ in page)
            after = page[-1][0].path

    async def _write(self, name: str, data: bytes) -> None:
        new = NewUpload(length=len(data), name=name, on_conflict=OnConflict.REPLACE, dialect="uds3")
        upload = await self._engine.create(ANONYMOUS, new)
        write = Write(offset=0, length=len(data))
        await self._engine.write(ANONYMOUS, upload.id, write, lambda: BytesSource(data))
