"""Fields that come behind a body (RFC 9110 section 6.5): which are read, and when.

Rules: a trailer counts only if the head announced it (`Trailer`), the body is chunked, and the
server can read trailers; one that was announced and cannot be had is refused before the body.
"""

from __future__ import annotations

from towpath.errors import Malformed
from towpath.protocol.message import Head

KEPT = frozenset({"upload-checksum", "content-digest", "repr-digest"})
"""Names, lower-case, of the only trailers that a server keeps."""


def announced(head: Head, *names: str) -> frozenset[str]:
    """Those of `names` that will come behind the body. Raises Malformed if they cannot come."""
    listed = {word.strip().lower() for word in (head.get("trailer") or "").split(",")}
    found = frozenset(names) & listed
    for name in sorted(found):
        why = todo = ""
        if not head.trailers:
            why = "This server cannot read what comes behind a body."
            todo = f"Send {name.title()} before the body, or leave it out."
        elif "transfer-encoding" not in head.fields:
            why = "Nothing can come behind a body whose length stands before it."
            todo = "Send the body in chunked coding."
        elif name in head.fields:
            why = f"{name.title()} stands before the body, too."
            todo = "Send it once."
        if why:
            raise Malformed(
                f"{name.title()} cannot come as a trailer.", field="Trailer", why=why, todo=todo
            )
    return found


def missing(name: str) -> Malformed:
    """The error for a trailer that was announced and did not come."""
    return Malformed(
        f"{name.title()} did not come.",
        field=name.title(),
        why="It was announced as a trailer; nothing of the chunk was kept.",
        todo="Send it behind the body, or before it.",
    )
