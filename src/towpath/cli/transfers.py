"""`towpath transfers`: what is not finished, as a list, one in detail, or watched as it goes on.

Rules: what this machine remembers is shown also when the server cannot be reached; elsewhere than
on a terminal, watching says only what is new.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from towpath.cli.exits import OK
from towpath.cli.interrupt import Halt, interruptible
from towpath.cli.options import Caller, caller_options
from towpath.cli.queue import queued, undone
from towpath.cli.resume import give_up
from towpath.cli.standing import Standing, of_note, on_server
from towpath.client.resume import Notebook
from towpath.client.surroundings import state_folder
from towpath.errors import NotFound, StateConflict, TowpathError

if TYPE_CHECKING:
    from rich.console import Console

    from towpath.client import Client

_EVERY = 1.0  # seconds between two looks


@click.command()
@click.argument("transfer", default="", metavar="[ID]")
@click.option("--watch", is_flag=True, help="Look again each second, until nothing is left.")
@click.option("--forget", metavar="ID", help="Give one up, here and on the server.")
@caller_options
def transfers(caller: Caller, transfer: str, watch: bool, forget: str | None) -> int:
    """List what is not finished: the queue, what stopped here, and what the server has.

    What was done or failed in the queue is listed too, for a while. With the first characters of
    an ID all is shown that is known of that one. `towpath ps` is the same.
    """
    if forget is not None:
        if transfer or watch:
            raise click.UsageError("--forget goes alone.")
        give_up(caller, forget)
        return OK
    with caller.client() as client:
        if watch:
            return _watch(caller, client, transfer)
        found, error = _all(caller, client)
        if transfer:
            _detail(caller, _one(found, transfer, error))
            return OK
    for each in found:
        caller.output.record(each.type, **each.facts)
        caller.output.line(each.line())
    if error is not None:
        return caller.output.error(error, about="Uploads on the server")
    if all(each.is_over for each in found):
        caller.output.say("Nothing is unfinished.")
    return OK


def _all(caller: Caller, client: Client) -> tuple[list[Standing], TowpathError | None]:
    """All that is known, and why nothing is known of the server's."""
    found = list(queued(caller.output))
    notebook, pending = Notebook(state_folder()), undone()
    notes = list(notebook.all())
    found += [of_note(note, notebook) for note in notes if note.id not in pending]
    known = {note.url.rpartition("/")[2] for note in notes}
    try:
        found += [each for each in on_server(client, caller.url) if each.id not in known]
    except TowpathError as error:
        return found, error
    return found, None


def _one(found: Iterable[Standing], start: str, error: TowpathError | None) -> Standing:
    """The one whose id begins so. Raises NotFound, StateConflict, `error` if it may be there."""
    meant = [each for each in found if each.id.startswith(start)]
    if not meant and error is not None:
        raise error
    if not meant:
        raise NotFound(
            f"There is no transfer {start}.", todo="`towpath transfers` lists what there is."
        )
    if len(meant) > 1:
        which = ", ".join(each.id for each in meant)
        raise StateConflict(
            f"{len(meant)} transfers could be meant.",
            why=f"They are {which}.",
            todo="Write more of the ID.",
        )
    return meant[0]


def _detail(caller: Caller, standing: Standing) -> None:
    caller.output.record(standing.type, **standing.facts)
    for name, value in standing.rows():
        caller.output.line(f"{name + ':':<9} {value}")


def _watch(caller: Caller, client: Client, start: str) -> int:
    """Show how things stand, again and again, until nothing is left or Ctrl-C."""
    from rich.console import Console

    console = Console()
    drawn = console.is_terminal and not console.is_dumb_terminal and not caller.output.as_json
    screen = _Drawn(console) if drawn else _News(caller)
    error: TowpathError | None = None
    try:
        with interruptible():
            chosen = ""
            while True:
                found, error = _all(caller, client)
                if start:
                    chosen = chosen or _one(found, start, error).id
                    found = [each for each in found if each.id == chosen]
                screen.show(found, error)
                if error is None and all(each.is_over for each in found):
                    break
                time.sleep(_EVERY)
    except Halt as halt:
        return halt.code
    finally:
        screen.close()
    caller.output.say("Nothing is unfinished." if not start else f"{chosen} is done with.")
    return OK


class _Drawn:
    """The list in a terminal, drawn anew in its place; what it was last stays."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, found: list[Standing], error: TowpathError | None) -> None:
        """Draw it; what has no room is counted."""
        from rich.text import Text

        lines = [line for each in found for line in each.line().split("\n")]
        if error is not None:
            lines.append(f"Uploads on the server: {error}")
        room = max(self._console.height - 2, 1)
        if len(lines) > room:
            lines[room - 1 :] = [f"and {len(lines) - room + 1} lines more"]
        text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


class _News:
    """A line, or a record, for each that is not as it was."""

    def __init__(self, caller: Caller) -> None:
        self._output = caller.output
        self._told: dict[str, tuple[Standing, str]] = {}
        self._trouble = ""

    def show(self, found: list[Standing], error: TowpathError | None) -> None:
        """Say what is new since the last time."""
        now = {f"{each.type} {each.id}": (each, each.line()) for each in found}
        for key, (each, line) in now.items():
            before = self._told.get(key)
            if before is None or (before[0] != each if self._output.as_json else before[1] != line):
                self._output.record(each.type, **each.facts)
                self._output.line(line)
        if error is None:  # else it may only be out of sight
            for each, _ in (self._told[key] for key in self._told if key not in now):
                self._output.record("gone", id=each.id)
                self._output.line(f"{each.id}  is no longer unfinished")
        elif str(error) != self._trouble:
            self._output.error(error, about="Uploads on the server")
        self._trouble = "" if error is None else str(error)
        self._told = now if error is None else self._told | now

    def close(self) -> None:
        """Nothing is open."""
