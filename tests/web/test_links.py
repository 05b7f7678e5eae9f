"""Links: what they let one do, for how long, and nothing else. They are secrets."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.web.process import process
from tests.web.running import House, Served, running
from tests.web.talk import CHUNK, TUS, Answer, Tus, metadata, require_problem
from tests.web.tokens import token, write_tokens
from towpath.errors import SettingsError
from towpath.web.links import own_keys, read_keys

CONTENT = b"what the link is for" * 1000


@pytest.fixture
def guarded(house: House, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Each kind of server, with tokens."""
    file = tmp_path_factory.getbasetemp() / "link-tokens.toml"
    return house.get(served.kind, tokens=write_tokens(file), follow=True)


@pytest.fixture
def alice(guarded: Served) -> Tus:
    return Tus(guarded, token=token("alice"))


@pytest.fixture
def path(alice: Tus) -> str:
    return alice.put(CONTENT, upload_metadata=metadata(name=f"{time.monotonic_ns()}.txt"))


def make(who: Tus, path: str, *, what: str = "objects", **said: Any) -> Answer:
    key = path.rpartition("/")[2]
    return who.ask("POST", f"/api/v1/{what}/{key}/links", {}, json.dumps(said).encode())


def link(who: Tus, path: str, **said: Any) -> str:
    answer = make(who, path, **said)
    assert answer.status == 201, answer.body
    found: str = answer.document["href"]
    return found


def nobody(who: Tus) -> Tus:
    return Tus(who.served)


def test_a_link_lets_anybody_read_one_object(alice: Tus, path: str) -> None:
    answer = make(alice, path)
    assert answer.status == 201
    assert answer.fields["cache-control"] == "no-store"
    href = answer.document["href"]
    assert href.startswith(f"{path}?link=")
    stranger = nobody(alice)
    read = stranger.ask("GET", href)
    assert (read.status, read.body) == (200, CONTENT)
    assert stranger.ask("HEAD", href).status == 200
    part = stranger.ask("GET", href, {"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, CONTENT[5:10])
    require_problem(stranger.ask("GET", path), 401)
    other = alice.put(b"not for strangers")
    query = href.partition("?")[2]
    require_problem(stranger.ask("GET", f"{other}?{query}"), 403, "forbidden")


def test_a_link_to_read_is_for_nothing_else(alice: Tus, path: str) -> None:
    href = link(alice, path)
    stranger = nobody(alice)
    for method in ("DELETE", "PATCH", "POST", "PUT"):
        assert stranger.ask(method, href, CHUNK).status in {403, 405}
    for method in ("DELETE", "PATCH"):
        override = {**CHUNK, "X-HTTP-Method-Override": method}
        assert stranger.ask("POST", href, override).status == 403
        for with_method in ("GET", "HEAD"):
            assert stranger.ask(with_method, href, override).status == 400
    query = href.partition("?")[2]
    require_problem(stranger.ask("GET", f"/api/v1/names?{query}"), 401)
    require_problem(stranger.ask("POST", f"/files/?{query}", {**TUS, "Upload-Length": 1}), 404)
    assert alice.ask("GET", path).body == CONTENT


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_link_that_was_changed_is_refused(alice: Tus, path: str, part: int) -> None:
    address, _, value = link(alice, path).partition("?link=")
    words = value.split(".")
    for changed in ("", "x", words[part][:-2], words[part] + "A", words[part].swapcase()):
        parts = [*words[:part], changed, *words[part + 1 :]]
        answer = nobody(alice).ask("GET", f"{address}?link={'.'.join(parts)}")
        require_problem(answer, 403, "forbidden")
    for query in ("link=", "link=.", "link=..", f"link={value}&link={value}", "link=%FF.%00.%E2"):
        require_problem(nobody(alice).ask("GET", f"{address}?{query}"), 403, "forbidden")


def test_whoever_shows_a_bad_link_is_refused_whoever_it_is(alice: Tus, path: str) -> None:
    require_problem(alice.ask("GET", f"{path}?link=a.b.c"), 403, "forbidden")


def test_a_link_ends_when_its_time_is_over(alice: Tus, path: str) -> None:
    answer = make(alice, path, seconds=1)
    href = answer.document["href"]
    deadline = time.monotonic() + 20
    while (read := nobody(alice).ask("GET", href)).status == 200:
        kept = read.fields["cache-control"]
        assert kept in {"private, max-age=1, immutable", "private, no-cache"}
        assert time.monotonic() < deadline
        time.sleep(0.05)
    document = require_problem(read, 403, "forbidden")
    assert "time is over" in document["detail"]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"seconds": 0}, "seconds"),
        ({"seconds": 10**9}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": "soon"}, "seconds"),
        ({"disposition": "form-data"}, "disposition"),
        ({"filename": "x" * 256}, "filename"),
        ({"filename": ["x"]}, "filename"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    alice: Tus, path: str, said: dict[str, Any], field: str
) -> None:
    assert require_problem(make(alice, path, **said), 400, "malformed")["field"] == field


def test_a_body_that_is_too_long_is_refused(alice: Tus, path: str) -> None:
    require_problem(make(alice, path, filename="x" * 70_000), 413, "too-large")


def test_a_link_says_how_a_browser_takes_it(alice: Tus, path: str) -> None:
    href = link(alice, path, disposition="inline", filename="Rechnung № 5.pdf")
    said = nobody(alice).ask("HEAD", href).fields["content-disposition"]
    assert said.startswith('inline; filename="')
    assert "filename*=UTF-8''Rechnung%20%E2%84%96%205.pdf" in said


def test_only_who_may_read_makes_links(alice: Tus, path: str) -> None:
    for who, status in (("reader", 201), ("writer", 403), ("bob", 404), ("team", 404)):
        assert make(Tus(alice.served, token=token(who)), path).status == status
    require_problem(make(nobody(alice), path), 401)
    require_problem(make(alice, "/files/" + "0" * 26), 404)


# Links to write


def test_a_link_lets_anybody_fill_one_upload(alice: Tus) -> None:
    path = alice.new(len(CONTENT))
    href = link(alice, path, what="uploads")
    stranger = nobody(alice)
    assert stranger.patch(href, 0, CONTENT[:100]).number("upload-offset") == 100
    assert stranger.head(href).number("upload-offset") == 100
    for method in ("DELETE", "GET"):
        require_problem(stranger.ask(method, href, TUS), 403)
    override = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    require_problem(stranger.ask("POST", href, override), 403)
    fields = {**CHUNK, "Upload-Offset": 100, "X-HTTP-Method-Override": "PATCH"}
    assert stranger.ask("POST", href, fields, CONTENT[100:]).status == 204
    assert alice.ask("GET", path).body == CONTENT
    require_problem(make(alice, path, what="uploads"), 409)


def test_a_link_to_write_has_a_bound(alice: Tus) -> None:
    open_ended = alice.new(None)
    require_problem(make(alice, open_ended, what="uploads"), 409, "state-conflict")
    path = alice.new(10)
    href = link(alice, path, what="uploads")
    require_problem(nobody(alice).patch(href, 0, b"x" * 11), 413)
    require_problem(make(Tus(alice.served, token=token("carol")), path, what="uploads"), 404)
    require_problem(make(Tus(alice.served, token=token("reader")), path, what="uploads"), 403)


# Keys


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "state" / "link-keys.toml"
    keys = own_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert own_keys(file) == read_keys(file) == keys
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key = 5",
        '[[key]]\nid = "a"',
        '[[key]]\nid = "a"\nsecret = "00"',
        '[[key]]\nid = "a.b"\nsecret = "' + "00" * 32 + '"',
        ('[[key]]\nid = "a"\nsecret = "' + "00" * 32 + '"\n') * 2,
        '[[key]]\nid = "a"\nsecret = "x"',
        "[[key",
    ],
)
def test_keys_that_cannot_be_used_are_refused_without_showing_them(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_keys(file)
    assert "00" * 32 not in str(caught.value)
    with pytest.raises(SettingsError):
        read_keys(tmp_path / "none")


def entry(name: str, digit: str) -> str:
    return f'[[key]]\nid = "{name}"\nsecret = "{digit * 64}"\n'


def test_a_key_is_changed_without_breaking_links_until_it_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(entry("old", "1"))
    with running("direct", tmp_path, link_keys=file) as served:
        path = Tus(served).put(CONTENT)
        old = link(Tus(served), path)
    file.write_text(entry("old", "1") + entry("new", "2"))
    with running("direct", tmp_path, link_keys=file) as served:
        new = link(Tus(served), path)
        assert new.partition("=")[2].startswith("new.")
        assert {Tus(served).ask("GET", each).status for each in (old, new)} == {200}
    file.write_text(entry("new", "2"))
    with running("direct", tmp_path, link_keys=file) as served:
        assert Tus(served).ask("GET", new).status == 200
        require_problem(Tus(served).ask("GET", old), 403)


def test_a_server_can_be_told_to_make_no_links(tmp_path: Path) -> None:
    with running("direct", tmp_path, link_lifetime=0) as served:
        path = Tus(served).put(CONTENT)
        require_problem(make(Tus(served), path), 403, "forbidden")


@pytest.mark.parametrize("kind", ["direct", "granian"])
def test_no_link_is_ever_logged(tmp_path: Path, kind: str) -> None:
    with process(kind, tmp_path, log_level="debug") as told:
        who = Tus(told.served)
        path = who.put(CONTENT)
        href = link(who, path)
        value = href.partition("?link=")[2]
        assert who.ask("GET", href).status == 200
        assert who.ask("GET", href + "A").status == 403
        assert who.ask("GET", f"{path}?{urlencode({'link': value, 'follow': ''})}").status == 200
        said = told.log.read_text()
        assert f'"path": "{path}"' in said
        for secret in value.split(".")[1:]:
            assert secret not in said
        keys = (told.served.data / "link-keys.toml").read_text()
        assert keys.rpartition('secret = "')[2][:64] not in said
