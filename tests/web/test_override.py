"""X-HTTP-Method-Override: what a POST may stand for, and that it opens no other way in."""

from __future__ import annotations

import pytest

from tests.web.running import House
from tests.web.talk import CHUNK, TUS, Answer, Fields, Line, Tus, require_problem
from tests.web.tokens import token, write_tokens

KINDS = ["direct", "plain", "granian", "tls"]


def override(tus: Tus, meant: str, path: str, fields: Fields, body: bytes | None = None) -> Answer:
    return tus.ask("POST", path, {**fields, "X-HTTP-Method-Override": meant}, body)


def test_a_post_may_stand_for_a_patch(tus: Tus) -> None:
    path = tus.new(5)
    answer = override(tus, "PATCH", path, {**CHUNK, "Upload-Offset": 0}, b"hello")
    assert (answer.status, answer.number("upload-offset")) == (204, 5)
    assert tus.ask("GET", path).body == b"hello"


def test_a_post_may_stand_for_a_head(tus: Tus) -> None:
    path = tus.new(5, b"abc")
    answer = override(tus, "HEAD", path, TUS)
    assert (answer.status, answer.number("upload-offset"), answer.body) == (200, 3, b"")
    assert answer.fields["content-length"] == "0"


def test_a_connection_goes_on_after_a_post_that_stood_for_a_head(tus: Tus) -> None:
    path = tus.new(5, b"abc")
    line = Line(tus.served)
    for _ in range(2):
        answer = line.ask("POST", path, {**TUS, "X-HTTP-Method-Override": "HEAD"})
        assert answer.number("upload-offset") == 3
    line.close()


def test_a_post_may_stand_for_a_delete(tus: Tus) -> None:
    path = tus.new(5, b"abc")
    assert override(tus, "DELETE", path, TUS).status == 204
    assert tus.head(path).status in {404, 410}


@pytest.mark.parametrize(
    "meant", ["GET", "OPTIONS", "PUT", "CONNECT", "patch", "PATCH, DELETE", ""]
)
def test_a_post_may_stand_for_nothing_else(tus: Tus, meant: str) -> None:
    path = tus.new(5, b"abc")
    answer = override(tus, meant, path, {**CHUNK, "Upload-Offset": 3}, b"de")
    assert require_problem(answer, 400, "malformed")["field"] == "X-HTTP-Method-Override"
    assert tus.offset(path) == 3


@pytest.mark.parametrize("sent", ["PATCH", "DELETE", "HEAD"])
def test_no_other_method_may_stand_for_one(tus: Tus, sent: str) -> None:
    path = tus.new(5, b"abc")
    meant = "DELETE" if sent != "DELETE" else "HEAD"
    fields = {**CHUNK, "Upload-Offset": 3, "X-HTTP-Method-Override": meant}
    answer = tus.ask(sent, path, fields, b"de" if sent == "PATCH" else None)
    assert answer.status == 400
    assert tus.offset(path) == 3


def test_a_method_that_stands_for_itself_is_itself(tus: Tus) -> None:
    path = tus.new(5)
    assert tus.patch(path, 0, b"hello", X_HTTP_Method_Override="PATCH").status == 204


def test_outside_of_tus_the_field_has_no_meaning(tus: Tus) -> None:
    path = tus.put(b"hello")
    answer = tus.ask("GET", path, {"X-HTTP-Method-Override": "DELETE"})
    assert (answer.status, answer.body) == (200, b"hello")
    answer = tus.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"})
    assert answer.status in {405, 412}
    assert tus.ask("GET", path).body == b"hello"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_meant_is_judged_as_if_it_had_been_sent(
    house: House, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "override"
    folder.mkdir(exist_ok=True)
    served = house.get(kind, tokens=write_tokens(folder / "tokens.toml"))
    alice = Tus(served, token=token("alice"))
    path = alice.new(5, b"abc")
    chunk = {**CHUNK, "Upload-Offset": 3}
    nobody = Tus(served)
    for meant in ("PATCH", "DELETE", "HEAD"):
        require_problem(override(nobody, meant, path, chunk, b"de"), 401, "unauthenticated")
    reader, stranger = Tus(served, token=token("reader")), Tus(served, token=token("bob"))
    for meant in ("PATCH", "DELETE"):
        assert override(reader, meant, path, chunk, b"de").status == 403
        assert override(stranger, meant, path, chunk, b"de").status == 404
    assert alice.offset(path) == 3
