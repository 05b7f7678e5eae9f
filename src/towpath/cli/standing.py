"""What is not finished, as one list: the queue, what stopped here, and what the server has.

Rules: what this machine remembers is known also when the server cannot be reached.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from towpath.cli.amounts import duration, size
from towpath.cli.names import moment
from towpath.cli.output import printable, wrapped
from towpath.client.progress import TransferState, rfc3339
from towpath.client.resume import Note, Notebook

if TYPE_CHECKING:
    from towpath.client import Client


class Standing(NamedTuple):
    """How one transfer stands. `facts`: what programs are told of it; bytes are bytes."""

    type: str  # job: of the queue; transfer: it stopped here; upload: the server has it
    id: str
    state: str
    done: int
    total: int | None
    what: str  # source and destination
    facts: Mapping[str, Any]
    remark: str = ""

    @property
    def is_over(self) -> bool:
        """Nothing will happen to it any more."""
        return self.type == "job" and TransferState(self.state).is_final

    def line(self) -> str:
        """For people; more than one line in a terminal that is too narrow."""
        shown = "-" if self.type == "upload" else self.id
        share = f"{self.done * 100 / self.total:.0f} %" if self.total else "?"
        if self.total == 0:
            share = "100 %" if self.state == TransferState.COMPLETE else "0 %"
        total = size(self.total) if self.total is not None else "?"
        what = printable(self.what, lines=False)
        line = f"{shown:<12}  {self.state:<9}  {share:>5} of {total:>9}  {what}"
        here, arrow, there = line.partition(" -> ")
        if arrow and sys.stdout.isatty() and len(line) > shutil.get_terminal_size().columns:
            line = f"{here}\n{'':<14}-> {there}"
        if self.remark:
            line += "\n" + wrapped(printable(self.remark, lines=False), sys.stdout, indent=14)
        return line

    def rows(self) -> Iterator[tuple[str, str]]:
        """All that is known, for people, by its name."""
        facts = self.facts
        yield "id", self.id
        yield "state", _STATES.get(self.type, self.state)
        for name, key in (("file", "path"), ("name", "name"), ("server", "server")):
            if facts.get(key):
                yield name, printable(str(facts[key]), lines=False)
        share = f" ({self.done * 100 / self.total:.0f} %)" if self.total else ""
        total = "?" if self.total is None else size(self.total)
        yield "done", f"{size(self.done)} of {total}{share}"
        speed = facts.get("bytes_per_second")
        if speed:
            yield "speed", f"{size(speed)}/s"
            if self.total is not None:
                yield "left", duration((self.total - self.done) / speed)
        for name in ("attempts", "priority"):
            if facts.get(name):
                yield name, str(facts[name])
        if self.remark:
            yield "remark", printable(self.remark, lines=False)
        for name, key in (("created", "created_at"), ("updated", "updated_at")):
            if facts.get(key):
                yield name, moment(str(facts[key]))


_STATES = {
    "transfer": "stopped here, or under way in another terminal",
    "upload": "unfinished on the server, begun elsewhere",
}


def of_note(note: Note, notebook: Notebook) -> Standing:
    """What stopped here, or is under way in another process."""
    there = unsigned(note.name)
    way = (note.path, there) if note.direction == "upload" else (there, note.path)
    done = reached(note, notebook)
    facts = {
        "id": note.id,
        "direction": note.direction,
        "server": note.server,
        "name": there,
        "path": note.path,
        "transferred_bytes": done,
        "total_bytes": note.length,
        "created_at": rfc3339(note.created_at),
        "updated_at": rfc3339(note.updated_at),
    }
    return Standing("transfer", note.id, note.direction, done, note.length, " -> ".join(way), facts)


def on_server(client: Client, url: str) -> Iterator[Standing]:
    """The uploads that the server at `url` has. Raises what it says."""
    for upload in client.uploads():
        name = upload.name or "(no name)"
        facts = {**upload.to_dict(), "server": url}
        yield Standing("upload", upload.id, "elsewhere", upload.offset, upload.length, name, facts)


def reached(note: Note, notebook: Notebook) -> int:
    """Bytes of the file that got through; of a coded upload under way also those on their way."""
    from towpath.client.coded_journal import sent

    rows = notebook.folder / f"{note.id}.chunks"
    try:
        stopped = rows.stat().st_mtime <= note.updated_at  # and then the note was written
    except FileNotFoundError:
        stopped = True
    if stopped or note.length is None:
        return note.offset
    return max(note.offset, min(sent(rows), note.length))


def unsigned(name: str) -> str:
    """A name as it is; of an address, without what may be secret in it."""
    address, mark, _ = name.partition("?")
    return f"{address}?..." if mark and "://" in address else name
