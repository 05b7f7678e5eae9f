"""What /files/ is described as: uploads by tus and as HTTP has them, and objects to read."""

from __future__ import annotations

from towpath.web.openapi.words import (
    TEXT,
    Values,
    answer,
    bytes_of,
    call,
    in_head,
    in_path,
    in_query,
    said,
    texts,
)

_OFFSET = "application/offset+octet-stream"
_PARTIAL = "application/partial-upload"
_KEY = in_path("id", "The id of the upload, which is that of the object it becomes.")
_LINK = in_query("link", TEXT, "A link in place of a token; made by POST .../links.")
_ANYBODY: list[Values] = [{"token": []}, {"link": []}, {}]
_REFUSALS = (404, 408, 409, 410, 412, 413, 415, 416, 422, 460, 507)

_TUS = in_head(
    "Tus-Resumable",
    texts("1.0.0"),
    "tus: the version. Without it and without a field "
    "of resumable uploads for HTTP a request that writes is refused.",
)
_LENGTH = in_head("Upload-Length", TEXT, "Bytes of the whole upload.")
_AT = in_head("Upload-Offset", TEXT, "Where the body's first byte belongs.")
_CHECKSUM = in_head(
    "Upload-Checksum", TEXT, "tus: an algorithm and the base64 of the body's value."
)
_COMPLETE = in_head(
    "Upload-Complete",
    TEXT,
    "HTTP: ?1 if the upload ends with the content of this request, else ?0.",
)
_VERSION = in_head("Upload-Draft-Interop-Version", TEXT, "HTTP: which draft is spoken.")
_CONTENT_DIGEST = in_head("Content-Digest", TEXT, "RFC 9530: digests of the body.")
_REPR_DIGEST = in_head("Repr-Digest", TEXT, "RFC 9530: digests of the whole.")

_BODY = said(bytes_of(_OFFSET, _PARTIAL, "application/octet-stream"))
_BEGUN = {
    "Location": "The address of the upload.",
    "Upload_Offset": "Bytes that are durable.",
    "Upload_Expires": "When an idle upload ends.",
    "Upload_Complete": "HTTP: ?1 when it is an object.",
    "Upload_Limit": "HTTP: what is taken.",
}
_CREATE = [
    _TUS,
    _LENGTH,
    in_head("Upload-Defer-Length", texts("1"), "tus: the length will be told later."),
    in_head(
        "Upload-Metadata",
        TEXT,
        "tus: keys, each with the base64 of its value; name or "
        "filename, filetype or type, and on-conflict have a meaning.",
    ),
    in_head("Upload-Concat", TEXT, "tus: partial, or final; and the addresses of the parts."),
    _CHECKSUM,
    _COMPLETE,
    _VERSION,
    in_head("Content-Disposition", TEXT, "HTTP: the name is taken from its filename."),
    _CONTENT_DIGEST,
    _REPR_DIGEST,
    in_head("Want-Repr-Digest", TEXT, "RFC 9530: digests to be computed on the way."),
]
_READ = [
    _KEY,
    _LINK,
    in_query(
        "follow",
        TEXT,
        "With the setting follow: read an unfinished upload, as its bytes become durable.",
    ),
    in_head("Range", TEXT, "One or several ranges of bytes (RFC 9110 section 14)."),
    in_head("If-Range", TEXT, "The range counts only if the object has this ETag."),
    in_head("If-Match", TEXT, "Else 412."),
    in_head("If-None-Match", TEXT, "Else 304."),
    in_head("If-Modified-Since", TEXT, "Else 304."),
    in_head("If-Unmodified-Since", TEXT, "Else 412."),
    in_head("Want-Repr-Digest", TEXT, "Which digests are wanted, by preference (RFC 9530)."),
    in_head("Want-Content-Digest", TEXT, "As above; answered where the content is the whole."),
]
_OBJECT = {
    "ETag": "Strong, and the same for ever.",
    "Last_Modified": "When the object was complete.",
    "Cache_Control": "How long it may be kept.",
    "Accept_Ranges": "bytes",
    "Content_Disposition": "What it is called.",
    "Repr_Digest": "Digests of the whole (RFC 9530).",
}
_PART = {"Content_Range": "Which bytes these are.", **_OBJECT}


def _create(method: str) -> Values:
    return call(
        "files",
        f"Begin an upload ({method})",
        "By tus 1.0 (POST) or as a resumable upload for HTTP (POST, PUT or PATCH); the fields say "
        "which. With a body the first bytes come along.",
        parameters=_CREATE,
        body=_BODY,
        answers={
            200: answer("HTTP: the upload is complete.", **_BEGUN),
            201: answer("It is begun.", **_BEGUN),
        },
        refusals=_REFUSALS,
    )


def _options(*, key: bool) -> Values:
    return call(
        "files",
        "Ask what is offered",
        parameters=[_KEY] if key else [],
        answers={
            200: answer(
                "What is offered.",
                Tus_Version="1.0.0",
                Tus_Extension="The extensions of tus.",
                Tus_Max_Size="The largest upload, if there is a limit.",
                Upload_Limit="The limits, for resumable uploads for HTTP.",
            ),
            204: answer("What is offered."),
        },
        refusals=(404,),
        security=[],
    )


PATHS: Values = {
    "/files/": {
        "options": _options(key=False),
        "post": _create("POST"),
        "put": _create("PUT"),
        "patch": _create("PATCH"),
    },
    "/files/{id}": {
        "options": _options(key=True),
        "get": call(
            "files",
            "Read an object",
            "Whole, or in one or several ranges.",
            parameters=_READ,
            answers={
                200: answer("All of it.", {"*/*": {}}, **_OBJECT),
                204: answer("HTTP: where an unfinished upload stands."),
                206: answer(
                    "The ranges; multipart/byteranges if they are several.", {"*/*": {}}, **_PART
                ),
                304: answer("It is the one that you have."),
            },
            refusals=_REFUSALS,
            security=_ANYBODY,
        ),
        "head": call(
            "files",
            "Ask for an upload's offset, or describe an object",
            "Of an unfinished upload it ends whoever writes, if the caller may write, so that the "
            "offset that is told stays true.",
            parameters=[_TUS, _COMPLETE, _VERSION, *_READ],
            answers={
                200: answer(
                    "Where it stands.", Upload_Length="Bytes of the whole.", **_OBJECT, **_BEGUN
                ),
                204: answer("HTTP: where it stands.", **_BEGUN),
                304: answer("It is the one that you have."),
            },
            refusals=_REFUSALS,
            security=_ANYBODY,
        ),
        "patch": call(
            "files",
            "Write a chunk",
            "Answered when all of it is durable. Ends whoever writes there.",
            parameters=[
                _KEY,
                _LINK,
                _TUS,
                _AT,
                _LENGTH,
                _CHECKSUM,
                _COMPLETE,
                _VERSION,
                _CONTENT_DIGEST,
            ],
            body=_BODY,
            answers={
                200: answer("HTTP: it is durable, and the upload complete.", **_BEGUN),
                201: answer("HTTP: it is durable.", **_BEGUN),
                204: answer("It is durable.", **_BEGUN),
            },
            refusals=_REFUSALS,
            security=_ANYBODY,
        ),
        "delete": call(
            "files",
            "Give an upload up, or remove the object that it became",
            parameters=[_KEY, _TUS, _VERSION],
            answers={204: answer("It is gone.")},
            refusals=_REFUSALS,
        ),
    },
}
