"""What a disk of this machine refuses, as an error of ours.

Rules: a disk that is full is told apart, since what is there already stays and can be gone on with.
"""

from __future__ import annotations

import errno

from towpath.errors import StoreFull, TowpathError, TransferError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def refused(error: OSError, what: str) -> TowpathError:
    """The error to raise in place of the system's. `what`: a sentence that says what failed."""
    why = f"{error.strerror or error}."
    if error.errno in _FULL:
        return StoreFull(what, why=why, todo="Make space, then run it again: it goes on here.")
    return TransferError(what, why=why)


def named(error: OSError) -> TowpathError:
    """The same where only the system knows which file it was, if it does."""
    if error.filename is not None:
        return refused(error, f"{error.filename} cannot be used.")
    if error.errno in _FULL:
        return refused(error, "What has to be remembered cannot be written.")
    return refused(error, "A file of this machine cannot be used.")
