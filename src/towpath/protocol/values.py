"""Values of JSON bodies and of form fields, read without trust; and JSON answers.

Rules: readers raise Malformed naming the field; a number may come as JSON or as text, since forms
have only text; what cannot be stored or shown (nulls, lone surrogates) is no text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from towpath.errors import Malformed
from towpath.protocol.fields import LARGEST, read_size
from towpath.protocol.message import Reply
from towpath.protocol.problem import refuse

MOST_BODY = 64 * 1024
"""Bytes of a JSON body."""

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


def read_object(body: bytes) -> dict[str, object]:
    """The JSON object of a body, whatever its Content-Type; {} if there is none."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Malformed(
            "The body cannot be read.",
            field="body",
            why="It is not a JSON object.",
            todo='Send an object, such as {"name": "value"}.',
        )
    return found


def text(values: Mapping[str, object], field: str, *, most: int = 1024) -> str | None:
    """A text of at most `most` characters; None if it is not there or null."""
    value = values.get(field)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) <= LARGEST else ""
    if isinstance(value, str) and len(value) <= most and _fits(value):
        return value
    raise Malformed(
        f"{field} cannot be read.",
        field=field,
        why=f"It is not a text of at most {most} characters.",
        todo="Correct it or leave it out.",
    )


def size(values: Mapping[str, object], field: str) -> int | None:
    """A whole number from 0 to 2**63 - 1; None if it is not there or null."""
    value = values.get(field)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    return read_size(value if isinstance(value, str) else f"{value!a:.40}", field=field)


def flag(values: Mapping[str, object], field: str) -> bool | None:
    """True or false; None if it is not there or null."""
    value = values.get(field)
    if value is None or isinstance(value, bool):
        return value
    known = _FLAGS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if known is None:
        raise Malformed(
            f"{field} cannot be read.",
            field=field,
            why="It is neither true nor false.",
            todo="Send true or false.",
        )
    return known


def missing(field: str, todo: str) -> Malformed:
    """What is raised when a field must be there and is not."""
    return Malformed(f"{field} is missing.", field=field, why="It must be sent.", todo=todo)


def write_time(milliseconds: int | None) -> str | None:
    """A moment as RFC 3339 has it, in UTC."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_json(
    values: object, *, status: int = 200, fields: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """An answer."""
    return Reply(
        status=status,
        fields=(
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            *fields,
        ),
        body=json.dumps(values, ensure_ascii=False).encode(),
    )


def refuse_with(error: BaseException, member: str, *, also: str = "") -> Reply:
    """The reply to an error, for those who look for success: false and for a sentence.

    `member` says what happened and what to do, beside the members of the problem document.
    """
    return unsuccessful(refuse(error), member, also=also)


def unsuccessful(reply: Reply, member: str, *, also: str = "") -> Reply:
    """A problem document with those two members."""
    document = json.loads(reply.body)
    said = " ".join(filter(None, (document["title"], also, document["todo"])))
    body = json.dumps({"success": False, member: said, **document}, ensure_ascii=False)
    return Reply(status=reply.status, fields=reply.fields, body=body.encode(), closes=reply.closes)


def _fits(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
