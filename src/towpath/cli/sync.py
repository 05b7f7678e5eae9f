"""`towpath sync`: make one side what the other is, and carry only what differs.

Rules: neither side is listed first: both are gone through name by name; nothing is removed unless
that was asked for, and never because a folder could not be read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.amounts import size
from towpath.cli.carry import Begin, Job, News, at_once, carry
from towpath.cli.exits import INTERRUPTED, OK, PARTLY, TERMINATED
from towpath.cli.listed import listed
from towpath.cli.named import insist_on_names
from towpath.cli.options import Caller, files_option, limit_option, transfer_options
from towpath.cli.plan import DRY_RUN
from towpath.codec.beside import is_record
from towpath.errors import NameConflict, NotFound, TowpathError, TransferError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client, NameRecord
    from towpath.client.syncing import Step
    from towpath.client.syncing_choice import Choice
    from towpath.client.syncing_walk import Walk


@click.command()
@click.argument("source")
@click.argument("dest")
@click.option("--delete", is_flag=True, help="Remove from DEST what SOURCE has not.")
@click.option("--checksum", is_flag=True, help="Compare bytes; else sizes and times are compared.")
@DRY_RUN
@click.option("--include", multiple=True, metavar="PATTERN", help="Only what fits one of these.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Nothing that fits this.")
@files_option
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@limit_option
@transfer_options
def sync(caller: Caller, source: str, dest: str, **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Make the files of DEST what those of SOURCE are.

    One of them is a folder here, the other one a folder on the server, written with a colon:
    `towpath sync photos :backup/photos`, and back by `towpath sync :backup/photos photos`.

    Of a file that has changed only the new content is sent. Patterns are `*.tmp`, `cache` (in any
    folder) or `build/**/*.o` (from the top).
    """
    from towpath.client.syncing_choice import Choice

    if source.startswith(":") == dest.startswith(":"):
        raise click.UsageError("One side is the server's: write it with a colon, as :backup/.")
    insist_on_names(source if source.startswith(":") else dest)
    try:
        choice = Choice(said["include"], said["exclude"])
    except ValueError as error:
        raise click.UsageError(f"A pattern cannot be read: {error}.") from error
    folder = Path(dest if source.startswith(":") else source)
    if not folder.is_dir() and (folder.exists() or not source.startswith(":")):
        raise NotFound(f"There is no folder {folder}.", todo="Check the path.")
    client = caller.client(
        **at_once(said["parallel"]), retries=said["retries"], limit=said["limit"]
    )
    sides = _Sides(
        caller,
        client,
        source,
        dest,
        choice,
        checksum=said["checksum"],
        retries=said["retries"],
    )
    if said["dry_run"]:
        with client:
            sides.say(delete=said["delete"])
        return sides.code(OK)
    jobs = sides.jobs(delete=said["delete"])
    show, parallel = caller.show(), said["parallel"]
    code = carry(
        client,
        jobs,
        output=caller.output,
        show=show,
        parallel=parallel,
        missed=lambda: sides.failed,
    )
    return sides.code(code)


class _Sides:
    """Both sides, and what is done about them."""

    def __init__(
        self,
        caller: Caller,
        client: Client,
        source: str,
        dest: str,
        choice: Choice,
        *,
        checksum: bool,
        retries: int,
    ) -> None:
        from towpath.client.syncing_walk import Walk

        self._output = caller.output
        self._client = client
        self._choice = choice
        self._checksum = checksum
        self._retries = retries
        self._up = dest.startswith(":")
        folder, there = (source, dest) if self._up else (dest, source)
        self._root = os.path.abspath(folder)  # noqa: PTH100 - links are kept
        self._prefix = f"{there[1:].strip('/')}/".lstrip("/")
        self._walk: Walk = Walk(self._root, choice, self._fail)
        self.failed = self._kept = self._removed = 0

    def jobs(self, *, delete: bool) -> Iterator[Job]:
        """The transfers; what is to be removed goes while they are asked for."""
        from towpath.client.syncing import Act
        from towpath.client.whole import SMALL

        for step in self._steps(delete=delete):
            if step.act is Act.KEEP:
                self._kept += 1
            elif step.act is Act.REMOVE:
                self._remove(step)
            elif step.act is Act.SEND:
                small, begin = _size(step) <= SMALL, self._send(step)
                yield Job(step.name, begin, lambda result: str(result.name), small=small)
            else:
                small = _size(step) <= SMALL
                yield Job(step.name, self._fetch(step), self._fetched(step), small=small)
        if self._kept or self._removed:
            self._output.say(f"{self._kept} the same, {self._removed} removed.")

    def say(self, *, delete: bool) -> None:
        """What would be done, a line each, and a sum."""
        from towpath.client.syncing import Act

        counts, carried = Counter[Act](), 0
        for step in self._steps(delete=delete):
            try:
                self._check(step)
            except TowpathError as error:
                self._fail(step.name, error)
                continue
            counts[step.act] += 1
            if step.act is Act.KEEP:
                continue
            if step.act is not Act.REMOVE:
                carried += _size(step)
            self._output.record(
                "plan",
                action=step.act.value,
                path=os.path.join(self._root, step.name),  # noqa: PTH118 - only shown
                name=self._prefix + step.name,
                total_bytes=_size(step),
            )
            self._output.line(f"{step.act.value:<10}{step.name}")
        way = Act.SEND if self._up else Act.FETCH
        self._kept = counts[Act.KEEP]
        self._output.record(
            "summary",
            done=0,
            failed=self.failed,
            planned=counts[way],
            bytes=carried,
            removed=counts[Act.REMOVE],
            same=self._kept,
        )
        files = "1 file" if counts[way] == 1 else f"{counts[way]} files"
        self._output.say(
            f"Would {way.value} {files}, {size(carried)}, and remove {counts[Act.REMOVE]};"
            f" {self._kept} the same."
        )

    def _check(self, step: Step) -> None:
        """Raise what the transfer of a file would find wrong before its first byte."""
        from towpath.client.opened import open_source
        from towpath.client.syncing import Act, place

        if step.act is Act.SEND and step.here:
            open_source(step.here.path).close()
        elif step.act is Act.FETCH:
            place(self._root, step.name)

    def code(self, carried: int) -> int:
        """The exit code for all."""
        if carried in (INTERRUPTED, TERMINATED):
            return carried
        well = carried == OK or self._kept or self._removed  # some of it, at least
        return PARTLY if well and (self.failed or carried != OK) else carried

    def _steps(self, *, delete: bool) -> Iterator[Step]:
        from towpath.client import syncing

        there = syncing.listed(self._names(), self._prefix, self._choice)
        here = self._walk if self._up or Path(self._root).is_dir() else ()
        if self._up:
            differs = syncing.by_content if self._checksum else syncing.sent_before
            steps = syncing.to_server(here, there, self._judged(differs))
        else:
            differs = syncing.by_content if self._checksum else syncing.fetched_before
            steps = syncing.to_folder(here, there, self._judged(differs))
        for step in steps:
            if step.act is not syncing.Act.REMOVE or (delete and self._is_gone(step)):
                yield step

    def _names(self) -> Iterator[NameRecord]:
        """What the server has. Raises NotFound if that is nothing, and it is the source.

        Else a name that is written wrong would be a folder from which all is gone.
        """
        found = False
        for record in listed(self._client, self._prefix, retries=self._retries):
            found = True
            if not is_record(record.path, record.media_type):  # which goes with its file
                yield record
        if not (found or self._up):
            raise NotFound(
                f"The server has no folder :{self._prefix}.", todo="`towpath ls` shows names."
            )

    def _judged(self, differs: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        """A file that cannot be read differs: its transfer says what is wrong with it."""

        def judge(here: Any, there: Any) -> bool:  # noqa: ANN401 - what syncing compares
            with suppress(TowpathError):
                return differs(here, there)
            return True

        return judge

    def _is_gone(self, step: Step) -> bool:
        """Whether what SOURCE has not is gone: not just unseen, and no unfinished download."""
        if self._up:
            return not any(step.name.startswith(prefix) for prefix in self._walk.missed)
        return not step.name.endswith(".part")

    def _fail(self, about: str, error: TowpathError) -> None:
        self.failed += 1
        self._output.error(error, about=about)

    def _send(self, step: Step) -> Begin:
        def begin(client: Client, news: News) -> BlockingTransfer[Any]:
            from towpath.client.whole import SMALL

            path, name = step.here.path if step.here else "", self._prefix + step.name
            delta = _size(step) > SMALL  # a small file goes in one request, whatever has changed
            return client.upload(path, name, on_conflict="replace", delta=delta, progress=news)

        return begin

    def _fetch(self, step: Step) -> Begin:
        def begin(client: Client, news: News) -> BlockingTransfer[Any]:
            from towpath.client.syncing import place

            path = Path(place(self._root, step.name))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise NameConflict(
                    f"{path.parent} cannot be a folder.", why=f"{error.strerror}."
                ) from error
            name = self._prefix + step.name
            known = step.there.record if step.there else None
            return client.download(name, path, overwrite=True, known=known, progress=news)

        return begin

    def _fetched(self, step: Step) -> Callable[[Any], str]:
        def settle(result: Any) -> str:  # noqa: ANN401 - a DownloadResult
            if step.there is not None and step.there.modified is not None:
                at = step.there.modified * 1_000_000
                try:
                    os.utime(result.path, ns=(at, at))
                except OSError as error:
                    self._fail(result.path, _no_time(error))
            return str(result.path)

        return settle

    def _remove(self, step: Step) -> None:
        name = self._prefix + step.name
        try:
            if step.there is not None:
                with suppress(NotFound):  # somebody was quicker, or it went with its file
                    self._client.remove(name)
            elif step.here is not None:
                _unlink(Path(self._root), Path(step.here.path))
        except TowpathError as error:
            self._fail(name, error)
        else:
            self._removed += 1
            self._output.record("removed", name=step.name)
            self._output.say(f"Removed {step.name}.")


def _size(step: Step) -> int:
    """Bytes of what would be carried or removed."""
    mine = step.there if step.act == "download" else step.here
    side = mine or step.here or step.there
    return side.size if side else 0


def _no_time(error: OSError) -> TransferError:
    return TransferError("Its time could not be set.", why=f"{error.strerror}.")


def _unlink(root: Path, path: Path) -> None:
    """Remove a file, and the folders that are empty then. Raises TransferError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise TransferError(f"{path} cannot be removed.", why=f"{error.strerror}.") from error
    for folder in path.parents:
        if folder == root or root not in folder.parents:
            return
        try:
            folder.rmdir()
        except OSError:  # there is something in it
            return
