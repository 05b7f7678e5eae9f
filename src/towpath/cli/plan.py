"""What `--dry-run` says of a transfer: from where, to where, how much, and how much is there.

Rules: nothing is sent, made or changed; what would fail is told as it would be, with its exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from towpath.cli.amounts import size
from towpath.cli.effort import Effort
from towpath.cli.exits import OK, PARTLY
from towpath.cli.options import Caller
from towpath.client.progress import Direction
from towpath.client.resume import Note, Notebook, transfer_id
from towpath.client.surroundings import state_folder
from towpath.errors import NameConflict, NotFound, TowpathError, TransferError

if TYPE_CHECKING:
    from towpath.cli.select import Found
    from towpath.cli.unsent import Unsent
    from towpath.client import Client

DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


class _Plan:
    """Says what would be done, and sums up."""

    def __init__(self, caller: Caller, effort: Effort) -> None:
        self._caller, self._effort = caller, effort
        self._notebook = Notebook(state_folder())
        self._count = self._bytes = self._there = 0
        self._codes: list[int] = []

    def add(self, direction: Direction, path: str, name: str, length: int) -> None:
        """One file."""
        note = self._note(direction, name, path)
        there = min(note.offset, length) if note else 0
        self._count, self._bytes = self._count + 1, self._bytes + length
        self._there += there
        self._effort.add(length, length - there)
        output = self._caller.output
        output.record(
            "plan",
            action=direction.value,
            path=path,
            name=name,
            total_bytes=length,
            transferred_bytes=there,
        )
        way = (path, name) if direction is Direction.UPLOAD else (name, path)
        left = f"  ({size(there)} of it went through before)" if there else ""
        output.line(f"{way[0]} -> {way[1]}  {size(length)}{left}")

    def refuse(self, error: TowpathError, about: str) -> None:
        """One file that could not be carried."""
        self._codes.append(self._caller.output.error(error, about=about))

    def end(self, direction: Direction, *, same: int = 0, same_bytes: int = 0) -> int:
        """Sum up; the exit code. `same`: files that are there already, with so many bytes."""
        output, there = self._caller.output, self._there + same_bytes
        output.record(
            "summary",
            done=0,
            failed=len(self._codes),
            planned=self._count,
            bytes=self._bytes - self._there,
            same=same,
            bytes_there=there,
            **self._effort.record(),
        )
        files = "1 file" if self._count == 1 else f"{self._count} files"
        where = "on the server" if direction is Direction.UPLOAD else "here"
        more = f"; {size(there)} is {where} already" if there else ""
        output.say(f"Would {direction} {files}, {size(self._bytes - self._there)}{more}.")
        if self._count and direction is Direction.UPLOAD:
            output.say(f"Chunks: {self._effort.chunks()}.")
        if self._count:
            output.say(f"Time: {self._effort.time()}.")
        if not self._codes:
            return OK
        return PARTLY if self._count or len(set(self._codes)) > 1 else self._codes[0]

    def _note(self, direction: Direction, name: str, path: str) -> Note | None:
        """What is remembered of the same transfer."""
        url = self._caller.url
        server = url if url.endswith("/") else f"{url}/"  # as transfers are keyed by it
        try:
            return self._notebook.read(transfer_id(direction, server, name, path))
        except TransferError:  # of another version
            return None


def plan_uploads(caller: Caller, files: Iterable[Found], unsent: Unsent, *, effort: Effort) -> int:
    """Say what `put` would do with these files, which `unsent` has looked through."""
    from towpath.client.location import absolute, name_for
    from towpath.client.opened import open_source

    plan = _Plan(caller, effort)
    for found in files:
        path = absolute(found.path)
        error: TowpathError | None = found.error
        length = 0
        try:
            if found.link is None and error is None:
                open_source(path).close()
                length = Path(path).stat().st_size
        except TowpathError as wrong:
            error = wrong
        except OSError as wrong:
            error = NotFound(f"{found.path} cannot be read.", why=f"{wrong.strerror}.")
        if error is not None:
            plan.refuse(error, found.path)
            continue
        name = name_for(found.name or None, Path(path).name)
        plan.add(Direction.UPLOAD, path, name, length)
    return plan.end(Direction.UPLOAD, same=unsent.same, same_bytes=unsent.same_bytes)


def plan_downloads(
    caller: Caller,
    names: Callable[[Client], Iterable[tuple[str, str]]],
    *,
    overwrite: bool,
    effort: Effort,
) -> int:
    """Say what `get` would do with these names, each with its path or `folder/` here."""
    from towpath.client.location import absolute, local_name

    plan = _Plan(caller, effort)
    with caller.client() as client:
        for name, target in names(client):
            try:
                path = absolute(target + local_name(name) if target.endswith("/") else target)
                if Path(path).exists() and not overwrite:
                    raise NameConflict(
                        f"{path} exists.",
                        why="A download replaces nothing by itself.",
                        todo="Choose another path, or say so (--overwrite).",
                    )
                plan.add(Direction.DOWNLOAD, path, name, _length(client, name))
            except TowpathError as error:
                plan.refuse(error, name)
    return plan.end(Direction.DOWNLOAD)


def _length(client: Client, name: str) -> int:
    return client.stat(name).length
