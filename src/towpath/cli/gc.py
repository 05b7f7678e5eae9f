"""`towpath gc`: what stopped transfers left on this machine.

Rules: a transfer that a process carries is left alone; only what is old enough goes; a `.part` file
that no note knows is looked for only in folders that were named; the server is not asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from towpath.cli.amounts import duration, size
from towpath.cli.link import Span
from towpath.cli.options import output_options
from towpath.cli.output import Output
from towpath.client.progress import Direction
from towpath.client.resume import Note, Notebook
from towpath.client.surroundings import state_folder
from towpath.errors import StateConflict, TransferError

_WEEK = 7 * 86400
_LEFTOVERS = ("*.new", "*.damaged", "*.lock", "*.chunks")
_WITH_NOTE = (".lock", ".chunks")  # of a note, as long as there is one


@dataclass(frozen=True, slots=True)
class Find:
    """Something that may go. `bytes`: on the disk."""

    kind: str  # note, part or leftover
    path: Path
    bytes: int
    idle: float  # seconds
    note: Note | None = None

    def shown(self) -> str:
        """One line."""
        what = str(self.path)
        if self.note is not None:
            what = f"{self.note.id} ({self.note.path}, {self.note.direction})"
        return f"{self.kind:<8}  {size(self.bytes):>9}  idle {duration(self.idle)}  {what}"


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--older",
    type=Span(),
    default=_WEEK,
    help="Only what was not touched for so long, as 24h; 7d by default.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@output_options
def gc(output: Output, folders: tuple[Path, ...], older: int, dry_run: bool) -> None:
    """Remove notes of transfers that nobody went on with, and what they left.

    With a note of a download goes its .part file. In FOLDERS, and below them, .part files that no
    note knows are removed too: name only folders where such files come from towpath. What the
    server has of an upload it removes by itself.
    """
    notebook = Notebook(state_folder())
    count = freed = 0
    for found in _all(notebook, folders):
        if found.idle < older or not (dry_run or _remove(notebook, found)):
            continue
        count, freed = count + 1, freed + found.bytes
        output.record(
            "plan" if dry_run else "removed",
            what=found.kind,
            path=str(found.path),
            bytes=found.bytes,
            idle_seconds=round(found.idle),
            id=found.note.id if found.note else None,
        )
        output.line(found.shown())
    if not count:
        output.say("There is nothing to remove.")
        return
    verb = "Would remove" if dry_run else "Removed"
    things = "1 thing" if count == 1 else f"{count} things"
    output.say(f"{verb} {things}, {size(freed)}.")


def _all(notebook: Notebook, folders: tuple[Path, ...]) -> Iterator[Find]:
    known: set[Path] = set()
    notes = list(_notes(notebook))
    for note in notes:
        known.add(_part(note))
        yield _of_note(notebook, note)
    ids = {note.id for note in notes}
    for pattern in _LEFTOVERS:
        for path in sorted(notebook.folder.glob(pattern)):
            if path.suffix not in _WITH_NOTE or path.stem not in ids:
                yield _of_file("leftover", path)
    for folder in folders:
        for path in sorted(folder.rglob("*.part")):
            if path.is_file() and not path.is_symlink() and path.absolute() not in known:
                yield _of_file("part", path)


def _notes(notebook: Notebook) -> Iterator[Note]:
    """Every note that can be read; one of another version is left alone."""
    for path in sorted(notebook.folder.glob("*.json")):
        with suppress(TransferError):
            note = notebook.read(path.stem)
            if note is not None:
                yield note


def _of_note(notebook: Notebook, note: Note) -> Find:
    part = _part(note)
    held = _bytes(part) if note.direction is Direction.DOWNLOAD else 0
    path = notebook.folder / f"{note.id}.json"
    idle = max(0.0, time.time() - note.updated_at)
    return Find("note", path, held + _bytes(path), idle, note)


def _of_file(kind: str, path: Path) -> Find:
    try:
        stat = path.stat()
    except OSError:  # gone just now
        return Find(kind, path, 0, 0.0)
    return Find(kind, path, stat.st_size, max(0.0, time.time() - stat.st_mtime))


def _part(note: Note) -> Path:
    return Path(f"{note.path}.part")


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _remove(notebook: Notebook, found: Find) -> bool:
    """True when it is gone by this."""
    if found.kind == "part":
        found.path.unlink(missing_ok=True)
        return True
    note_id = found.note.id if found.note else found.path.stem
    try:
        with notebook.lock(note_id):  # nobody carries it, and nobody begins to
            if found.note is not None:
                now = notebook.read(note_id)
                if now is None or now.updated_at != found.note.updated_at:
                    return False
                if now.direction is Direction.DOWNLOAD:
                    _part(now).unlink(missing_ok=True)
                notebook.remove(note_id)
            elif found.path.suffix != ".lock":  # which goes with the lock itself
                found.path.unlink(missing_ok=True)
    except StateConflict:
        return False
    return True
