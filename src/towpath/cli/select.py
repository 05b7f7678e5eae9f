"""Which files of a folder are carried: globs in their order, and a rule for links.

Rules: a folder's entries are sorted in bounded memory as the files are sent, so a million need no
more than some thousands; what is left out is counted and told, never passed over in silence.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from towpath.client.location import name_for, nameless
from towpath.client.syncing_walk import RUN, in_order, same_name
from towpath.errors import TowpathError, TransferError

_F = TypeVar("_F", bound=Callable[..., Any])
_ORDER = "towpath.select.order"
LINKS = ("skip", "follow", "keep")


class Selecting(click.Command):
    """A command that knows in which order --include and --exclude were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[_ORDER] = [one.name for one in order if one.name in ("include", "exclude")]
        return super().parse_args(ctx, args)


def selection_options(command: _F) -> _F:
    """--include and --exclude; `rules_given` puts them in order."""
    for option in (
        click.option(
            "--exclude", multiple=True, metavar="GLOB", help="Leave out of folders; see --include."
        ),
        click.option(
            "--include",
            multiple=True,
            metavar="GLOB",
            help="Of folders, take these. The first --include or --exclude that fits decides; what"
            " none fits is taken, unless the last one is an --include. With / in it, a GLOB is"
            " the path from the folder on, else a name anywhere; ** is any path, and / at the"
            " end stands for folders.",
        ),
    ):
        command = option(command)
    return command


def rules_given(include: Sequence[str], exclude: Sequence[str]) -> Rules:
    """The rules of the command that runs, in the order in which they were written."""
    given = {"include": iter(include), "exclude": iter(exclude)}
    order = click.get_current_context().meta[_ORDER]
    return Rules([Rule(name == "include", next(given[name])) for name in order])


class Rule(NamedTuple):
    """A glob, and whether what it fits is taken."""

    takes: bool
    glob: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path of the folder is matched with."""
        glob = self.glob.rstrip("/")
        anywhere = "" if "/" in glob else "(?:.*/)?"
        return re.compile(f"{anywhere}{_expression(glob.lstrip('/'))}", re.DOTALL)


class Rules:
    """Rules in order: the first that fits decides."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule.pattern, rule.glob.endswith("/"), rule.takes) for rule in rules]
        self._else = not (rules and rules[-1].takes)

    def take(self, path: str) -> bool:
        """Whether a file is taken. `path`: from the folder on, with / between its parts."""
        for pattern, folders, takes in self._rules:
            if not folders and pattern.fullmatch(path):
                return takes
        return self._else

    def enter(self, path: str) -> bool:
        """Whether a folder is looked into: unless a rule leaves it out."""
        return next((takes for pattern, _, takes in self._rules if pattern.fullmatch(path)), True)

    def fit(self, path: str) -> bool:
        """Whether a file is taken, and every folder that it lies in is looked into."""
        ends = (at for at, letter in enumerate(path) if letter == "/")
        return self.take(path) and all(self.enter(path[:end]) for end in ends)


def _expression(glob: str) -> str:
    """A glob as a regular expression: * and ? stay within a part of the path, ** does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\])", glob)
    return "".join(_piece(part) for part in parts)


def _piece(part: str) -> str:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in known:
        return known[part]
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inside = part[1:-1].replace("\\", "\\\\")
        negated = inside.startswith("!")
        inside = (inside[1:] if negated else inside).replace("[", "\\[").replace("^", "\\^")
        return f"(?!/)[{'^' if negated else ''}{inside}]"
    return re.escape(part)


class Found(NamedTuple):
    """A file to send: where it is, what to call it, and for a link that is kept where it leads.

    `size`: of a file in a folder, in bytes. `error`: why a folder cannot be looked into, why it
    cannot have its name, or why nobody knows what the server has; then it is all that is found.
    """

    path: str
    name: str
    link: str | None = None
    error: TowpathError | None = None
    size: int | None = None
    anyway: bool = False  # it is sent even if the server has it


class Named(NamedTuple):
    """What a command was told to send: a path here, and the name or `folder/` that it is to get.

    `error`: why it cannot be sent; then nothing else is looked at. `goes`: whether what is found in
    a folder goes already, since it was named before.
    """

    path: str
    dest: str | None
    error: TowpathError | None = None
    goes: Callable[[str], bool] = lambda _: False


class Walk:
    """Finds the files below what was named on the command line, in the order of their names.

    `run`: names of one folder that are sorted in memory.
    """

    def __init__(self, rules: Rules, links: str = "skip", *, run: int = RUN) -> None:
        self.rules = rules
        self.links = links
        self.left_out: dict[str, int] = {}  # why -> how many
        self.empty = 0  # folders with nothing in them
        self.run = run

    def top(self, path: str, dest: str | None) -> str | None:
        """What a folder is called on the server; None for what is no folder."""
        if not Path(path).is_dir():
            return None
        own = Path(os.path.abspath(path)).name  # noqa: PTH100 - of a link, its own name
        return dest if dest and not dest.endswith("/") else f"{dest or ''}{own}"

    def files(self, path: str, dest: str | None) -> Iterator[Found]:
        """Each file below `path` with its name on the server; what is named itself is taken."""
        name = self.top(path, dest)
        if name is None:
            own = Path(path).name  # which an upload tells, whatever it is called there
            wrong = nameless(own, path) or nameless(name_for(dest, own), path)
            yield Found(path, dest or "", error=wrong)
            return
        if wrong := nameless(name, path):
            yield Found(path, name, error=wrong)
            return
        above = os.stat(path)  # noqa: PTH116 - as for those below
        yield from self._below(path, name, "", ((above.st_dev, above.st_ino),))

    def told(self) -> Iterator[str]:
        """What was left out, in words."""
        for why, count in self.left_out.items():
            yield f"{count} left out: {why}."
        if self.empty:
            folders = "1 empty folder" if self.empty == 1 else f"{self.empty} empty folders"
            yield f"{folders} left out: the server keeps files only."

    def _below(
        self, folder: str, name: str, inside: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Found]:
        empty, before = True, ("", "")  # what was taken last: as it is sorted, and where it is
        try:
            with ExitStack() as held:
                for key, own in in_order(self._entries(folder), self.run, held):
                    empty = False
                    path = os.path.join(folder, own)  # noqa: PTH118 - one of many
                    there = f"{name}/{own}"
                    if not key.endswith("/"):
                        found = self._file(path, there) if self.rules.take(inside + own) else ()
                    elif self.rules.enter(inside + own):
                        found = self._folder(path, there, f"{inside}{own}/", above)
                    else:
                        continue
                    if key == before[0]:
                        for _ in islice(found, 1):  # it would be sent, or something in it
                            yield Found(path, there, error=same_name(path, before[1]))
                        continue
                    for each in found:
                        before = (key, path)
                        yield each
        except OSError as error:
            wrong = TransferError(f"{folder} cannot be read.", why=f"{error.strerror}.")
            yield Found(folder, name, error=wrong)
        else:
            self.empty += empty

    def _entries(self, folder: str) -> Iterator[tuple[str, str]]:
        """What lies in a folder: as it is sorted, and as it is called."""
        with os.scandir(folder) as entries:
            for entry in entries:
                key = unicodedata.normalize("NFC", entry.name)
                try:
                    is_folder = entry.is_dir(follow_symlinks=self.links == "follow")
                except OSError:  # a link that leads in a circle
                    is_folder = False
                yield f"{key}/" if is_folder else key, entry.name

    def _folder(
        self, path: str, name: str, inside: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Found]:
        try:
            found = os.stat(path)  # noqa: PTH116 - one of many
            here = (found.st_dev, found.st_ino)
        except OSError:  # it went just now: whoever looks into it says so
            here = (-1, -1)
        if wrong := nameless(name, path):
            yield Found(path, name, error=wrong)
        elif here in above and os.path.islink(path):  # noqa: PTH114 - one of many
            self._leave("links to a folder that they lie in")
        else:
            yield from self._below(path, name, inside, (*above, here))

    def _file(self, path: str, name: str) -> Iterator[Found]:
        try:
            found = os.lstat(path)
        except FileNotFoundError:  # it went since its folder was read
            return
        link = stat.S_ISLNK(found.st_mode)
        if link and self.links == "keep":
            target = os.readlink(path)  # noqa: PTH115 - as text
            yield Found(path, name, target, nameless(name, path) or nameless(target))
            return
        if link and self.links == "skip":
            self._leave("links; --links follow sends what they lead to, --links keep themselves")
            return
        if link:
            try:
                found = os.stat(path)  # noqa: PTH116 - one of many
            except OSError:
                self._leave("links to nothing")
                return
        if stat.S_ISREG(found.st_mode):
            yield Found(path, name, error=nameless(name, path), size=found.st_size)
        else:
            self._leave("links to nothing" if link else "neither files nor folders")

    def _leave(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1
