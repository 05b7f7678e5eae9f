"""What requests of our own dialect say, for whoever composes them.

Rules: text and JSON values only, so that a client which begins has little to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST_RUNS = 1000
"""Ranges of one page."""


def describe(
    length: int | None,
    name: str | None,
    on_conflict: str,
    metadata: object,
    *,
    replaces: str | None = None,
    media_type: str | None = None,
    digests: Mapping[str, bytes] | None = None,
    wants: Sequence[str] = (),
) -> dict[str, object]:
    """The JSON that creates an upload."""
    said = {
        "length": length,
        "name": name,
        "on_conflict": on_conflict,
        "replaces": replaces,
        "media_type": media_type,
        "metadata": metadata,
        "digests": {name: value.hex() for name, value in (digests or {}).items()} or None,
        "wants": list(wants) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def content_range(offset: int, length: int | None, whole: int | None) -> str:
    """The field that says which bytes come (RFC 9110 section 14.4, of a request)."""
    span = f"{offset}-{offset + length - 1}" if length else "*"
    return f"bytes {span}/{'*' if whole is None else whole}"


def look(after: int, limit: int = MOST_RUNS) -> str:
    """The query that asks what is missing from the byte `after` on."""
    return f"after={after}&limit={limit}"
