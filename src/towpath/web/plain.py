"""Small replies of the server itself, which belong to no dialect."""

from __future__ import annotations

from towpath.protocol.message import Reply
from towpath.protocol.problem import problem


def plain(text: str, *, status: int = 200) -> Reply:
    """A line of text."""
    return Reply(
        status=status,
        fields=(("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")),
        body=text.encode(),
    )


def for_reading(method: str, allow: str = "GET, HEAD") -> Reply:
    """The reply to a method for what is only read."""
    return problem(
        405,
        f"{method} is not for this address.",
        why=f"Here it is {allow}.",
        todo="GET it.",
        code="method",
        fields=(("allow", allow),),
    )


def head_too_large(most: int) -> Reply:
    """The reply to a head of more than `most` bytes."""
    return problem(
        431,
        "The request's head is too large.",
        why=f"Its fields exceed {most} bytes.",
        todo="Send less metadata.",
        code="head-too-large",
    )
