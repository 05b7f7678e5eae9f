"""`--files-from`: names of files to upload, one a line or with NUL between, from a file or stdin.

Rules: the list is read as its files are sent, so it may be of any length, and still be written; a
name that is wrong is told with its place, and the others go on; a file keeps the folders that its
name says.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from itertools import takewhile
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

import click

from towpath.cli.select import Named
from towpath.errors import Malformed, NotFound, TowpathError

_F = TypeVar("_F", bound=Callable[..., Any])
_BLOCK = 64 * 1024  # bytes
_LONGEST = 64 * 1024  # bytes of a name: no system has longer ones
_RECENT = 10_000  # names that are known again: as many files of a list may be under way at once


def list_options(command: _F) -> _F:
    """--files-from and --from0."""
    for option in (
        click.option("--from0", is_flag=True, help="Names of --files-from end with NUL."),
        click.option(
            "--files-from",
            "files_from",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, allow_dash=True),
            help="Upload what FILE names, one a line, or - for stdin; each keeps its folders.",
        ),
    ):
        command = option(command)
    return command


def check_list(paths: tuple[str, ...], said: dict[str, Any]) -> None:
    """Raises UsageError for what makes no sense with a list, or only with one."""
    if said["files_from"] is None:
        if said["from0"]:
            raise click.UsageError("--from0 says how names of a list end: add --files-from.")
        if not paths:
            raise click.UsageError("Missing argument 'PATH... [DEST]'.")
        return
    if said["name"]:
        raise click.UsageError("--name is for stdin; files of a list have names of their own.")
    words = [*paths, *([said["dest"]] if said["dest"] is not None else [])]
    if len(words) > 1:
        raise click.UsageError("With --files-from there is one word more at most: DEST.")
    if words and not words[0].endswith("/"):
        raise click.UsageError(f"What a list names goes into a folder: write {words[0]}/.")


class List(NamedTuple):
    """A list of names. `file`: its path, or - for stdin; `dest`: a folder of the server."""

    file: str
    dest: str | None
    end: bytes  # of a name
    say: Callable[[str], None]

    def named(self) -> Iterator[Named]:
        """What the list names. A name that is there again soon is left out."""
        recent: OrderedDict[str, None] = OrderedDict()
        for place, name in self._names():
            try:
                path, own = self._checked(name, place)
            except TowpathError as error:
                yield Named(name[:80], None, error)
                continue
            here = _absolute(path)
            with_it = [each for each in _with_folders(here) if each in recent]
            for each in with_it:
                recent.move_to_end(each)
            if here in with_it:
                self.say(f"{path} is named twice: it is sent once.")
            if with_it:  # a folder of the list goes with all that is in it
                continue
            recent[here] = None
            if len(recent) > _RECENT:
                recent.popitem(last=False)
            goes = partial(_goes, recent, here)
            yield Named(path, f"{self.dest or ''}{own}" or None, goes=goes)

    def _names(self) -> Iterator[tuple[str, str]]:
        """Each name that is not blank, with its place in words. Ends at one that is too long."""
        lines = self.end == b"\n"
        where = "stdin" if self.file == "-" else self.file
        for number, entry in enumerate(self._entries(), 1):
            name = entry.removesuffix(b"\r") if lines else entry
            if name.strip() if lines else name:
                yield f"{'line' if lines else 'name'} {number} of {where}", os.fsdecode(name)

    def _entries(self) -> Iterator[bytes]:
        rest = b""
        with _opened(self.file) as file:
            while piece := file.read(_BLOCK):
                *whole, rest = (rest + piece).split(self.end)
                yield from whole
                if len(rest) > _LONGEST:
                    break
        yield rest

    def _checked(self, name: str, place: str) -> tuple[str, str]:
        """A name, and what it is called below DEST; empty for what has no name of its own."""
        if len(name) > _LONGEST:
            raise Malformed(
                f"The {place} is longer than any name.",
                field="files_from",
                why="What comes after it is not read.",
                todo="Give a list of names; for names that end with NUL add --from0.",
            )
        if "\0" in name:
            raise Malformed(
                f"The {place} has a NUL in it.",
                field="files_from",
                todo="If the names end with NUL, add --from0.",
            )
        if not os.path.lexists(name):
            raise NotFound(f"There is no {name}.", why=f"It is {place}.", todo="Check the list.")
        own = os.path.normpath(name)
        if PurePath(own).parts[:1] == (os.pardir,):
            raise Malformed(
                f"{name} is not in this folder.",
                field="files_from",
                why=f"It is {place}, and a file keeps the folders that its name says.",
                todo="Write the path from the root, or run this in a folder above it.",
            )
        if os.path.realpath(own) != os.path.realpath(name):
            raise Malformed(
                f"{name} goes back out of a link.",
                field="files_from",
                why=f"It is {place}, and is not {own}, which a file of that name would be.",
                todo="Write the path without .. in it.",
            )
        own = own.replace(os.sep, "/").lstrip("/")
        return name, "" if own == "." else own


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link is not what it leads to


def _with_folders(path: str) -> Iterator[str]:
    """An absolute path, and all folders that it lies in."""
    yield path
    yield from map(str, PurePath(path).parents)


def _goes(named: Container[str], folder: str, path: str) -> bool:
    """Whether what lies in a folder was named, or a folder below that one which it lies in."""
    inside = takewhile(lambda each: each != folder, _with_folders(_absolute(path)))
    return any(each in named for each in inside)


@contextmanager
def _opened(file: str) -> Iterator[FileIO]:
    """The list, whose reads give what there is already."""
    if file == "-":
        with FileIO(sys.stdin.fileno(), closefd=False) as stream:
            yield stream
    else:
        with FileIO(file) as stream:
            yield stream
