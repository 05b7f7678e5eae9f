"""What an HTTP hook is asked, and what its answer means.

    POST {"type": "before_create" | "while_receiving" | "before_complete", "timestamp": ...,
          "data": {"caller": {"tenant", "subject"}, "upload": {...}}}

    200 {}                                   go on (an empty body, too)
    200 {"id": ..., "name": ..., "metadata": ...}   before_create: go on, with these
    200 {"refuse": true, "reason": ..., "todo": ...}   no

Rules: anything else is no answer, and no answer is not yes unless a setting says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.errors import TowpathError, Unanswered, Vetoed
from towpath.protocol.values import flag, read_object, text, write_time

ASKS = ("before_create", "while_receiving", "before_complete")
MOST_ANSWER = 64 * 1024
"""Bytes of an answer."""


def ask(kind: str, tenant: str, subject: str, upload: Mapping[str, object], *, now: int) -> bytes:
    """The body of a question. `now`: milliseconds since 1970."""
    caller = {"tenant": tenant, "subject": subject}
    question = {
        "type": kind,
        "timestamp": write_time(now),
        "data": {"caller": caller, "upload": upload},
    }
    return json.dumps(question, ensure_ascii=False).encode()


def describe_new(new: NewUpload) -> dict[str, object]:
    """The upload that somebody wants to begin."""
    return {
        "id": new.id,
        "name": new.name,
        "length": new.length,
        "media_type": new.media_type,
        "metadata": new.metadata,
        "dialect": new.dialect,
        "partial": new.partial,
    }


def describe(upload: Upload) -> dict[str, object]:
    """The upload that runs, or is about to be complete."""
    return {
        "id": upload.id,
        "name": upload.name,
        "length": upload.length,
        "offset": upload.offset,
        "media_type": upload.media_type,
        "metadata": upload.metadata,
        "dialect": upload.dialect,
        "partial": upload.partial,
    }


def read_answer(status: int, body: bytes) -> dict[str, object]:
    """What the hook wants. Raises Vetoed if it says no, Unanswered if it says nothing."""
    if not 200 <= status < 300:
        raise _unanswered(f"It answered {status}.")
    try:
        values = read_object(body)
        refuses = flag(values, "refuse")
        reason, todo = text(values, "reason", most=1000), text(values, "todo", most=1000)
        for name in ("id", "name"):
            text(values, name)
        text(values, "metadata", most=MOST_ANSWER)
    except TowpathError as error:
        raise _unanswered(f"Its answer cannot be read: {error}") from error
    if refuses:
        raise Vetoed(
            reason or "The server does not take this upload.",
            why="Those who run the server decided so.",
            todo=todo or "Ask who runs the server.",
        )
    return values


def changed(new: NewUpload, values: Mapping[str, object]) -> NewUpload:
    """The upload with what the hook set."""
    return replace(
        new,
        id=text(values, "id") or new.id,
        name=text(values, "name") or new.name,
        metadata=text(values, "metadata", most=MOST_ANSWER) or new.metadata,
    )


def _unanswered(why: str) -> Unanswered:
    return Unanswered(
        "It cannot be decided now whether the upload may go on.",
        why=f"A hook of those who run the server gave no answer. {why}",
        todo="Try again in a moment.",
    )
