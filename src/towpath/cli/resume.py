"""`towpath transfers` and `towpath resume`: what is not finished.

Rules: what this machine remembers is shown also when the server cannot be reached.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.amounts import size
from towpath.cli.carry import Begin, Job, News, carry
from towpath.cli.exits import OK
from towpath.cli.keyfiles import Again, resuming_options
from towpath.cli.options import (
    Caller,
    caller_options,
    limit_option,
    many_options,
    transfer_options,
)
from towpath.cli.output import printable
from towpath.cli.queue import resume_jobs, show_jobs, undone
from towpath.client.coded import is_sealed
from towpath.client.progress import TransferState, rfc3339
from towpath.client.resume import Note, Notebook
from towpath.client.surroundings import state_folder
from towpath.errors import NotFound, StateConflict, TowpathError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client


@click.command()
@click.option("--forget", metavar="ID", help="Give one up, here and on the server.")
@caller_options
def transfers(caller: Caller, forget: str | None) -> int:
    """List what is not finished: the queue, what stopped here, and what the server has.

    What was done or failed in the queue is listed too, for a while.
    """
    notes = list(Notebook(state_folder()).all())
    if forget is not None:
        return _forget(caller, find(outside_the_queue(), forget))
    show_jobs(caller.output, row)
    queued = undone()
    for note in notes:
        if note.id in queued:
            continue
        caller.output.record("transfer", **facts(note))
        caller.output.line(row(note.id, note.direction, note.offset, note.length, shown(note)))
    known = {note.url.rpartition("/")[2] for note in notes}
    some = bool(notes or queued)
    try:
        with caller.client() as client:
            for upload in client.uploads():
                if upload.id in known:
                    continue
                some = True
                caller.output.record("upload", **upload.to_dict())
                name = upload.name or "(no name)"
                caller.output.line(row("-", "elsewhere", upload.offset, upload.length, name))
    except TowpathError as error:
        return caller.output.error(error, about="Uploads on the server")
    if not some:
        caller.output.say("Nothing is unfinished.")
    return OK


@click.command()
@click.argument("transfer", default="", metavar="[ID]")
@click.option("--all", "every", is_flag=True, help="All that this machine remembers.")
@many_options
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@limit_option
@resuming_options
@transfer_options
def resume(caller: Caller, transfer: str, every: bool, **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Go on with a transfer that stopped; `towpath transfers` lists the IDs.

    The first characters of an ID are enough, and none are needed when there is only one. What was
    paused in the queue goes on there. What is encrypted finds its key files where they were; else,
    and for a passphrase that was typed in, give all of its keys again.
    """
    notes = outside_the_queue()
    queued = resume_jobs(caller.output, transfer, every=every, alone=not notes)
    if queued and not (every and notes):
        return OK
    if not every:
        notes = [find(notes, transfer)]
    elif not notes:
        caller.output.say("There is nothing to resume.")
    code, keys = OK, Again(said, caller.output)
    for server in dict.fromkeys(note.server for note in notes):
        if caller.explicit and server.rstrip("/") != caller.url.rstrip("/"):
            raise StateConflict(
                f"That transfer is with {server}.", todo="Leave out --url, or give that one."
            )
        mine = [note for note in notes if note.server == server]
        client = caller.client(
            server,
            parallel=said["parallel"],
            connections=said["connections"],
            total_connections=said["total_connections"],
            retries=said["retries"],
            limit=said["limit"],
        )
        code = (
            carry(
                client,
                _jobs(mine, keys),
                output=caller.output,
                show=caller.show(),
                parallel=said["parallel"],
            )
            or code
        )
    return code


def outside_the_queue() -> list[Note]:
    """What stopped on this machine and is nobody's but ours to go on with."""
    notes = Notebook(state_folder()).all()
    queued = undone()
    return [note for note in notes if note.id not in queued]


def give_up(caller: Caller, start: str) -> None:
    """Forget the transfer whose id begins so, here and on the server. Raises NotFound."""
    _forget(caller, find(outside_the_queue(), start))


def find(notes: list[Note], start: str) -> Note:
    """The one note whose id begins so. Raises NotFound, StateConflict."""
    found = [note for note in notes if note.id.startswith(start)]
    if not found:
        what = (
            f"There is no unfinished transfer {start}." if start else "There is nothing to resume."
        )
        raise NotFound(what, todo="`towpath transfers` lists those that there are.")
    if len(found) > 1:
        which = ", ".join(note.id for note in found)
        raise StateConflict(
            f"{len(found)} transfers are not finished.", why=f"They are {which}.", todo="Name one."
        )
    return found[0]


def facts(note: Note) -> dict[str, object]:
    """For JSON."""
    return {
        "id": note.id,
        "direction": note.direction,
        "server": note.server,
        "name": unsigned(note.name),
        "path": note.path,
        "transferred_bytes": note.offset,
        "total_bytes": note.length,
        "created_at": rfc3339(note.created_at),
        "updated_at": rfc3339(note.updated_at),
    }


def row(note_id: str, kind: str, offset: int, length: int | None, name: str) -> str:
    """One line of the list; two in a terminal that is too narrow for both sides of an arrow."""
    share = f"{offset * 100 / length:.0f} %" if length else "?"
    if length == 0:
        share = "100 %" if kind == TransferState.COMPLETE else "0 %"
    total = size(length) if length is not None else "?"
    line = f"{note_id:<12}  {kind:<9}  {share:>5} of {total:>9}  {printable(name, lines=False)}"
    here, arrow, there = line.partition(" -> ")
    if arrow and sys.stdout.isatty() and len(line) > shutil.get_terminal_size().columns:
        return f"{here}\n{'':<14}-> {there}"
    return line


def shown(note: Note) -> str:
    """Source and destination."""
    here, there = note.path, unsigned(note.name)
    return f"{here} -> {there}" if note.direction == "upload" else f"{there} -> {here}"


def unsigned(name: str) -> str:
    """A name as it is; of an address, without what may be secret in it."""
    address, mark, _ = name.partition("?")
    return f"{address}?..." if mark and "://" in address else name


def _forget(caller: Caller, note: Note) -> int:
    with caller.client(note.server) as client:
        client.forget(note)
    caller.output.record("forgotten", id=note.id)
    caller.output.say(f"Forgot {note.id}.")
    return OK


def _jobs(notes: list[Note], keys: Again) -> Iterator[Job]:
    for note in notes:
        label = note.path if note.direction == "upload" else unsigned(note.name)
        yield Job(
            label,
            _begin(note, keys),
            lambda result: str(getattr(result, _DATA[type(result).__name__])),
        )


_DATA = {"UploadResult": "name", "DownloadResult": "path"}


def _begin(note: Note, keys: Again) -> Begin:
    def begin(client: Client, news: News) -> BlockingTransfer[Any]:
        if note.direction == "download":
            return client.resume(note, keys=keys.opens(note), progress=news)
        encrypt = keys.locks(note) if is_sealed(note) else ()
        return client.resume(note, encrypt=encrypt, progress=news)

    return begin
