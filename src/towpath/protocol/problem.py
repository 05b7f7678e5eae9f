"""Errors as replies: one table from the error tree to HTTP, and RFC 9457 problem documents.

Every problem says what happened (title), why (detail) and what to do (todo); `code` is a stable
word for programs.
"""

from __future__ import annotations

import json

from towpath import errors
from towpath.errors import TowpathError
from towpath.protocol.message import Reply

MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[BaseException], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Expired: 410,
    errors.OffsetConflict: 409,
    errors.StateConflict: 409,
    errors.LengthConflict: 400,
    errors.NameConflict: 409,
    errors.TooLarge: 413,
    errors.LimitReached: 503,
    errors.TakenOver: 409,
    errors.TooSlow: 408,
    errors.Cut: 400,
    errors.Vetoed: 403,
    errors.Unanswered: 503,
    errors.DigestMismatch: 422,
    errors.StoreFull: 507,
    errors.StoreReadOnly: 503,
    errors.StoreError: 500,
    errors.Stale: 409,
    errors.LedgerError: 500,
    errors.Refused: 400,
    TowpathError: 500,
}


def status_of(error: BaseException) -> int:
    """The status of the most exact class that the table knows; 500 if it knows none."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500


def refuse(error: BaseException) -> Reply:
    """The reply to an error. What is not in the tree is answered without its text."""
    status = status_of(error)
    what, why, todo, code = "The server failed.", "", "", "internal"
    if isinstance(error, TowpathError):
        what, why, todo, code = error.what, error.why, error.todo, error.code
    why = why or "The server's log says more."
    todo = todo or "Try again; if it stays, tell who runs the server the request's id."
    extra: dict[str, str | int] = {}
    fields: list[tuple[str, str]] = []
    match error:
        case errors.Malformed() if error.field:
            extra["field"] = error.field
        case errors.OffsetConflict():
            extra["offset"] = error.offset
            fields.append(("upload-offset", str(error.offset)))
        case errors.LimitReached() | errors.Unanswered():
            fields.append(("retry-after", str(error.retry_after)))
        case errors.StoreReadOnly():
            fields.append(("retry-after", "60"))
        case errors.Unauthenticated():
            fields.append(("www-authenticate", 'Bearer realm="towpath"'))
        case _:
            pass
    return problem(status, what, why=why, todo=todo, code=code, extra=extra, fields=tuple(fields))


def problem(
    status: int,
    what: str,
    *,
    why: str = "",
    todo: str = "",
    code: str = "refused",
    extra: dict[str, str | int] | None = None,
    fields: tuple[tuple[str, str], ...] = (),
) -> Reply:
    """A reply with a problem document (RFC 9457)."""
    document: dict[str, str | int] = {
        "type": f"urn:towpath:{code}",
        "title": what,
        "status": status,
        "detail": why,
        "code": code,
        "todo": todo,
        **(extra or {}),
    }
    return Reply(
        status=status,
        fields=(
            ("content-type", MEDIA_TYPE),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            *fields,
        ),
        body=json.dumps(document, ensure_ascii=False).encode(),
    )
