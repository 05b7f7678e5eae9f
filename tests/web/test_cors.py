"""Pages of other origins, on every server: what their browsers are told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.web.rufh_talk import Rufh
from tests.web.running import House, Served, running
from tests.web.talk import CHUNK, TUS, Answer, Fields, Line, Tus, metadata
from tests.web.tokens import token, write_tokens
from towpath.protocol.cors import TELLS

KINDS = ["direct", "plain", "granian", "tls"]
APP = "https://app.example"
DEV = "http://localhost:5173"
EVIL = "https://evil.example"
ORIGINS = f"{APP},{DEV}"
PATHS = [
    "/files", "/files/", "/files/0123456789abcdef", "/api/v1/names", "/v1/uploads",
    "/api/streaming/upload/chunk", "/api/documents/streaming/initiate", "/", "/nowhere",
]  # fmt: skip
SAFE = {  # what pages see without being allowed to, and what is not for them
    "cache-control", "content-type", "content-language", "expires", "pragma", "date", "connection",
    "vary", "server", "x-content-type-options", "transfer-encoding", "content-security-policy",
    "referrer-policy",
}  # fmt: skip


@pytest.fixture(params=KINDS)
def shared(house: House, request: pytest.FixtureRequest) -> Tus:
    """A server that pages of two other origins may ask."""
    return Tus(house.get(request.param, cors_origins=ORIGINS))


def preflight(tus: Tus, path: str, origin: str = APP, **more: str) -> Answer:
    fields: Fields = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return tus.ask("OPTIONS", path, fields)


def require_shared(answer: Answer, origin: str = APP) -> Answer:
    assert answer.fields.get("access-control-allow-origin") == origin, answer
    assert "Origin" in answer.fields["vary"]
    assert "Upload-Offset" in answer.fields["access-control-expose-headers"]
    return answer


def require_not_shared(answer: Answer) -> Answer:
    assert not [name for name in answer.fields if name.startswith("access-control")], answer
    return answer


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_on_every_route(shared: Tus, path: str) -> None:
    asked = "authorization, tus-resumable, upload-offset, x-custom"
    answer = preflight(shared, path, Access_Control_Request_Headers=asked)
    assert (answer.status, answer.body) == (200, b"")
    require_shared(answer)
    assert "PATCH" in answer.fields["access-control-allow-methods"].split(", ")
    allowed = {name.lower() for name in answer.fields["access-control-allow-headers"].split(", ")}
    assert {*asked.split(", "), "x-http-method-override", "upload-checksum"} <= allowed
    assert answer.fields["access-control-max-age"] == "7200"
    assert "tus-extension" not in answer.fields
    assert "access-control-allow-credentials" not in answer.fields


def test_a_page_may_carry_an_upload_through(shared: Tus) -> None:
    page: Fields = {"Origin": DEV}
    made = shared.ask("POST", "/files/", {**TUS, **page, "Upload-Length": 5})
    path = require_shared(made, DEV).fields["location"]
    sent = shared.ask("PATCH", path, {**CHUNK, **page, "Upload-Offset": 0}, b"hello")
    assert require_shared(sent, DEV).status == 204
    assert require_shared(shared.ask("HEAD", path, {**TUS, **page}), DEV).status == 200
    read = require_shared(shared.ask("GET", path, page), DEV)
    assert read.body == b"hello"
    unchanged = {**page, "If-None-Match": read.fields["etag"]}
    assert require_shared(shared.ask("GET", path, unchanged), DEV).status == 304
    listed = require_shared(shared.ask("GET", "/api/v1/names", page), DEV)
    assert listed.status == 200
    assert require_shared(shared.ask("DELETE", path, {**TUS, **page}), DEV).status == 204


def test_refusals_can_be_read_by_the_page_that_caused_them(shared: Tus) -> None:
    page: Fields = {"Origin": APP}
    path = shared.new(5)
    refusals: dict[int, tuple[str, str, Fields]] = {
        400: ("POST", "/files/", {**TUS}),
        404: ("GET", "/nowhere", {}),
        405: ("PUT", "/files/", {**TUS}),
        409: ("PATCH", path, {**CHUNK, "Upload-Offset": 3}),
        412: ("POST", "/files/", {"Tus-Resumable": "0.1"}),
        415: ("PATCH", path, {**TUS, "Upload-Offset": 0, "Content-Type": "text/plain"}),
        431: ("POST", "/files/", {**TUS, "Upload-Metadata": "x" * 70_000}),
    }
    for status, (method, where, fields) in refusals.items():
        if status == 431 and shared.served.kind in {"plain", "granian"}:
            continue  # these servers refuse by themselves what we never see
        answer = shared.ask(method, where, {**fields, **page}, b"" if method == "PATCH" else None)
        assert require_shared(answer).status == status


def test_other_pages_get_nothing_and_preflights_of_theirs_are_refused(shared: Tus) -> None:
    refused = preflight(shared, "/files/", EVIL)
    assert require_not_shared(refused).status == 403
    assert refused.document["code"] == "origin"
    answer = shared.ask("POST", "/files/", {**TUS, "Upload-Length": 5, "Origin": EVIL})
    assert require_not_shared(answer).status == 403
    assert answer.fields["vary"] == "Origin"


def test_a_question_what_is_offered_is_still_one(shared: Tus) -> None:
    for fields in ({}, {"Origin": APP}, {"Access-Control-Request-Method": "PATCH"}):
        answer = shared.ask("OPTIONS", "/files/", fields)
        assert answer.status == 200
        assert "creation" in answer.fields["tus-extension"]


def test_a_private_network_is_entered_if_the_browser_asks(shared: Tus) -> None:
    name = "access-control-allow-private-network"
    answer = preflight(shared, "/files/", Access_Control_Request_Private_Network="true")
    assert answer.fields[name] == "true"
    assert name not in preflight(shared, "/files/").fields


def test_caches_are_told_also_when_no_page_asks(shared: Tus) -> None:
    path = shared.put(b"hello")
    answer = require_not_shared(shared.ask("GET", path))
    assert answer.fields["vary"] == "Origin"


def test_a_page_sees_every_field_that_we_send(shared: Tus) -> None:
    page: Fields = {"Origin": APP}
    rufh = Rufh(shared.served, 8)
    name = metadata(filename="seen.txt")
    partial = shared.new(5, upload_concat="partial")
    path = shared.put(b"hello", upload_metadata=name)
    begun = rufh.new(b"abc")
    answers = [
        shared.ask("OPTIONS", "/files/", page),
        shared.ask("POST", "/files/", {**TUS, **page, "Upload-Length": 1}),
        shared.ask("HEAD", partial, {**TUS, **page}),
        shared.ask("HEAD", path, {**TUS, **page}),
        shared.ask("GET", path, {**page, "Range": "bytes=1-2"}),
        shared.ask("PUT", "/files/", {**TUS, **page}),
        shared.ask("GET", "/api/v1/names", page),
        shared.ask("POST", "/v1/uploads?name=x", page, b"hello"),
        shared.ask("HEAD", shared.new(None), {**TUS, **page}),
        shared.ask("GET", "/", page),
    ]
    seen = set(rufh.ask("HEAD", begun, {**rufh.said(), **page}).fields)
    seen |= {field for answer in answers for field in answer.fields}
    unseen = {each for each in seen if not each.startswith("access-control")} - SAFE
    assert unseen <= {each.lower() for each in TELLS}
    assert {"upload-concat", "upload-defer-length", "upload-limit", "content-range"} <= seen


@pytest.mark.parametrize("kind", KINDS)
def test_by_default_no_page_of_another_origin_is_served(house: House, kind: str) -> None:
    tus = Tus(house.get(kind))
    answer = require_not_shared(preflight(tus, "/files/"))
    assert "vary" not in answer.fields
    assert "creation" in answer.fields["tus-extension"]
    assert tus.ask("GET", "/files/0123456789", {"Origin": APP}).status == 403


@pytest.mark.parametrize("kind", KINDS)
def test_with_tokens_a_page_is_told_that_it_needs_one(
    house: House, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "cors"
    folder.mkdir(exist_ok=True)
    tokens = write_tokens(folder / "tokens.toml")
    served = house.get(kind, tokens=tokens, cors_origins="*")
    nobody, alice = Tus(served), Tus(served, token=token("alice"))
    page: Fields = {"Origin": EVIL}
    assert preflight(nobody, "/files/", EVIL).status == 200  # no browser sends a token with it
    answer = require_shared(nobody.ask("GET", "/api/v1/names", page), "*")
    assert answer.status == 401
    assert "access-control-allow-credentials" not in answer.fields
    assert require_shared(alice.ask("GET", "/api/v1/names", page), "*").status == 200
    reader = Tus(served, token=token("reader"))
    answer = reader.ask("POST", "/files/", {**TUS, **page, "Upload-Length": 5})
    assert require_shared(answer, "*").status == 403


def test_credentials_are_allowed_to_named_origins_only(tmp_path: Path) -> None:
    settings = {"cors_origins": APP, "cors_credentials": True, "cors_max_age": 5.0}
    with running("direct", tmp_path, **settings) as served:
        answer = preflight(Tus(served), "/files/")
        assert answer.fields["access-control-allow-credentials"] == "true"
        assert answer.fields["access-control-max-age"] == "5"
        answer = Tus(served).ask("GET", "/livez", {"Origin": EVIL})
        require_not_shared(answer)


def test_a_target_that_is_too_long_is_refused_in_words_that_the_page_can_read(
    house: House,
) -> None:
    served: Served = house.get("direct", cors_origins=ORIGINS)
    with contextlib.closing(Line(served)) as line:
        line.send_head("GET", "/files/" + "a" * 20_000, {"Origin": APP})
        assert require_shared(line.answer()).status == 414
