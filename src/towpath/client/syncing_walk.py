"""The files below a folder, in the order in which a server lists names.

Rules: names are compared letter by letter, as a server does, so that `a-b` stands before `a/b`; a
folder of any size is sorted in bounded memory; links to folders are not followed, so a walk ends.
What cannot be read is told of, and where names may be missing for it is known.
"""

from __future__ import annotations

import heapq
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

from towpath.client.location import nameless
from towpath.client.syncing_choice import Choice
from towpath.errors import NameConflict, TowpathError, TransferError

RUN = 20_000  # names that are sorted in memory

Named = tuple[str, str]  # as it is sorted: a folder's ends with a slash; as it is on the disk


class Here(NamedTuple):
    """A file of this machine. Times in milliseconds since 1970."""

    name: str  # below the folder, with slashes, in Unicode's NFC form
    path: str
    size: int
    modified: int


class Walk:
    """Iterates over the files below `root` that a choice takes. Once.

    `fail` is told of what cannot be read. `missed`: prefixes of names that could not be seen.
    """

    def __init__(
        self,
        root: str,
        choice: Choice,
        fail: Callable[[str, TowpathError], None],
        *,
        run: int = RUN,
    ) -> None:
        self._root = root
        self._choice = choice
        self._fail = fail
        self._run = run
        self.missed: list[str] = []

    def __iter__(self) -> Iterator[Here]:
        stack = [("", self._root, self._children("", self._root))]
        while stack:
            prefix, folder, children = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                continue
            key, own, twin = child
            name, path = prefix + key, os.path.join(folder, own)  # noqa: PTH118 - one of many
            is_folder = key.endswith("/")
            if not (self._choice.enters(name[:-1]) if is_folder else self._choice.takes(name)):
                continue
            if twin:
                self._fail(path, same_name(path, os.path.join(folder, twin)))  # noqa: PTH118 - as above
            elif is_folder:
                stack.append((name, path, self._children(name, path)))
            elif found := self._file(name, path):
                yield found

    def _file(self, name: str, path: str) -> Here | None:
        if wrong := nameless(name, path):
            self._fail(path, wrong)
            return None
        try:
            stat = os.stat(path)  # noqa: PTH116 - one of many
        except FileNotFoundError:  # it went since its folder was read, or is a link to nothing
            return None
        except OSError as error:
            self.missed.append(name)
            self._fail(path, _unreadable(path, error))
        else:
            return Here(name, path, stat.st_size, stat.st_mtime_ns // 1_000_000)
        return None

    def _children(self, prefix: str, folder: str) -> Iterator[tuple[str, str, str]]:
        """What lies in a folder, sorted; third, what is called the same before it, if anything."""
        first = ("", "")
        try:
            with ExitStack() as held:
                for key, own in in_order(_entries(folder), self._run, held):
                    if key == first[0]:
                        yield key, own, first[1]
                    else:
                        first = (key, own)
                        yield key, own, ""
        except OSError as error:
            self.missed.append(prefix)
            self._fail(folder, _unreadable(folder, error))


def _entries(folder: str) -> Iterator[Named]:
    with os.scandir(folder) as entries:
        for entry in entries:
            key = unicodedata.normalize("NFC", entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield key + "/", entry.name
            elif entry.is_file():
                yield key, entry.name


def in_order(names: Iterable[Named], run: int, held: ExitStack) -> Iterator[Named]:
    """The names in order; what is more than a run waits in files that have no name."""
    from tempfile import TemporaryFile  # noqa: PLC0415 - slow to import, and seldom needed

    runs: list[Iterator[Named]] = []
    some: list[Named] = []
    for each in names:
        some.append(each)
        if len(some) == run:
            file = held.enter_context(TemporaryFile("w+", encoding="ascii"))  # noqa: SIM115
            file.writelines(json.dumps(one) + "\n" for one in sorted(some))
            file.seek(0)
            runs.append(_read_back(file))
            some = []
    return heapq.merge(*runs, sorted(some))


def _read_back(lines: Iterable[str]) -> Iterator[Named]:
    for line in lines:
        key, own = json.loads(line)
        yield key, own


def same_name(path: str, other: str) -> NameConflict:
    """What is wrong with two files here that would be one on the server."""
    return NameConflict(
        f"{path!a} would have the same name on the server as {other!a}.",
        why="Both are spelled alike in Unicode's NFC form.",
        todo="Call one of them something else.",
    )


def _unreadable(path: str, error: OSError) -> TransferError:
    return TransferError(f"{path} cannot be read.", why=f"{error.strerror}.")
