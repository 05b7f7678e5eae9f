"""What is asked of a newcomer before anything changes: its name, its size, and whether it fits."""

from __future__ import annotations

import secrets

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.digest import format_digests
from towpath.core.limits import Limits
from towpath.core.model import Upload
from towpath.core.names import check_name
from towpath.core.state import UploadState
from towpath.core.transfer import Write, check_length
from towpath.engine.frontier import FOLLOWED
from towpath.engine.lease import Lease
from towpath.errors import Forbidden, LimitReached, Malformed, NotFound
from towpath.ledger.base import Ledger, Query

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_BITS = 320  # twice as many as are used, so that every letter is as likely as any other
_UNFINISHED = (UploadState.OPEN, UploadState.FILLED, UploadState.SEALING)


def check_new(caller: Caller, new: NewUpload, limits: Limits) -> str | None:
    """The name that the object will have, if the upload may be. Raises Refused."""
    if new.length is not None:
        check_length(new.length, most=limits.length)
    if len(new.metadata.encode()) > limits.metadata:
        raise Malformed(
            "The metadata is too large.",
            field="Upload-Metadata",
            why=f"At most {limits.metadata} bytes are kept.",
            todo="Send less.",
        )
    named = new.name is not None and not new.partial
    name = check_name(new.name or "", longest=limits.name) if named else None
    if not new.partial and not caller.reaches(name or ""):
        raise Forbidden(
            "You may not create that name.",
            why=f"Your names begin with “{caller.prefix}”.",
            todo="Choose a name there.",
        )
    return name


def check_room(ledger: Ledger, caller: Caller, limits: Limits) -> None:
    """Raises LimitReached when too many of the tenant's uploads are unfinished. Blocks."""
    query = Query(where={"tenant": caller.tenant, "state": _UNFINISHED})
    if ledger.count(Upload, query) >= limits.open_uploads:
        raise LimitReached(
            "Too many uploads are unfinished.",
            why=f"At most {limits.open_uploads} may be.",
            todo="Finish or cancel some.",
            retry_after=60,
        )


def first_row(
    caller: Caller,
    new: NewUpload,
    name: str | None,
    *,
    parts: tuple[str, ...] = (),
    now: int,
    expires_at: int,
) -> Upload:
    """The upload's first row, without a handle yet."""
    wants = {*new.wants, *new.digests} & set(FOLLOWED)
    return Upload(
        tenant=caller.tenant,
        owner=caller.subject,
        id=new.id or new_key(),
        state=UploadState.FILLED if new.length == 0 and not parts else UploadState.OPEN,
        length=new.length,
        handle="",
        name=name,
        on_conflict=new.on_conflict,
        replaces=new.replaces,
        media_type=new.media_type,
        metadata=new.metadata,
        dialect=new.dialect,
        completes=new.completes,
        partial=new.partial,
        parts=" ".join(parts),
        expects=format_digests(new.digests),
        wants=" ".join(sorted(wants)),
        memo=new.memo,
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
    )


def new_key() -> str:
    """160 random bits in [0-9a-z]: nobody guesses one."""
    drawn, letters = secrets.randbits(_BITS), []
    for _ in range(31):
        drawn, letter = divmod(drawn, 36)
        letters.append(_ALPHABET[letter])
    return "".join(letters)


def gives_way(lease: Lease, write: Write) -> bool:
    """True if the lease must end for the write: they overlap, or it reaches beyond the new end."""
    if write.sequential or lease.overlaps(write.offset, write.end):
        return True
    return write.declares is not None and (lease.end is None or lease.end > write.declares)


def no_such_upload() -> NotFound:
    """A foreign upload is answered like one that does not exist."""
    return NotFound(
        "There is no such upload.",
        why="It never was, it was removed, or it is not yours.",
        todo="Begin a new upload.",
    )
