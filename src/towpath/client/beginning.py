"""What an upload begins with: the facts that a server is told, and the note that is kept here.

Rules: what it began with stays as it is until it ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from towpath.client.elsewhere import FINGERPRINT
from towpath.client.peer import Peer
from towpath.client.progress import Direction
from towpath.client.resume import Note, Source
from towpath.errors import StateConflict

if TYPE_CHECKING:
    from towpath.client.upload import UploadTask


def new_note(task: UploadTask, peer: Peer, source: Source, url: str, dialect: str = "") -> Note:
    """What is remembered of an upload that begins here; `url`: from the server, or below it."""
    return Note(
        id=task.id,
        direction=Direction.UPLOAD,
        server=peer.url,
        name=task.name,
        path=task.path,
        url=peer.address(url),
        dialect=dialect,
        source=source,
        length=source.size,
        on_conflict=task.on_conflict,
        metadata=task.metadata,
    )


def tus_metadata(task: UploadTask, source: Source) -> dict[str, str]:
    """What an upload by tus is created with, so that the server can name it and we can find it."""
    return {
        **task.metadata,
        "name": task.name,
        "filename": Path(task.path).name,
        "mtime": str(source.mtime_ns // 1_000_000),
        **({FINGERPRINT: task.fingerprint} if task.fingerprint else {}),
        **({"on-conflict": task.on_conflict} if task.on_conflict else {}),
    }


def insist_on_same(note: Note, task: UploadTask) -> None:
    """What an upload was created with stays: a call that wants something else starts over."""
    if note.on_conflict != task.on_conflict or dict(note.metadata) != dict(task.metadata):
        said = [f"{key.removeprefix('towpath-')}={value}" for key, value in note.metadata.items()]
        metadata = f"the metadata {', '.join(said)}" if said else "no metadata"
        raise StateConflict(
            f"The upload of {task.path} began with other settings.",
            why=f"It has on-conflict {note.on_conflict or 'keep-both'} and {metadata}; that cannot"
            " change on the way.",
            todo="Say the same again, or start over (--restart).",
        )
