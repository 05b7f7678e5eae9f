"""`towpath resume`: go on with what is not finished.

Rules: each transfer goes on with its own server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.carry import Begin, Job, News, carry
from towpath.cli.exits import OK
from towpath.cli.keyfiles import Again, resuming_options
from towpath.cli.options import (
    Caller,
    limit_option,
    many_options,
    transfer_options,
)
from towpath.cli.queue import resume_jobs, undone
from towpath.cli.standing import unsigned
from towpath.client.coded import is_sealed
from towpath.client.resume import Note, Notebook
from towpath.client.surroundings import state_folder
from towpath.errors import NotFound, StateConflict

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client


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
    note = find(outside_the_queue(), start)
    with caller.client(note.server) as client:
        client.forget(note)
    caller.output.record("forgotten", id=note.id)
    caller.output.say(f"Forgot {note.id}.")


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
