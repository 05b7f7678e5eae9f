"""What is asked of a newcomer before anything changes: its name, its size, and whether it fits."""

from __future__ import annotations

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.limits import Limits
from towpath.core.names import check_name
from towpath.core.transfer import Write, check_length
from towpath.engine.lease import Lease
from towpath.errors import Forbidden, Malformed, NotFound


def check_new(caller: Caller, new: NewUpload, limits: Limits) -> str | None:
    """The name that a new upload gets. Raises Malformed, TooLarge, Forbidden."""
    if new.length is not None:
        check_length(new.length, most=limits.length)
    if len(new.metadata.encode()) > limits.metadata:
        raise Malformed(
            "The metadata is too large.",
            field="Upload-Metadata",
            why=f"At most {limits.metadata} bytes are kept.",
            todo="Send less.",
        )
    name = None if new.name is None else check_name(new.name, longest=limits.name)
    if not caller.reaches(name or ""):
        raise Forbidden(
            "You may not create that name.",
            why=f"Your names begin with “{caller.prefix}”.",
            todo="Choose a name there.",
        )
    return name


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
