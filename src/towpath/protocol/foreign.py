"""What a dialect is given of an upload that another dialect began.

Rules: it follows from facts of the upload that do not change, so that it is the same whenever it
is asked for; where chunks have places, the length must be known.
"""

from __future__ import annotations

from towpath.core.model import Upload
from towpath.core.plan import MB, Profile, chunk_size
from towpath.errors import StateConflict

DOCUMENT_CHUNK = 8 * MB
"""Bytes of a chunk that a document session asks for when nobody said."""


def length_of(upload: Upload) -> int:
    """The length in bytes. Raises StateConflict while it is not known."""
    if upload.length is None:
        raise StateConflict(
            "The upload cannot be cut into chunks yet.",
            why="It was begun without its length, so that no chunk has a place.",
            todo="Say the length in the protocol that began it, or go on with it there.",
        )
    return upload.length


def chunk_of(upload: Upload, profile: Profile) -> int:
    """Bytes of a chunk by the profile. Raises StateConflict while the length is not known."""
    return chunk_size(profile, length_of(upload), asked=DOCUMENT_CHUNK)


def file_name(upload: Upload) -> str:
    """What the file is called: the end of the upload's name, or its id."""
    return (upload.name or upload.id).rpartition("/")[2]
