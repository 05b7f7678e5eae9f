"""What /ranges/ and /names/ are described as: our own words, and files by their names."""

from __future__ import annotations

from towpath.web.openapi.words import (
    ANY_SIZE,
    ANY_TEXT,
    MOMENT,
    SIZE,
    TEXT,
    Values,
    answer,
    bytes_of,
    call,
    in_head,
    in_path,
    in_query,
    json_of,
    list_of,
    maybe,
    record,
    said,
)

_KEY = in_path("id", "The id of the upload, which is that of the object it becomes.")
_NAME = in_path("path", "The name; one that ends with a slash is a folder.")
_REFUSALS = (404, 408, 409, 410, 412, 413, 415, 416, 422, 507)
_DIGEST = in_head("Content-Digest", TEXT, "RFC 9530: digests of the body.")
_TOLD: Values = {
    "id": TEXT,
    "state": TEXT,
    "length": maybe(SIZE),
    "offset": SIZE,
    "received": SIZE,
    "name": maybe(TEXT),
    "reason": TEXT,
    "expires_at": maybe(MOMENT),
    "digests": {"type": "object", "additionalProperties": TEXT},
}
_RUNS = list_of({"type": "array", "items": maybe(SIZE), "minItems": 2, "maxItems": 2})
_PREFIX = record({"end": SIZE, "crc64nvme": TEXT})
_TRIPLE: Values = {"type": "array", "items": SIZE, "minItems": 3, "maxItems": 3}
_UPLOAD = json_of(record(_TOLD))
_HELD = json_of(record({"have": list_of(record({"sha-256": TEXT, "id": TEXT, "length": SIZE}))}))


def _call(summary: str, description: str = "", **more: object) -> Values:
    return call("ranges", summary, description, refusals=_REFUSALS, **more)  # type: ignore[arg-type]


RANGES: Values = {
    "/ranges/": {
        "post": _call(
            "Begin an upload that many connections fill",
            body=said(
                json_of(
                    record(
                        {},
                        {
                            "length": maybe(ANY_SIZE),
                            "name": maybe(ANY_TEXT),
                            "media_type": maybe(ANY_TEXT),
                            "on_conflict": maybe(ANY_TEXT),
                        },
                    )
                )
            ),
            answers={201: answer("It is begun.", _UPLOAD, Location="Its address.")},
        )
    },
    "/ranges/have": {
        "post": _call(
            "Ask which of some digests are here already",
            body=said(json_of({"type": "object"})),
            answers={200: answer("Those that are, where you may read them.", _HELD)},
        )
    },
    "/ranges/{id}": {
        "get": _call(
            "See what is durable and what is missing",
            parameters=[
                _KEY,
                in_query("after", TEXT, "Ranges from this byte on."),
                in_query("limit", TEXT, "How many ranges, at most."),
            ],
            answers={
                200: answer(
                    "A page of it.",
                    json_of(
                        record(
                            {
                                **_TOLD,
                                "durable": _RUNS,
                                "missing": _RUNS,
                                "next": maybe(SIZE),
                                "prefix": _PREFIX,
                            }
                        )
                    ),
                )
            },
        ),
        "put": _call(
            "Write a range",
            "Any number at once. Answered when all of it is durable.",
            parameters=[
                _KEY,
                in_head("Content-Range", TEXT, "bytes START-LAST/LENGTH; LENGTH may be *."),
                _DIGEST,
            ],
            body=said(bytes_of()),
            answers={200: answer("It is durable.", _UPLOAD)},
        ),
        "delete": _call(
            "Give an upload up, or remove the object that it became",
            parameters=[_KEY],
            answers={204: answer("It is gone.")},
        ),
    },
    "/ranges/{id}/complete": {
        "post": _call(
            "Complete what its name kept from being complete",
            parameters=[_KEY],
            answers={200: answer("It is complete.", _UPLOAD)},
        )
    },
    "/ranges/{id}/copy": {
        "post": _call(
            "Fill ranges of an upload from an object that is here",
            "The upload was begun with digests. Answered when all of it is durable.",
            parameters=[_KEY],
            body=said(
                json_of(record({"from": TEXT, "ranges": list_of(_TRIPLE)})),
                required=True,
            ),
            answers={200: answer("It is durable.", _UPLOAD)},
        )
    },
    "/ranges/{id}/chunks": {
        "get": _call(
            "See where an object is cut by its content",
            "36 bytes a chunk: its length (big-endian, 4 bytes) and its SHA-256.",
            parameters=[
                in_path("id", "The id of an object."),
                in_query("cut", TEXT, "How to cut: v1-256k, v1-1m or v1-4m."),
            ],
            answers={200: answer("All chunks, in order.", bytes_of())},
        )
    },
}

_ANYTHING: Values = {"*/*": {}}


def _read(method: str) -> Values:
    return call(
        "names of files",
        f"Read a file, or list a folder ({method})",
        parameters=[
            _NAME,
            in_head("Range", TEXT, "One or several ranges of bytes (RFC 9110 section 14)."),
            in_head("Accept", TEXT, "A folder is listed as application/json or text/html."),
            in_query("after", TEXT, "Of a folder: entries behind this one."),
            in_query("limit", TEXT, "Of a folder: how many."),
        ],
        answers={
            200: answer("All of it.", _ANYTHING, ETag="Of what the name points to now."),
            206: answer("The ranges.", _ANYTHING, Content_Range="Which bytes these are."),
            304: answer("It is the one that you have."),
        },
        refusals=_REFUSALS,
    )


NAMES: Values = {
    "/names/{path}": {
        "get": _read("GET"),
        "head": _read("HEAD"),
        "put": call(
            "names of files",
            "Put a file",
            "Nothing stands under the name before all bytes are durable and proven.",
            parameters=[
                _NAME,
                in_head("If-Match", TEXT, "Else 412."),
                in_head("If-None-Match", TEXT, "*: only if there is none yet."),
                _DIGEST,
            ],
            body=said(bytes_of()),
            answers={
                200: answer("It is there in place of another."),
                201: answer("It is there.", Location="Where it is."),
                204: answer("It is there."),
            },
            refusals=_REFUSALS,
        ),
        "delete": call(
            "names of files",
            "Take a name away",
            parameters=[_NAME],
            answers={204: answer("It is gone.")},
            refusals=_REFUSALS,
        ),
    },
    "/names/": {
        "get": _read("GET of the topmost folder"),
        "head": _read("HEAD of the topmost folder"),
        "post": call(
            "names of files",
            "Put the file of a form",
            "To any folder: an address that ends with a slash.",
            body=said({"multipart/form-data": {"schema": record({"file": TEXT})}}, required=True),
            answers={
                200: answer("It is there."),
                201: answer("It is there."),
                303: answer("It is there: see the folder."),
            },
            refusals=_REFUSALS,
        ),
    },
}
for _item in NAMES["/names/"].values():
    _item["parameters"] = [each for each in _item.get("parameters", []) if each["in"] != "path"]
