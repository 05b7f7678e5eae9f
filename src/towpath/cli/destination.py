"""Which words of `towpath put` are files to upload, and which one is the destination.

Rules: what is here is uploaded, unless it ends in a slash or --to names the destination; where
something else could have been meant, it is told what was taken for what, and how to say the other.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence

import click


def split_destination(paths: Sequence[str], to: str | None) -> tuple[list[str], str | None]:
    """Sources and destination: the last of several is one if it ends in / or is no file here."""
    insist_on_words(*paths, to=to)
    sources, dest = list(paths), to
    if to is None and sources[0] == "-" and len(sources) == 2:
        return ["-"], sources[1]
    if to is None and len(sources) > 1:
        last = sources[-1]
        if last.endswith("/") or not os.path.lexists(last):
            dest = sources.pop()
    if dest is not None and not dest.endswith("/") and len(sources) > 1:
        raise click.UsageError(
            f"There is no {dest} here to upload; to put several files into a folder, write {dest}/."
        )
    return sources, dest


def insist_on_words(*words: str, to: str | None) -> None:
    """Raise UsageError where one is empty, as that of a variable is that nobody has set."""
    if "" in words or to == "":
        raise click.UsageError("An empty word names nothing: say what to carry, and where to.")


def once(sources: Sequence[str], dest: str | None, say: Callable[[str], None]) -> list[str]:
    """Each source once. Tells of those that were named again, and of a second word in doubt."""
    kept: dict[str, str] = {}
    for source in sources:
        here = os.path.abspath(source)  # noqa: PTH100 - a link is not what it leads to
        if here in kept:
            say(f"{source} is named twice: it is sent once.")
        kept.setdefault(here, source)
    if dest is None and len(sources) == 2:
        last = sources[1]
        say(
            f"{last} is taken for something to upload, because it is here; for a destination of"
            f" that name write --to {shlex.quote(last)}"
        )
    return list(kept.values())
