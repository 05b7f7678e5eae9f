"""What the dialects of forms and JSON are described as: one request, chunks by index, sessions."""

from __future__ import annotations

from towpath.web.openapi.words import (
    ANY_FLAG,
    ANY_SIZE,
    ANY_TEXT,
    FLAG,
    HEX_SHA256,
    MOMENT,
    NUMBER,
    SIZE,
    TEXT,
    Values,
    answer,
    bytes_of,
    call,
    in_path,
    in_query,
    json_of,
    list_of,
    maybe,
    record,
    ref,
    said,
    texts,
)

_FILE: Values = {"type": "string", "contentMediaType": "application/octet-stream"}
_INDEX: Values = {"type": "integer", "minimum": 0}
_COUNT: Values = {"type": "integer", "minimum": 0}
_KEY: Values = {**ANY_TEXT, "minLength": 1, "maxLength": 1024}
_ANY_HASH: Values = {"type": "string", "pattern": "^((sha256:)?[0-9A-Fa-f]{64})?$"}
_TAKES = (404, 408, 409, 410, 413, 415, 422, 507)


def _form(required: Values, optional: Values | None = None) -> Values:
    return said({"multipart/form-data": {"schema": record(required, optional)}}, required=True)


def _asked(required: Values, optional: Values | None = None) -> Values:
    return said(json_of(record(required, optional)), required=True)


_OBJECT = record(
    {
        "id": TEXT,
        "size": SIZE,
        "sha256": maybe(HEX_SHA256),
        "name": maybe(TEXT),
        "content_type": maybe(TEXT),
        "created_at": MOMENT,
        "url": TEXT,
        "digests": {"type": "object", "additionalProperties": TEXT},
    }
)

SINGLE: Values = {
    "/v1/uploads": {
        "post": call(
            "one request",
            "Send a file whole",
            "As the body, or as the file of a form. What does not arrive whole leaves nothing.",
            parameters=[
                in_query("name", TEXT, "The object's name."),
                in_query("filename", TEXT, "The same, where name is not said."),
            ],
            body=said(
                {
                    **bytes_of("application/octet-stream"),
                    "multipart/form-data": {
                        "schema": record({"file": _FILE}, {"name": TEXT, "filename": TEXT})
                    },
                }
            ),
            answers={201: answer("The object.", json_of(_OBJECT), Location="Where it is read.")},
            refusals=_TAKES,
            refusal="Refusal",
        )
    }
}

_PROGRESS: Values = {
    "uploadId": TEXT,
    "progress": NUMBER,
    "uploadedBytes": SIZE,
    "uploadedChunks": _COUNT,
    "totalChunks": _COUNT,
    "complete": FLAG,
}
_STATUS = record(
    {
        **_PROGRESS,
        "status": TEXT,
        "fileName": TEXT,
        "fileSize": SIZE,
        "mimeType": maybe(TEXT),
        "chunkSize": SIZE,
        "missingChunks": list_of(_INDEX),
        "missingCount": _COUNT,
        "createdAt": MOMENT,
        "updatedAt": MOMENT,
        "expiresAt": maybe(MOMENT),
        "url": maybe(TEXT),
    }
)

STREAMING: Values = {
    "/api/streaming/upload/initialize": {
        "post": call(
            "chunks by index",
            "Begin an upload",
            body=_asked(
                {"fileName": {**ANY_TEXT, "minLength": 1}, "fileSize": ANY_SIZE},
                {"mimeType": maybe(ANY_TEXT)},
            ),
            answers={
                200: answer(
                    "How to cut the file.",
                    json_of(
                        record(
                            {
                                "uploadId": TEXT,
                                "chunkSize": SIZE,
                                "totalChunks": _COUNT,
                                "expiresAt": maybe(MOMENT),
                                "complete": FLAG,
                            }
                        )
                    ),
                )
            },
            refusals=_TAKES,
            refusal="Refusal",
        )
    },
    "/api/streaming/upload/chunk": {
        "post": call(
            "chunks by index",
            "Send a chunk",
            "Chunks come in any order and in parallel. uploadId and chunkIndex stand before the "
            "chunk; the checksum, MD5 in hexadecimal or base64, may stand behind it.",
            body=_form(
                {"uploadId": _KEY, "chunkIndex": _INDEX, "chunk": _FILE}, {"checksum": TEXT}
            ),
            answers={
                200: answer(
                    "It is durable.",
                    json_of(
                        record({"success": {"const": True}, "chunkIndex": _INDEX, **_PROGRESS})
                    ),
                )
            },
            refusals=_TAKES,
            refusal="Refusal",
        )
    },
    "/api/streaming/upload/status": {
        "get": call(
            "chunks by index",
            "See what is missing",
            parameters=[in_query("uploadId", _KEY, "The upload.", required=True)],
            answers={200: answer("Where it stands.", json_of(_STATUS))},
            refusals=(404, 410),
            refusal="Refusal",
        ),
        "put": call(
            "chunks by index",
            "Pause or resume an upload",
            body=_asked({"uploadId": _KEY, "action": texts("pause", "resume")}),
            answers={200: answer("Where it stands.", json_of(_STATUS))},
            refusals=_TAKES,
            refusal="Refusal",
        ),
    },
}

_SESSION: Values = {
    "session_id": TEXT,
    "upload_url": TEXT,
    "chunk_size": SIZE,
    "total_chunks": _COUNT,
    "expires_at": maybe(MOMENT),
    "websocket_room": TEXT,
    "client_id": TEXT,
}
_DONE: Values = {
    "total_size": SIZE,
    "uploaded_bytes": SIZE,
    "uploaded_chunks": _COUNT,
    "total_chunks": _COUNT,
    "progress_percentage": NUMBER,
}
_DOCUMENT = record(
    {
        "id": TEXT,
        "title": TEXT,
        "filename": TEXT,
        "file_size": SIZE,
        "is_file_available": FLAG,
        "created_at": MOMENT,
        "sha256": maybe(HEX_SHA256),
    }
)
_SUCCESS: Values = {"success": {"const": True}, "message": TEXT}
_SESSION_ID = in_path("session_id", "The session, as it was answered by initiate.")


def _session_call(
    summary: str,
    schema: Values,
    description: str = "",
    *,
    body: Values | None = None,
    key: bool = False,
) -> Values:
    return call(
        "document sessions",
        summary,
        description,
        parameters=[_SESSION_ID] if key else [],
        body=body,
        answers={200: answer("Done.", json_of(schema))},
        refusals=_TAKES,
        refusal="Refusal",
    )


DOCUMENTS: Values = {
    "/api/documents/streaming/initiate": {
        "post": _session_call(
            "Begin a session",
            record(_SESSION, {"upload_complete": FLAG, "duplicate_of": TEXT}),
            "With expected_hash, a document that is here already completes it at once.",
            body=_asked(
                {"filename": {**ANY_TEXT, "minLength": 1, "maxLength": 255}, "file_size": ANY_SIZE},
                {
                    "chunk_size": maybe(ANY_SIZE),
                    "client_id": maybe({**ANY_TEXT, "maxLength": 200}),
                    "title": maybe({**ANY_TEXT, "maxLength": 500}),
                    "check_duplicates": maybe(ANY_FLAG),
                    "auto_build_index": maybe(ANY_FLAG),
                    "expected_hash": maybe(_ANY_HASH),
                },
            ),
        )
    },
    "/api/documents/streaming/chunk/{session_id}": {
        "post": _session_call(
            "Send a chunk",
            record(
                {
                    **_SUCCESS,
                    "chunk_id": _INDEX,
                    "next_chunk_id": maybe(_INDEX),
                    "upload_complete": FLAG,
                }
            ),
            "chunk_id stands before the file; is_final and checksum (SHA-256) anywhere.",
            body=_form(
                {"chunk_id": _INDEX, "file": _FILE},
                {"chunk_offset": SIZE, "is_final": FLAG, "checksum": HEX_SHA256},
            ),
            key=True,
        )
    },
    "/api/documents/streaming/complete/{session_id}": {
        "post": _session_call(
            "Make the document", record({**_SUCCESS, "document": _DOCUMENT}), key=True
        )
    },
    "/api/documents/streaming/resume": {
        "post": _session_call(
            "Go on with a session, from any device",
            record(
                {
                    "success": {"const": True},
                    **_SESSION,
                    **_DONE,
                    "filename": TEXT,
                    "file_size": SIZE,
                    "missing_chunks": list_of(_INDEX),
                    "missing_count": _COUNT,
                    "next_chunk_id": maybe(_INDEX),
                    "upload_complete": FLAG,
                }
            ),
            body=_asked(
                {"session_id": _KEY},
                {
                    "client_id": maybe({**ANY_TEXT, "maxLength": 200}),
                    "last_chunk_id": maybe(ANY_SIZE),
                },
            ),
        )
    },
    "/api/documents/streaming/cancel/{session_id}": {
        "post": _session_call(
            "Give a session up",
            record({**_SUCCESS, "session_id": TEXT}),
            body=said(json_of(record({}, {"reason": maybe({**ANY_TEXT, "maxLength": 500})}))),
            key=True,
        )
    },
    "/api/documents/streaming/resumable": {
        "get": _session_call(
            "List unfinished sessions",
            list_of(
                record(
                    {
                        "session_id": TEXT,
                        "filename": TEXT,
                        **_DONE,
                        "created_at": MOMENT,
                        "age_hours": NUMBER,
                    }
                )
            ),
        )
    },
    "/api/documents/streaming/memory-stats": {
        "get": _session_call("See memory, sessions and disk", ref("MemoryStats"))
    },
}

_SECONDS = {"seconds": maybe(ANY_SIZE)}
LINK_TO_WRITE = said(json_of(record({}, _SECONDS)), description="How long it lives; an hour.")
LINK_TO_READ = said(
    json_of(
        record(
            {},
            {
                **_SECONDS,
                "disposition": maybe(texts("attachment", "inline", "")),
                "filename": maybe({**ANY_TEXT, "maxLength": 255}),
            },
        )
    ),
    description="How long it lives, an hour; what a browser does with the object and calls it.",
)
MOVE = said(
    json_of(
        record(
            {"path": ANY_TEXT}, {"on_conflict": maybe(texts("keep-both", "replace", "fail", ""))}
        )
    ),
    required=True,
    description="What the name is to be; what to do when that is taken, fail if it is not said.",
)

SCHEMAS: Values = {
    "MemoryStats": record(
        {
            "active_sessions": _COUNT,
            "memory_usage_mb": NUMBER,
            "peak_memory_mb": NUMBER,
            "temp_files_count": _COUNT,
            "temp_files_size_mb": NUMBER,
            "concurrent_uploads": _COUNT,
            "memory_limit_mb": NUMBER,
            "disk_space_available_mb": maybe(NUMBER),
            "status": texts("healthy", "warning"),
        },
        description="Sizes in megabytes of 2^20 bytes.",
    )
}
