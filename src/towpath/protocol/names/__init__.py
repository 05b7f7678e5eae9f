"""Names as HTTP resources: PUT, GET, HEAD and DELETE of one, and folders of them.

Rules: an address that ends with a slash is a folder; the one that has no slash at all is, too.
"""

from __future__ import annotations

from towpath.protocol.message import Head, Reply
from towpath.protocol.names.folders import (
    FILE,
    Listed,
    Look,
    Shown,
    check_behind,
    parse_form,
    parse_look,
    render_folder,
    render_form,
)
from towpath.protocol.names.puts import (
    Condition,
    Current,
    Put,
    Stored,
    bind,
    judge,
    moved,
    name_of,
    parse_put,
    path_of,
    read_condition,
    read_put,
    render_put,
)
from towpath.protocol.problem import problem

__all__ = [
    "FILE",
    "Condition",
    "Current",
    "Listed",
    "Look",
    "Put",
    "Shown",
    "Stored",
    "bind",
    "check",
    "check_behind",
    "is_folder",
    "judge",
    "moved",
    "name_of",
    "parse_form",
    "parse_look",
    "parse_put",
    "path_of",
    "read_condition",
    "read_put",
    "render_folder",
    "render_form",
    "render_put",
]


def check(head: Head) -> Reply | None:
    """The reply to what is nothing here; None if it is something."""
    allow = "GET, HEAD, POST" if is_folder(head) else "GET, HEAD, PUT, DELETE"
    if head.method in allow.split(", "):
        return None
    return problem(
        405,
        f"{head.method} is not for this address.",
        why=f"Here it is {allow}; an address that ends with a slash is a folder.",
        todo="PUT to a name, POST a form to a folder.",
        code="method",
        fields=(("allow", allow),),
    )


def is_folder(head: Head) -> bool:
    """True if the address is that of a folder."""
    return head.path == "" or head.path.endswith("/")
