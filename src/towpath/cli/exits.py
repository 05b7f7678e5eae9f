"""What the process says with its last number: the one table from errors to exit codes.

Rules: a code never changes its meaning; scripts rely on it.
"""

from __future__ import annotations

from towpath import errors

OK = 0
ERROR = 1
USAGE = 2
PARTLY = 3  # some of several files failed
NOT_FOUND = 4
TEMPORARY = 5  # state is saved: run it again to go on
INTEGRITY = 6  # a checksum does not match, or the file has changed
NOT_AUTHORISED = 7
CONFLICT = 8  # it exists, or somebody else is at it
LIMIT = 9  # a limit, a quota or a disk is full
UNREACHABLE = 10
INTERRUPTED = 130
TERMINATED = 143

_TABLE: dict[type[BaseException], int] = {
    errors.Malformed: USAGE,
    errors.SettingsError: USAGE,
    errors.Unauthenticated: NOT_AUTHORISED,
    errors.Forbidden: NOT_AUTHORISED,
    errors.NotFound: NOT_FOUND,
    errors.Expired: NOT_FOUND,
    errors.OffsetConflict: TEMPORARY,
    errors.StateConflict: CONFLICT,
    errors.NameConflict: CONFLICT,
    errors.TooLarge: LIMIT,
    errors.LimitReached: LIMIT,
    errors.Interrupted: TEMPORARY,
    errors.DigestMismatch: INTEGRITY,
    errors.Unreadable: INTEGRITY,
    errors.WrongKey: NOT_AUTHORISED,
    errors.SourceChanged: INTEGRITY,
    errors.StoreFull: LIMIT,
    errors.StoreReadOnly: TEMPORARY,
    errors.StoreBusy: TEMPORARY,
    errors.StoreLost: INTEGRITY,
    errors.LedgerError: TEMPORARY,
    errors.ServerUnreachable: UNREACHABLE,
    errors.TowpathError: ERROR,
}


def among(code: int, well: int) -> int:
    """The code for all, where `well` others are as they should be."""
    return PARTLY if well and code not in (OK, INTERRUPTED, TERMINATED) else code


def exit_code(error: BaseException) -> int:
    """The code of the most exact class that the table knows."""
    if isinstance(error, errors.TransferError) and type(error) not in _TABLE and error.retryable:
        return TEMPORARY
    return next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), ERROR)
