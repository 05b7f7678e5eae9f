"""What has to be done so that one side has what the other has: a merge of two sorted streams.

Rules: of either side one entry is held at a time; what one side lacks because it could not be seen
is never taken for gone; nothing here moves a byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from towpath.client.blocks import Blocks
from towpath.client.opened import open_source
from towpath.client.records import NameRecord, milliseconds
from towpath.client.syncing_choice import Choice
from towpath.client.syncing_walk import Here
from towpath.core.names import check_name
from towpath.errors import BadAnswer, Malformed, NameConflict


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str:
        """The name that both sides are compared by."""
        ...


L = TypeVar("L", bound=Named)
R = TypeVar("R", bound=Named)


@dataclass(frozen=True, slots=True)
class There:
    """An object of the server by its name. Times in milliseconds since 1970."""

    name: str  # below the folder
    path: str  # the whole name
    size: int
    modified: int | None  # of the file that was sent, if that was said
    updated: int
    crc64nvme: str
    record: NameRecord | None = None  # all that was told of it


class Act(StrEnum):
    """What is to be done about a name."""

    SEND = "upload"
    FETCH = "download"
    REMOVE = "remove"
    KEEP = "keep"  # both sides have the same


class Step(NamedTuple):
    """What is to be done, and what each side has."""

    act: Act
    name: str
    here: Here | None
    there: There | None


Differs = Callable[[Here, There], bool]


def listed(records: Iterable[NameRecord], prefix: str, choice: Choice) -> Iterator[There]:
    """What the server has below `prefix` that a choice takes.

    Raises BadAnswer when it is not in order: whoever merges would take files for gone.
    """
    before = ""
    for record in records:
        if record.path <= before or not record.path.startswith(prefix):
            raise BadAnswer(
                "The server's names are not in order.", why=f"{record.path!r} follows {before!r}."
            )
        before = record.path
        name = record.path[len(prefix) :]
        if name and choice.takes(name):
            yield There(
                name=name,
                path=record.path,
                size=record.length,
                modified=record.modified,
                updated=milliseconds(record.updated_at or record.created_at),
                crc64nvme=record.digests.get("crc64nvme", ""),
                record=record,
            )


def to_server(here: Iterable[Here], there: Iterable[There], differs: Differs) -> Iterator[Step]:
    """Steps that make the server's names what the folder's files are."""
    for mine, theirs in pairs(here, there):
        if mine is None:
            assert theirs is not None  # noqa: S101 - a pair has one of them
            yield Step(Act.REMOVE, theirs.name, None, theirs)
        else:
            act = Act.SEND if theirs is None or differs(mine, theirs) else Act.KEEP
            yield Step(act, mine.name, mine, theirs)


def to_folder(here: Iterable[Here], there: Iterable[There], differs: Differs) -> Iterator[Step]:
    """Steps that make the folder's files what the server's names are."""
    for mine, theirs in pairs(here, there):
        if theirs is None:
            assert mine is not None  # noqa: S101 - a pair has one of them
            yield Step(Act.REMOVE, mine.name, mine, None)
        else:
            act = Act.FETCH if mine is None or differs(mine, theirs) else Act.KEEP
            yield Step(act, theirs.name, mine, theirs)


def pairs(left: Iterable[L], right: Iterable[R]) -> Iterator[tuple[L | None, R | None]]:
    """Those of the same name together, each other alone. Both sides are in order."""
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.name < other.name):
            yield one, None
            one = next(lefts, None)
        elif one is None or other.name < one.name:
            yield None, other
            other = next(rights, None)
        else:
            yield one, other
            one, other = next(lefts, None), next(rights, None)


def sent_before(here: Here, there: There) -> bool:
    """True if the file differs by its size or its time from what was sent.

    Where the time was not told, one that changed after the server had it differs.
    """
    if here.size != there.size:
        return True
    if there.modified is None:
        return here.modified > there.updated
    return here.modified != there.modified


def fetched_before(here: Here, there: There) -> bool:
    """True if the object differs by its size or its time from the file here.

    Where the time was not told, a file that is older than the name differs.
    """
    if here.size != there.size:
        return True
    if there.modified is None:
        return here.modified < there.updated
    return here.modified != there.modified


def by_content(here: Here, there: There) -> bool:
    """True if their bytes differ; reads the file here. Raises NotFound, TransferError."""
    if here.size != there.size:
        return True
    with open_source(here.path) as file:
        crc = Blocks(file).crc(0, here.size, 0, lambda: None)
    return f"{crc:016x}" != there.crc64nvme


def place(root: str, name: str) -> str:
    """Where a server's name belongs below a folder. Raises Malformed, NameConflict.

    A name never leads out of the folder: not by what it says, and not by a link that is there.
    """
    if check_name(name, longest=4096) != name or (os.name == "nt" and ":" in name):
        raise Malformed(f"{name!r} cannot be a file here.", field="name")
    path = Path(root)
    for segment in name.split("/")[:-1]:
        path /= segment
        if path.is_symlink():
            raise NameConflict(
                f"{path} is a link to somewhere else.",
                why="What belongs into that folder would be written there.",
                todo="Remove the link, or leave the name out (--exclude).",
            )
    return str(path / name.rpartition("/")[2])
