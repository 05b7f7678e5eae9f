"""Tokens over HTTP: who shows none learns nothing, and tenants never meet."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from tests.web.running import House, Served, running
from tests.web.talk import CHUNK, TUS, Gone, Line, Tus, metadata, require_problem
from tests.web.tokens import SECRETS, token, write_tokens

WRONG = "tow_alice_S3cret-but-wrong"


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token file."""
    return write_tokens(tmp_path_factory.mktemp("tokens") / "tokens.toml")


@pytest.fixture(params=["direct", "plain", "granian", "tls"])
def guarded(house: House, tokens: Path, request: pytest.FixtureRequest) -> Served:
    """Each kind of server, with tokens."""
    return house.get(request.param, tokens=tokens)


@pytest.fixture
def lone(house: House, tokens: Path) -> Served:
    """The server that most people run, with tokens."""
    return house.get("direct", tokens=tokens)


def by(served: Served, name: str) -> Tus:
    return Tus(served, token=token(name))


def unique(name: str) -> str:
    return f"{name}-{time.monotonic_ns()}"


# Nobody


@pytest.mark.parametrize("shown", [None, WRONG, "tow_nobody_x"])
def test_every_verb_is_refused_to_who_is_not_known(guarded: Served, shown: str | None) -> None:
    alice = by(guarded, "alice")
    path, done = alice.new(10, b"abc"), alice.put(b"abc", upload_metadata=metadata(name="n/x"))
    key = path.rpartition("/")[2]
    before = guarded.everything()
    stranger = Tus(guarded, token=shown)
    answers = [
        stranger.create(10),
        stranger.create(3, b"abc"),
        stranger.patch(path, 3, b"defghij"),
        stranger.ask("GET", done),
        stranger.ask("DELETE", path, TUS),
        stranger.ask("DELETE", done, TUS),
        stranger.ask("GET", "/files/nothing"),
        stranger.ask("GET", "/api/v1/names"),
        stranger.ask("GET", "/api/v1/names/n/x"),
        stranger.ask("DELETE", "/api/v1/names/n/x"),
        stranger.ask("GET", "/api/v1/uploads"),
        stranger.ask("GET", f"/api/v1/uploads/{key}"),
        stranger.ask("DELETE", f"/api/v1/uploads/{key}"),
        stranger.ask("GET", "/api/v1/server"),
        stranger.ask("GET", "/api/v1/nothing"),
    ]
    for answer in answers:
        require_problem(answer, 401, "unauthenticated")
        assert answer.fields["www-authenticate"].startswith("Bearer")
        assert b"S3cret" not in answer.body
    assert stranger.head(path).status == 401
    assert guarded.everything() == before


def test_asking_what_is_offered_and_whether_it_lives_needs_no_token(guarded: Served) -> None:
    stranger = Tus(guarded)
    for path in ("/files", "/files/", "/files/" + "0" * 31):
        assert stranger.ask("OPTIONS", path).status == 200
    for path in ("/livez", "/readyz", "/"):
        assert stranger.ask("GET", path).status == 200


def test_who_waits_to_be_told_to_go_on_is_refused_instead(guarded: Served) -> None:
    path = by(guarded, "alice").new(1000)
    before = guarded.everything()
    for method, target in (("PATCH", path), ("POST", "/files/")):
        line = Line(guarded)
        fields = {**CHUNK, "Upload-Offset": 0, "Upload-Length": 1000, "Content-Length": 1000}
        line.send_head(method, target, {**fields, "Expect": "100-continue"})
        answer = line.answer()
        assert answer.interim == ()
        require_problem(answer, 401, "unauthenticated")
        line.close()
    assert guarded.everything() == before


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_body_that_is_sent_anyway_is_not_kept(guarded: Served, size: int) -> None:
    path = by(guarded, "alice").new(size)
    before = guarded.everything()
    for method, target in (("PATCH", path), ("POST", "/files/")):
        line = Line(guarded)
        fields = {**CHUNK, "Upload-Offset": 0, "Upload-Length": size, "Content-Length": size}
        line.send_head(method, target, fields)
        line.send(b"x" * size)
        try:
            answer = line.answer()
        except Gone:  # a plain server may close on bytes that are on their way
            assert not guarded.owns_wire
        else:
            require_problem(answer, 401, "unauthenticated")
        line.close()
    assert guarded.everything() == before


def test_a_token_is_not_taken_from_the_address(lone: Served) -> None:
    for name in ("access_token", "token"):
        answer = Tus(lone).ask("GET", f"/api/v1/names?{name}={token('alice')}")
        require_problem(answer, 401)


def test_with_tokens_any_name_and_page_may_ask(lone: Served) -> None:
    fields = {"Origin": "https://example.org"}
    assert by(lone, "alice").ask("GET", "/api/v1/names", fields, host="example.org").status == 200


# Tenants


def test_another_tenant_finds_nothing_by_any_verb(guarded: Served) -> None:
    alice, bob = by(guarded, "alice"), by(guarded, "bob")
    name = unique("mine")
    path = alice.new(10, b"abc")
    done = alice.put(b"abc", upload_metadata=metadata(name=name))
    key, finished = path.rpartition("/")[2], done.rpartition("/")[2]
    before = guarded.everything()
    assert bob.head(path).status == bob.head(done).status == 404
    answers = [
        bob.patch(path, 3, b"defghij"),
        bob.patch(path, 0, b"defghij"),
        bob.patch(path, 3, b"x" * 50),
        bob.ask("GET", path),
        bob.ask("GET", done),
        bob.ask("DELETE", path, TUS),
        bob.ask("DELETE", done, TUS),
        bob.ask("GET", f"/api/v1/names/{name}"),
        bob.ask("DELETE", f"/api/v1/names/{name}"),
        bob.ask("GET", f"/api/v1/uploads/{key}"),
        bob.ask("GET", f"/api/v1/uploads/{finished}"),
        bob.ask("DELETE", f"/api/v1/uploads/{key}"),
    ]
    unknown = bob.ask("GET", "/files/" + "0" * 31)
    for answer in answers:
        assert require_problem(answer, 404, "not-found")["title"].startswith("There is no")
    assert answers[4].document == unknown.document
    assert bob.ask("HEAD", done).status == 404
    assert guarded.everything() == before
    for listing in ("names", "uploads", f"names?prefix={name}", "uploads?state=open,complete"):
        found = bob.ask("GET", f"/api/v1/{listing}").body.decode()
        assert key not in found
        assert finished not in found
        assert name not in found


def test_each_tenant_has_names_of_its_own(lone: Served) -> None:
    name = unique("same")
    for who, content in (("alice", b"red"), ("bob", b"blue")):
        tus = by(lone, who)
        path = tus.put(content, upload_metadata=metadata(name=name))
        told = tus.ask("GET", f"/api/v1/names/{name}").document
        assert told["href"] == path
        assert tus.ask("GET", told["href"]).body == content


def test_an_upload_is_its_owners_and_an_object_its_tenants(lone: Served) -> None:
    alice, carol, admin = by(lone, "alice"), by(lone, "carol"), by(lone, "admin")
    path, done = alice.new(10, b"abc"), alice.put(b"abc")
    assert carol.head(path).status == 404
    require_problem(carol.patch(path, 3, b"defghij"), 404)
    require_problem(carol.ask("DELETE", path, TUS), 404)
    assert carol.ask("GET", done).body == b"abc"
    assert path.rpartition("/")[2] not in carol.ask("GET", "/api/v1/uploads").body.decode()
    assert path.rpartition("/")[2] in admin.ask("GET", "/api/v1/uploads?limit=1000").body.decode()
    assert admin.patch(path, 3, b"defghij").status == 204
    assert by(lone, "alice").ask("GET", path).body == b"abcdefghij"


# Scopes and prefixes


def test_who_may_only_read_changes_nothing(lone: Served) -> None:
    alice, reader = by(lone, "alice"), by(lone, "reader")
    name = unique("read")
    path, done = alice.new(10, b"abc"), alice.put(b"abc", upload_metadata=metadata(name=name))
    before = lone.everything()
    for answer in (
        reader.create(10),
        reader.create(3, b"abc"),
        reader.patch(path, 3, b"defghij"),
        reader.ask("DELETE", path, TUS),
        reader.ask("DELETE", done, TUS),
        reader.ask("DELETE", f"/api/v1/names/{name}"),
        reader.ask("DELETE", f"/api/v1/uploads/{path.rpartition('/')[2]}"),
    ):
        require_problem(answer, 403, "forbidden")
    assert lone.everything() == before
    assert reader.offset(path) == 3
    assert reader.ask("GET", done).body == b"abc"
    assert reader.ask("GET", f"/api/v1/names/{name}").status == 200


def test_who_may_only_read_does_not_end_a_chunk_by_asking(lone: Served) -> None:
    alice, reader = by(lone, "alice"), by(lone, "reader")
    path = alice.new(200)
    line = Line(lone)
    fields = {**CHUNK, "Authorization": f"Bearer {token('alice')}"}
    line.send_head("PATCH", path, {**fields, "Upload-Offset": 0, "Content-Length": 200})
    line.send(b"x" * 100)
    alice.offset_reaches(path, 100)
    assert reader.offset(path) == 100
    line.send(b"x" * 100)
    assert line.answer().status == 204
    line.close()


def test_who_may_only_write_reads_and_lists_nothing(lone: Served) -> None:
    writer = by(lone, "writer")
    path = writer.put(b"abc")
    for question in (path, "/api/v1/names", "/api/v1/names/x", "/api/v1/uploads"):
        require_problem(writer.ask("GET", question), 403, "forbidden")
    require_problem(writer.ask("DELETE", path, TUS), 403, "forbidden")
    assert writer.head(path).status == 200


def test_who_has_a_prefix_stays_below_it(lone: Served) -> None:
    alice, team = by(lone, "alice"), by(lone, "team")
    inside, outside = unique("team/in"), unique("out")
    for name in (outside, unique("teammate"), None):
        sent = {} if name is None else {"upload_metadata": metadata(name=name)}
        require_problem(team.create(3, b"abc", **sent), 403, "forbidden")
    for name in ("team/../out", "team/"):
        require_problem(team.create(3, b"abc", upload_metadata=metadata(name=name)), 400)
    team.put(b"abc", upload_metadata=metadata(name=inside))
    elsewhere = alice.put(b"abc", upload_metadata=metadata(name=outside))
    require_problem(team.ask("GET", elsewhere), 404)
    require_problem(team.ask("GET", f"/api/v1/names/{outside}"), 404)
    require_problem(team.ask("DELETE", f"/api/v1/names/{outside}"), 404)
    for prefix in ("", "t", "out", "team", "team/"):
        found = team.ask("GET", f"/api/v1/names?prefix={prefix}&limit=1000").document["names"]
        assert all(each["path"].startswith("team/") for each in found)
    assert team.ask("GET", f"/api/v1/names/{inside}").status == 200


# Secrets


@pytest.mark.parametrize("kind", ["direct", "granian"])
def test_no_secret_reaches_a_log(
    tokens: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running(kind, tmp_path, tokens=tokens, log_level="debug", log_format="json") as served:
        for shown in (token("alice"), WRONG):
            tus = Tus(served, token=shown)
            tus.create(3, b"abc")
            tus.ask("GET", f"/files/nothing?token={shown}")
            tus.ask("GET", f"/api/v1/names?token={shown}")
            tus.ask("FROB", "/files/")
            tus.ask("GET", "/" + "x" * 100_000)
    log = caplog.text if kind == "direct" else (tmp_path / "log").read_text()
    assert "request" in log
    for secret in (*SECRETS.values(), "S3cret", "tow_"):
        assert secret not in log
