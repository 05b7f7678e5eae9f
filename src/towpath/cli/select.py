"""Which files of a folder are carried: globs in their order, and a rule for links.

Rules: one folder's entries are taken one by one as the files are sent, so a million of them need no
more memory than ten; what is left out is counted and told, never passed over in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from towpath.errors import TransferError

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


@dataclass(frozen=True, slots=True)
class Rule:
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


@dataclass(frozen=True, slots=True)
class Found:
    """A file to send: where it is, what to call it, and for a link that is kept where it leads.

    `error`: why a folder cannot be looked into; then it is all that is found of it.
    """

    path: str
    name: str
    link: str | None = None
    error: TransferError | None = None


@dataclass(slots=True)
class Walk:
    """Finds the files below what was named on the command line."""

    rules: Rules
    links: str = "skip"
    left_out: dict[str, int] = field(default_factory=dict)  # why -> how many

    def files(self, path: str, dest: str | None) -> Iterator[Found]:
        """Each file below `path` with its name on the server; what is named itself is taken."""
        if not Path(path).is_dir():
            yield Found(path, dest or "")
            return
        own = Path(os.path.abspath(path)).name  # noqa: PTH100 - of a link, its own name
        name = dest if dest and not dest.endswith("/") else f"{dest or ''}{own}"
        above = os.stat(path)  # noqa: PTH116 - as for those below
        yield from self._below(path, name, "", ((above.st_dev, above.st_ino),))

    def told(self) -> Iterator[str]:
        """What was left out, in words."""
        for why, count in self.left_out.items():
            yield f"{count} left out: {why}."

    def _below(
        self, folder: str, name: str, inside: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Found]:
        try:
            opened = os.scandir(folder)
        except OSError as error:
            wrong = TransferError(f"{folder} cannot be read.", why=f"{error.strerror}.")
            yield Found(folder, name, error=wrong)
            return
        with opened as entries:
            for entry in entries:
                path = f"{inside}{entry.name}"
                link = entry.is_symlink()
                if entry.is_dir(follow_symlinks=self.links == "follow"):
                    if not self.rules.enter(path):
                        continue
                    found = entry.stat()
                    here = (found.st_dev, found.st_ino)
                    if link and here in above:
                        self._leave("links to a folder that they lie in")
                        continue
                    yield from self._below(
                        entry.path, f"{name}/{entry.name}", f"{path}/", (*above, here)
                    )
                elif self.rules.take(path):
                    yield from self._file(entry, f"{name}/{entry.name}", link=link)

    def _file(self, entry: os.DirEntry[str], name: str, *, link: bool) -> Iterator[Found]:
        if link and self.links == "keep":
            yield Found(entry.path, name, os.readlink(entry.path))  # noqa: PTH115 - as text
        elif link and self.links == "skip":
            self._leave("links; --links follow sends what they lead to, --links keep themselves")
        elif entry.is_file():
            yield Found(entry.path, name)
        else:
            self._leave("links to nothing" if link else "neither files nor folders")

    def _leave(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1
