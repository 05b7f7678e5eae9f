"""Where the files of a downloaded folder go, and what they get besides their bytes.

Rules: a name from the server is a stranger's: no part of it may lead out of the folder, and nothing
is written through a link that lies there. Links are made only where they lead to what lies inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.cli.same import is_same
from towpath.cli.select import Rules
from towpath.client.attributes import LINK, leads_inside
from towpath.client.location import local_name
from towpath.codec.beside import is_record
from towpath.errors import NameConflict, TowpathError, TransferError

if TYPE_CHECKING:
    from towpath.client import NameRecord


@dataclass(slots=True)
class Folder:
    """A folder here that is filled from one on the server."""

    root: str
    rules: Rules
    keep_links: bool = False
    update: bool = False
    checksum: bool = False
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many

    def path_of(self, prefix: str, record: NameRecord) -> str | None:
        """Where the object would go; None if it would be left out. Nothing is made."""
        path = str(Path(self.root) / _inside(prefix, record))
        if is_record(record.path, record.media_type):
            return None
        if not self.rules.fit(record.path[len(prefix) :]) or LINK in record.metadata:
            return None
        return None if self.update and is_same(record, path, checksum=self.checksum) else path

    def land(self, prefix: str, record: NameRecord) -> Iterator[tuple[str, TowpathError | None]]:
        """Where the object goes, below the last part of `prefix`, which ends in /.

        Nothing if it is left out, as records of keys are; with an error if it has no place here.
        """
        if is_record(record.path, record.media_type):
            return
        if not self.rules.fit(record.path[len(prefix) :]):
            return
        inside = _inside(prefix, record)
        try:
            target = record.metadata.get(LINK)
            if target is not None and not self.keep_links:
                self._leave("links; --links keep makes them")
            elif target is not None and not leads_inside(target, inside):
                self._leave("links that lead out of the folder")
            elif target is not None:
                self._link(target, place(self.root, inside))
            else:
                path = place(self.root, inside)
                if self.update and is_same(record, path, checksum=self.checksum):
                    self._leave("they are here")
                else:
                    yield path, None
        except TowpathError as error:
            yield inside, error

    def told(self) -> Iterator[str]:
        """What was left out, in words."""
        for why, count in self.left_out.items():
            yield f"{count} left out: {why}."

    def _link(self, target: str, path: str) -> None:
        try:
            os.symlink(target, path)  # noqa: PTH211 - both as text
        except FileExistsError:
            if not Path(path).is_symlink() or os.readlink(path) != target:  # noqa: PTH115 - as text
                raise NameConflict(f"{path} exists.", why="A link is to be there.") from None
        except OSError as error:
            raise TransferError(f"{path} cannot be made.", why=f"{error.strerror}.") from error

    def _leave(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1


def _inside(prefix: str, record: NameRecord) -> str:
    """The object's path from the folder on that `prefix` names."""
    above = prefix.rstrip("/").rpartition("/")[0]
    return record.path[len(above) :].lstrip("/")


def place(root: str, inside: str) -> str:
    """The path of `inside` below `root`, its folders made. Raises Malformed, NameConflict."""
    *folders, last = [local_name(part) for part in inside.split("/")]
    path = Path(root)
    for folder in folders:
        path /= folder
        if path.is_symlink():
            raise NameConflict(
                f"{path} is a link.", why="Nothing is written through it.", todo="Remove it first."
            )
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise NameConflict(f"{path} cannot be a folder.", why=f"{error.strerror}.") from error
    return str(path / last)
