"""A document session: what is kept with an upload for it, and what it is of any other upload.

Rules: a session that was begun here is as it was asked for; an upload that another dialect began
has one too, made of what is known of it, and kept only once it differs from that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from towpath.core.cut import Cut
from towpath.core.memo import memorize, recall
from towpath.core.model import Upload
from towpath.core.plan import Profile
from towpath.core.state import UploadState
from towpath.protocol.foreign import chunk_of, file_name, length_of

NAME = "documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is kept with an upload of this dialect."""

    chunk: int  # bytes
    client: str
    filename: str
    title: str
    build_index: bool

    def as_text(self) -> str:
        """For the upload's memo."""
        return json.dumps(asdict(self))


def session_of(upload: Upload) -> Session:
    """What is kept with the upload, or would be. Raises StateConflict if its length is unknown."""
    if kept := recall(upload, NAME):
        return Session(**json.loads(kept))
    name, chunk = file_name(upload), chunk_of(upload, Profile.DOCUMENT)
    return Session(chunk=chunk, client="", filename=name, title=title_of(name), build_index=True)


def title_of(filename: str) -> str:
    """What a document is called that came without a title."""
    return filename.rpartition(".")[0] or filename


def cut_of(upload: Upload) -> Cut:
    """How the file is cut. Raises StateConflict while its length is not known."""
    return Cut(length_of(upload), session_of(upload).chunk)


def for_client(upload: Upload, client: str) -> Upload:
    """The upload when another client goes on with it."""
    return memorize(upload, NAME, replace(session_of(upload), client=client).as_text())


def is_copy(upload: Upload) -> bool:
    """True if the session is of a document that was here before."""
    return bool(upload.parts) and upload.dialect == NAME


def is_whole(upload: Upload) -> bool:
    """True when nothing is to be sent: all bytes are here, or the same document was before."""
    filled = {UploadState.FILLED, UploadState.SEALING, UploadState.COMPLETE}
    return is_copy(upload) or upload.state in filled


def is_session(upload: Upload) -> bool:
    """True if an unfinished upload can be gone on with here."""
    sole = not (upload.partial or upload.parts) or is_copy(upload)
    return sole and upload.length is not None
