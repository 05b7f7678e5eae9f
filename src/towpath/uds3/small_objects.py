"""Small objects beside documents, by name: read whole, replaced in one step.

    SmallObjects    objects of a data folder
    SmallFiles      files of one folder of this machine

Rules: a new one takes the name from the old one in one step; what is not there is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from towpath.core.caller import ANONYMOUS
from towpath.core.command import NewUpload
from towpath.core.model import OnConflict
from towpath.core.transfer import Write
from towpath.errors import NotFound
from towpath.uds3.house import House
from towpath.uds3.records import remove_file, replace_file
from towpath.uds3.source import BytesSource

_PAGE = 1000


class Beside(Protocol):
    """A place for small objects."""

    def read(self, name: str, most: int) -> bytes | None:
        """What stands there; of what is longer than `most` bytes, one more than that."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep it, also if the power fails."""
        ...

    def remove(self, name: str) -> None:
        """Take it away; one that is not there is fine."""
        ...


class SmallObjects:
    """`Beside` over an engine."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._engine = house.service.engine
        self._shelf = house.service.shelf

    def read(self, name: str, most: int) -> bytes | None:
        try:
            _, made = self._house.call(self._shelf.stat(ANONYMOUS, name))
            opened = self._house.call(self._shelf.open(ANONYMOUS, made.id))
        except NotFound:
            return None
        with closing(opened.read(0, min(made.length, most + 1))) as reading:
            return b"".join(bytes(block) for block in reading)

    def write(self, name: str, data: bytes) -> None:
        self._house.call(self._write(name, data))

    def remove(self, name: str) -> None:
        try:
            self._house.call(self._shelf.forget(ANONYMOUS, name))
        except NotFound:  # nothing to forget
            return

    def written_at(self, name: str) -> float | None:
        """When that was written, in seconds since 1970; None if it is not there."""
        try:
            return self._house.call(self._shelf.stat(ANONYMOUS, name))[0].updated_at / 1000
        except NotFound:
            return None

    def all(self, prefix: str) -> Iterator[str]:
        """The names that begin so."""
        after: str | None = None
        while page := self._house.call(
            self._shelf.list(ANONYMOUS, prefix=prefix, after=after, limit=_PAGE)
        ):
            yield from (name.path for name, _ in page)
            after = page[-1][0].path

    async def _write(self, name: str, data: bytes) -> None:
        new = NewUpload(length=len(data), name=name, on_conflict=OnConflict.REPLACE, dialect="uds3")
        upload = await self._engine.create(ANONYMOUS, new)
        write = Write(offset=0, length=len(data))
        await self._engine.write(ANONYMOUS, upload.id, write, lambda: BytesSource(data))


class SmallFiles:
    """`Beside` in a folder. Names have no folders of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, most: int) -> bytes | None:
        try:
            with (self._folder / Path(name).name).open("rb") as file:
                return file.read(most + 1)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / Path(name).name, data)

    def remove(self, name: str) -> None:
        remove_file(self._folder / Path(name).name)
