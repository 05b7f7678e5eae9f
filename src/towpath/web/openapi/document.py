"""The whole description, put together: what the JSON interface says of itself, and the rest."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from towpath.protocol.message import Reply
from towpath.web.openapi import events, files, forms, ranges, server, words
from towpath.web.openapi.page import render
from towpath.web.openapi.words import Values

BY_HAND: tuple[Values, ...] = (
    files.PATHS,
    forms.SINGLE,
    forms.STREAMING,
    forms.DOCUMENTS,
    ranges.RANGES,
    ranges.NAMES,
    events.PATHS,
    server.PATHS,
)
"""Paths of what handles bytes. A dialect adds its own here."""

SCHEMAS: tuple[Values, ...] = (words.SCHEMAS, forms.SCHEMAS)

DOCUMENT = "/api/v1/openapi.json"
PAGE = "/api/docs"

_ABOUT = """\
Uploads of any size that go on where they were cut off, by several protocols; objects to read.
Every answer carries `X-Request-Id`. Errors are problem documents (RFC 9457).
"""
_TAGS = {
    "files": "Uploads by tus 1.0 and as HTTP has them; objects to read",
    "one request": "A file whole, in one request",
    "chunks by index": "Chunks in any order and in parallel",
    "document sessions": "Sessions of documents, chunk by chunk",
    "ranges": "One upload by many connections",
    "names of files": "Files by their names, over plain HTTP",
    "names and uploads": "Names, uploads and links, as JSON",
    "events": "What happens to uploads, as it happens",
    "server": "The server itself",
}
_VERSION = version("towpath")
_KEYED = (404, 409, 410, 413)


def document(own: Mapping[str, Any], *, api: str) -> Values:
    """The description. `own`: what the JSON interface says of itself; `api`: where it lives."""
    paths: Values = {}
    for described in BY_HAND:
        paths |= copy.deepcopy(described)
    for path, item in own["paths"].items():
        paths[api + path] = {method: _told(made) for method, made in item.items()}
    schemas = {
        name: schema
        for name, schema in own.get("components", {}).get("schemas", {}).items()
        if "ValidationError" not in name
    }
    for described in SCHEMAS:
        schemas |= described
    for path, item in paths.items():
        for method, made in item.items():
            made["operationId"] = _name_of(method, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Towpath",
            "version": _VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": said} for name, said in _TAGS.items()],
        "security": [{"token": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "tow_<id>_<secret>; none is needed where no tokens are set.",
                },
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "link",
                    "description": "An address that was signed, for one object or upload.",
                },
            },
        },
    }


def pages(own: Mapping[str, Any], *, api: str) -> Mapping[str, Callable[[str], Reply]]:
    """What is answered at DOCUMENT and PAGE, from what stands before every address outside."""
    made = document(own, api=api)

    def as_json(root: str) -> Reply:
        text = json.dumps({**made, "servers": [{"url": root or "/"}]}, ensure_ascii=False)
        return Reply(
            status=200,
            fields=(
                ("content-type", "application/json"),
                ("cache-control", "no-cache"),
                ("x-content-type-options", "nosniff"),
            ),
            body=text.encode(),
        )

    def as_page(root: str) -> Reply:
        return render(made, root + DOCUMENT)

    return {DOCUMENT: as_json, PAGE: as_page}


def _told(made: Values) -> Values:
    """An operation of the JSON interface, with our refusals in place of its framework's."""
    answers = {int(status): told for status, told in made["responses"].items() if status != "422"}
    return words.call(
        "names and uploads",
        made.get("summary", ""),
        made.get("description", ""),
        parameters=made.get("parameters"),
        body=made.get("requestBody"),
        answers=answers,
        refusals=_KEYED,
    )


def _name_of(method: str, path: str) -> str:
    """An id that stays: get_files_id."""
    words_of = path.replace("{", "").replace("}", "").replace(".", "/").replace("-", "_").split("/")
    return "_".join([method, *filter(None, words_of)])
