"""X-HTTP-Method-Override, for clients that cannot send every method (Core Protocol, Headers).

Rules: only a POST may be meant as something else, and only as one of OVERRIDES; what is meant is
then judged as if it had been sent, by whoever asked. A field that cannot be heeded is refused: to
overlook it would do what nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from towpath.errors import Malformed

OVERRIDES = ("PATCH", "DELETE", "HEAD")

_FIELD = "x-http-method-override"


def read_method(method: str, fields: Mapping[str, str]) -> str:
    """The method that is meant. Raises Malformed."""
    meant = fields.get(_FIELD)
    if meant is None or meant == method or "tus-resumable" not in fields:
        return method
    if method == "POST" and meant in OVERRIDES:
        return meant
    raise Malformed(
        "The method cannot be overridden so.",
        field="X-HTTP-Method-Override",
        why=f"A POST may stand for {', '.join(OVERRIDES)}; nothing else may stand for anything.",
        todo="Send POST with one of these, or leave the field out.",
    )
