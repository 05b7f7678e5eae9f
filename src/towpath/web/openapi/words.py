"""Short words for the long ones of OpenAPI 3.1, so that the descriptions can be read.

Values in, values out; names of arguments are those of the specification where they mean the same.
"""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]

PROBLEM = "application/problem+json"
BYTES = "application/octet-stream"

_WHY = {
    400: "A field, the query or the body cannot be read.",
    401: "Who asks is not known.",
    403: "Who asks may not do this.",
    404: "There is no such thing, or it belongs to somebody else.",
    405: "The method is not for this address; `Allow` lists those that are.",
    408: "The bytes came too slowly, and what came is kept.",
    409: "The upload, its offset or its name is not in a state for this.",
    410: "There was such an upload; its time is over.",
    412: "A condition, or the version of the protocol, does not hold.",
    413: "There are more bytes than the upload or a limit allows.",
    415: "The body is not of the type that is taken here.",
    416: "No byte of the range is there.",
    422: "The bytes are not those that were announced.",
    431: "The fields of the request are too long.",
    460: "The bytes do not have the checksum that was announced (tus).",
    500: "The server failed, or bytes of the object are lost.",
    503: "The server takes no more now; `Retry-After` says when to ask again.",
    507: "There is no space left.",
}
ALWAYS = (400, 401, 403, 405, 431, 500, 503)
"""What any call may be answered with."""


def call(  # noqa: PLR0913  # one for each thing that a description has
    tag: str,
    summary: str,
    description: str = "",
    *,
    parameters: list[Values] | None = None,
    body: Values | None = None,
    answers: dict[int, Values],
    refusals: tuple[int, ...] = (),
    refusal: str = "Problem",
    security: list[Values] | None = None,
) -> Values:
    """One operation. `refusals` are statuses beside ALWAYS; `refusal` is the schema of them all."""
    media = PROBLEM
    told = {str(status): answer for status, answer in answers.items()}
    for status in sorted({*ALWAYS, *refusals}):
        schema = {"$ref": f"#/components/schemas/{refusal}"}
        told.setdefault(
            str(status), {"description": _WHY[status], "content": {media: {"schema": schema}}}
        )
    made: Values = {"tags": [tag], "summary": summary, "responses": told}
    if description:
        made["description"] = description
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        made["requestBody"] = body
    if security is not None:
        made["security"] = security
    return made


def in_path(name: str, description: str) -> Values:
    """A part of the path."""
    return _parameter("path", name, {"type": "string", "minLength": 1}, description, required=True)


def in_query(name: str, schema: Values, description: str, *, required: bool = False) -> Values:
    """A field of the query."""
    return _parameter("query", name, schema, description, required=required)


def in_head(name: str, schema: Values, description: str, *, required: bool = False) -> Values:
    """A field of the request."""
    return _parameter("header", name, schema, description, required=required)


def _parameter(
    place: str, name: str, schema: Values, description: str, *, required: bool
) -> Values:
    return {
        "name": name,
        "in": place,
        "required": required,
        "schema": schema,
        "description": description,
    }


def answer(description: str, content: Values | None = None, /, **headers: str) -> Values:
    """An answer; `headers`: what each field says, with _ for the hyphens of its name."""
    made: Values = {"description": description}
    if content is not None:
        made["content"] = content
    if headers:
        made["headers"] = {
            name.replace("_", "-"): {"description": said, "schema": TEXT}
            for name, said in headers.items()
        }
    return made


def json_of(schema: Values) -> Values:
    """A JSON body."""
    return {"application/json": {"schema": schema}}


def bytes_of(*media_types: str) -> Values:
    """A body of bytes."""
    return {media_type: {"schema": {"type": "string"}} for media_type in media_types or (BYTES,)}


def said(content: Values, *, required: bool = False, description: str = "") -> Values:
    """The body of a request."""
    made: Values = {"content": content, "required": required}
    return {**made, "description": description} if description else made


def record(required: Values, optional: Values | None = None, *, description: str = "") -> Values:
    """An object."""
    made: Values = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }
    return {**made, "description": description} if description else made


def maybe(schema: Values) -> Values:
    """What may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Values:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Values = {"type": "string"}
FLAG: Values = {"type": "boolean"}
SIZE: Values = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
NUMBER: Values = {"type": "number"}
MOMENT: Values = {"type": "string", "format": "date-time"}
HEX_SHA256: Values = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


# What readers of JSON and of forms take: numbers as texts, too, and texts as numbers.
ANY_TEXT: Values = {"type": ["string", "integer"]}
ANY_SIZE: Values = {"anyOf": [SIZE, {"type": "string", "pattern": "^[0-9]{1,19}$"}]}
ANY_FLAG: Values = {
    "anyOf": [FLAG, {"enum": [0, 1, "true", "false", "yes", "no", "1", "0", ""]}],
}


def texts(*values: str) -> Values:
    """One of these."""
    return {"type": "string", "enum": list(values)}


def list_of(schema: Values) -> Values:
    """An array."""
    return {"type": "array", "items": schema}


SCHEMAS: Values = {
    "Problem": record(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "code": TEXT,
            "todo": TEXT,
        },
        description="RFC 9457: title says what happened, detail why, todo what to do; code is a "
        "stable word for programs.",
    ),
    "Refusal": record(
        {
            "success": {"const": False},
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "code": TEXT,
            "todo": TEXT,
        },
        {"message": TEXT, "error": TEXT},
        description="A problem document with success: false, and a sentence in message or error.",
    ),
}
