"""The description says what the server does: every route, no other; and it is well made."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from tests.web.running import Served
from tests.web.talk import TUS, Answer, Tus
from towpath.web.app import API, DOCUMENTS, FILES, SINGLE, STREAMING

ENDLESS = (f"{API}/events", "GET")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SOMEWHERE = {"id": "0" * 26, "key": "0" * 26, "session_id": "0" * 26, "path": "no/such"}


def described(served: Served) -> dict[str, Any]:
    answer = Tus(served).ask("GET", "/api/v1/openapi.json")
    assert answer.status == 200
    assert answer.fields["content-type"] == "application/json"
    return answer.document


def test_the_description_is_valid(served: Served) -> None:
    document = described(served)
    validate(document)
    names = [each["operationId"] for item in document["paths"].values() for each in item.values()]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    used = {
        tag for item in document["paths"].values() for op in item.values() for tag in op["tags"]
    }
    assert used == tags


def allowed(answer: Answer) -> set[str]:
    return {method.strip() for method in answer.fields["allow"].split(",")}


def test_what_is_described_is_there_and_nothing_else(direct: Served) -> None:
    """Every method at every path: those that are not described are refused, and told apart."""
    tus = Tus(direct)
    for path, item in described(direct)["paths"].items():
        address = path.format(**SOMEWHERE)
        methods = {method.upper() for method in item}
        for method in METHODS:
            if (path, method) == ENDLESS:
                continue
            answer = tus.ask(method, address, TUS if path.startswith(FILES) else {})
            nowhere = answer.status == 404 and b"nothing at this address" in answer.body
            assert not nowhere, (method, path)
            if method in methods:
                # A PUT or PATCH that begins an upload needs the fields of its protocol.
                assert answer.status != 405 or (path, method) in BY_FIELDS, (method, path)
            elif (path, method) not in BESIDES:
                assert answer.status == 405, (method, path, answer.status)
                assert allowed(answer) <= methods | {"HEAD"}, (method, path)


BY_FIELDS = {(f"{FILES}/", "PUT"), (f"{FILES}/", "PATCH")}
BESIDES = {("/", "HEAD"), ("/livez", "HEAD"), ("/readyz", "HEAD")} | {
    (path, "HEAD") for path in ("/api/docs", f"{API}/openapi.json")
}


def test_every_place_where_something_lives_is_described(direct: Served) -> None:
    paths = described(direct)["paths"]
    told = Tus(direct).ask("GET", "/no/such/place").document["detail"]
    nowhere = told.partition("is none of")[2]
    for place in (FILES, API, SINGLE, STREAMING, DOCUMENTS, *re.findall(r"/[a-z0-9/-]+", nowhere)):
        assert any(path.startswith(place.rstrip("/")) for path in paths), place


def test_every_call_of_the_json_interface_is_described(direct: Served) -> None:
    from towpath.web.control import control  # noqa: PLC0415  # only its routes are wanted

    routes = {
        (API + route.path.replace(":path", ""), method)
        for route in control(None, None, None, about=None).routes  # type: ignore[arg-type]
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    told = {
        (path, method.upper())
        for path, item in described(direct)["paths"].items()
        for method in item
        if path.startswith(API) and not path.endswith(("openapi.json", "/events"))
    }
    assert told == routes


def test_the_page_shows_every_call_and_asks_nobody_else(served: Served) -> None:
    answer = Tus(served).ask("GET", "/api/docs")
    assert answer.status == 200
    html = answer.body.decode()
    for path, item in described(served)["paths"].items():
        assert f"<code>{path}</code>" in html
        for made in item.values():
            assert f'id="{made["operationId"]}"' in html
    assert set(re.findall(r'(?:src|href)="([^#"][^"]*)"', html)) == {"/api/v1/openapi.json"}
    assert "<script" not in html
    assert "default-src 'none'" in answer.fields["content-security-policy"]


def test_a_text_in_the_description_cannot_become_markup() -> None:
    from towpath.web.openapi.page import render  # noqa: PLC0415  # with a document of our own

    evil = "<script>alert(1)</script>"
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "tags": [{"name": "t", "description": evil}],
        "paths": {
            evil: {
                "get": {
                    "tags": ["t"],
                    "operationId": evil,
                    "summary": evil,
                    "description": evil,
                    "parameters": [
                        {"name": evil, "in": evil, "required": True, "schema": {"const": evil}}
                    ],
                    "requestBody": {"content": {evil: {"schema": {"type": "object", evil: 1}}}},
                    "responses": {evil: {"description": evil, "headers": {evil: 1}}},
                }
            }
        },
        "components": {"schemas": {evil: {"description": evil, "$ref": evil}}},
    }
    assert evil not in render(document, evil).body.decode()


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/api/docs", "/api/v1/openapi.json"])
def test_what_is_to_be_read_is_not_written_to(served: Served, path: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = Tus(served).ask(method, path, {}, b"x")
        assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")
    assert Tus(served).ask("HEAD", path).status == 200
