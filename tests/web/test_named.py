"""/names: PUT, GET, HEAD and DELETE of a name, forms from browsers, and folders."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import secrets

import pytest

from tests.web.forming import FORM, Forms, Part, form
from tests.web.ranging import Ranger, digest_of
from tests.web.running import House, Served
from tests.web.talk import Answer, Line, require_problem
from towpath.core.crc import crc
from towpath.core.digest import crc_bytes

CONTENT = random.Random(12).randbytes(400_000)
HTML = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(params=["direct", "direct chunked", "plain", "granian", "tls"])
def client(house: House, request: pytest.FixtureRequest) -> Forms:
    kind, _, coding = request.param.partition(" ")
    return Forms(house.get(kind), "/names", chunked=bool(coding))


@pytest.fixture
def one(direct: Served) -> Forms:
    return Forms(direct, "/names")


@pytest.fixture
def folder() -> str:
    """A folder that no other test uses."""
    return f"/{secrets.token_hex(6)}/"


def uploads_of(client: Forms, state: str, folder: str) -> list[dict[str, object]]:
    """Uploads in a state whose name lies in the folder."""
    where = ("state = ? AND name LIKE ?", state, folder.removeprefix("/") + "%")
    return client.served.lines_of("uploads", *where)


@pytest.mark.parametrize("size", [0, 1, 400_000])
def test_a_file_that_is_put_is_got_by_its_name(client: Forms, folder: str, size: int) -> None:
    content, path = CONTENT[:size], folder + "b%C3%BCch%20%23.bin"
    answer = client.ask("PUT", path, {"Content-Type": "text/x"}, content)
    assert (answer.status, answer.body) == (201, b""), answer.body
    assert answer.fields["location"] == "/names" + path
    crc64 = base64.b64encode(crc_bytes(crc(content))).decode()
    assert answer.fields["repr-digest"] == f"crc64nvme=:{crc64}:"
    got = client.ask("GET", path)
    assert (got.status, got.body) == (200, content)
    assert got.fields["etag"] == answer.fields["etag"]
    assert got.fields["content-type"] == "text/x"
    head = client.ask("HEAD", path)
    assert head.status == 200
    assert head.number("content-length") == size


def test_what_is_got_by_name_has_ranges_and_conditions(client: Forms, folder: str) -> None:
    path = folder + "a"
    tag = client.ask("PUT", path, {}, CONTENT).fields["etag"]
    part = client.ask("GET", path, {"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, CONTENT[100:200])
    assert client.ask("GET", path, {"If-None-Match": tag}).status == 304
    assert client.ask("GET", path, {"If-Match": '"other"'}).status == 412
    assert client.ask("GET", path, {"Range": "bytes=400000-"}).status == 416


def test_a_second_put_replaces_and_its_answer_says_so(client: Forms, folder: str) -> None:
    path = folder + "a"
    first = client.ask("PUT", path, {}, b"first")
    second = client.ask("PUT", path, {}, b"second")
    assert (first.status, second.status) == (201, 204)
    assert first.fields["etag"] != second.fields["etag"]
    assert client.ask("GET", path).body == b"second"
    key = first.fields["etag"].strip('"')
    assert client.ask("GET", f"/files/{key}").status == 404  # its last name went


def test_if_none_match_puts_only_what_is_not_there(client: Forms, folder: str) -> None:
    path = folder + "a"
    assert client.ask("PUT", path, {"If-None-Match": "*"}, b"one").status == 201
    refused = client.ask("PUT", path, {"If-None-Match": "*"}, b"two")
    require_problem(refused, 412, "precondition")
    assert client.ask("GET", path).body == b"one"


def test_if_match_replaces_only_what_is_known(client: Forms, folder: str) -> None:
    path = folder + "a"
    require_problem(client.ask("PUT", path, {"If-Match": "*"}, b"x"), 412)
    tag = client.ask("PUT", path, {}, b"one").fields["etag"]
    require_problem(client.ask("PUT", path, {"If-Match": '"other"'}, b"x"), 412)
    answer = client.ask("PUT", path, {"If-Match": f'"other", {tag}'}, b"two")
    assert answer.status == 204
    require_problem(client.ask("PUT", path, {"If-Match": tag}, b"x"), 412)
    assert client.ask("GET", path).body == b"two"


def slow_put(client: Forms, path: str, length: int, **fields: str) -> Line:
    """Begin a PUT whose last byte is still to come."""
    line = Line(client.served)
    said = {name.replace("_", "-"): value for name, value in fields.items()}
    line.send_head("PUT", "/names" + path, {"Content-Length": length, **said})
    line.send(CONTENT[: length - 1])
    Ranger(client.served).until_it_writes()
    return line


@pytest.mark.parametrize("condition", ["If_None_Match", "If_Match"])
def test_a_name_that_moves_while_the_bytes_come_is_not_replaced(
    served: Served, folder: str, condition: str
) -> None:
    client, path = Forms(served, "/names"), folder + "a"
    tag = "*"
    if condition == "If_Match":
        tag = client.ask("PUT", path, {}, b"old").fields["etag"]
    with contextlib.closing(slow_put(client, path, 1000, **{condition: tag})) as line:
        assert client.ask("PUT", path, {}, b"newer").status in {201, 204}
        line.send(CONTENT[999:1000])
        require_problem(line.answer(), 412, "precondition")
    assert client.ask("GET", path).body == b"newer"
    assert uploads_of(client, "open", folder) == uploads_of(client, "filled", folder) == []
    assert len(uploads_of(client, "failed", folder)) == 1


def test_a_put_that_is_cut_leaves_an_upload_and_no_name(served: Served, folder: str) -> None:
    client, path = Forms(served, "/names"), folder + "a"
    old = client.ask("PUT", path, {}, b"old")
    slow_put(client, path, 1000).close()
    Ranger(served).until_it_writes(wanted=False)
    assert client.ask("GET", path).body == b"old"
    (left,) = uploads_of(client, "open", folder)
    assert left["expires_at"] is not None
    # It is an upload like any other: whoever knows it may carry it on.
    rest = {"Content-Range": f"bytes {left['offset']}-999/1000"}
    done = Forms(served, "/ranges").ask(
        "PUT", f"/{left['id']}", rest, CONTENT[int(str(left["offset"])) : 1000]
    )
    assert done.document["state"] == "complete"
    got = client.ask("GET", path)
    assert (got.body, got.fields["etag"] == old.fields["etag"]) == (CONTENT[:1000], False)


@pytest.mark.parametrize("field", ["Content-MD5", "Content-Digest", "Repr-Digest"])
def test_digests_are_checked_and_what_differs_leaves_nothing(
    client: Forms, folder: str, field: str
) -> None:
    def said(data: bytes, name: str) -> str:
        if field == "Content-MD5":
            return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        return digest_of(data, name)

    for name in ("sha-256", "sha-512"):
        wrong = client.ask("PUT", folder + name, {field: said(b"other", name)}, CONTENT)
        require_problem(wrong, 422, "digest-mismatch")
        assert client.ask("GET", folder + name).status == 404
        right = client.ask("PUT", folder + name, {field: said(CONTENT, name)}, CONTENT)
        assert right.status == 201
        assert client.ask("GET", folder + name).body == CONTENT
    for state in ("open", "filled"):
        assert uploads_of(client, state, folder) == []


def test_an_empty_file_is_proven_too(client: Forms, folder: str) -> None:
    for name in ("sha-256", "md5"):
        wrong = {"Repr-Digest": digest_of(b"other", name)}
        require_problem(client.ask("PUT", folder + name, wrong, b""), 422)
        right = {"Repr-Digest": digest_of(b"", name)}
        assert client.ask("PUT", folder + name, right, b"").status == 201


def test_a_name_is_deleted_if_it_is_still_what_it_was(client: Forms, folder: str) -> None:
    path = folder + "a"
    tag = client.ask("PUT", path, {}, b"one").fields["etag"]
    require_problem(client.ask("DELETE", path, {"If-Match": '"other"'}), 412)
    assert client.ask("DELETE", path, {"If-Match": tag}).status == 204
    require_problem(client.ask("DELETE", path), 404, "not-found")
    require_problem(client.ask("GET", path), 404, "not-found")


def test_what_cannot_be_a_name_is_refused_before_its_bytes(one: Forms, folder: str) -> None:
    require_problem(one.ask("PUT", folder + "a%00b", {}, b"x"), 400, "malformed")
    require_problem(one.ask("PUT", folder, {}, b"x"), 405)
    require_problem(one.ask("POST", folder + "a", {}, b"x"), 405)
    require_problem(one.ask("PUT", folder + "a", {"Content-Encoding": "gzip"}, b"x"), 415)
    require_problem(one.ask("PUT", folder + "a", {"Content-Range": "bytes 0-0/1"}, b"x"), 400)
    require_problem(one.ask("GET", folder + "a%00b"), 404)


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 400_000])
def test_the_file_of_a_form_goes_into_the_folder(client: Forms, folder: str, size: int) -> None:
    content = CONTENT[:size]
    answer = client.form(folder, [("note", "hello"), ("file", content, "büch.bin")])
    assert answer.status == 201, answer.body
    assert answer.document["path"] == folder.removeprefix("/") + "büch.bin"
    assert (answer.document["length"], answer.document["etag"]) == (size, answer.fields["etag"])
    got = client.ask("GET", answer.fields["location"].removeprefix("/names"))
    assert got.body == content


def test_a_form_may_name_its_file_and_say_what_it_replaces(client: Forms, folder: str) -> None:
    for rule, wanted in (("keep-both", "x (2).txt"), ("replace", "x.txt")):
        client.ask("DELETE", folder + "x.txt")
        client.ask("PUT", folder + "x.txt", {}, b"old")
        parts: list[Part] = [("name", "x.txt"), ("on_conflict", rule), ("file", b"new", "other")]
        answer = client.form(folder, parts)
        assert answer.document["name"] == wanted, answer.body
    refused = client.form(folder, [("name", "x.txt"), ("on_conflict", "fail"), ("file", b"n", "f")])
    require_problem(refused, 409, "name-conflict")
    for state in ("open", "filled"):
        assert uploads_of(client, state, folder) == []


@pytest.mark.parametrize("field", ["name", "on_conflict"])
def test_a_field_that_says_where_the_file_goes_may_not_come_behind_it(
    client: Forms, folder: str, field: str
) -> None:
    refused = client.form(folder, [("file", CONTENT, "a"), ("note", "fine"), (field, "b")])
    assert require_problem(refused, 400, "malformed")["field"] == field
    require_problem(client.ask("GET", folder + "a"), 404)
    assert uploads_of(client, "open", folder) == []


def test_a_browser_sees_the_folder_again(client: Forms, folder: str) -> None:
    body = form([("file", b"hello", "a b.txt")])
    answer = client.ask("POST", folder, {"Content-Type": FORM, **HTML}, body)
    assert (answer.status, answer.fields["location"]) == (303, "/names" + folder)
    page = client.ask("GET", folder, HTML)
    assert page.fields["content-type"] == "text/html; charset=utf-8"
    assert "a%20b.txt" in page.body.decode()
    require_problem(client.ask("POST", folder, {"Content-Type": "text/plain"}, b"x"), 415)


# --- folders -------------------------------------------------------------------------------------


def listed(client: Forms, folder: str, query: str = "") -> tuple[list[str], str | None]:
    answer = client.ask("GET", folder + query, {"Accept": "application/json"})
    assert answer.status == 200, answer.body
    return [entry["name"] for entry in answer.document["entries"]], answer.document["next"]


def test_a_folder_lists_what_lies_in_it_page_by_page(client: Forms, folder: str) -> None:
    for name in ("b/one", "b/two", "b0", "a", "c/deep/er", "b!"):
        assert client.ask("PUT", folder + name, {}, b"x").status == 201
    everything = ["a", "b!", "b/", "b0", "c/"]
    assert listed(client, folder) == (everything, None)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        some, after = listed(client, folder, f"?limit=2&after={after}" if after else "?limit=2")
        assert len(some) <= 2
        found += some
    assert found == everything
    assert listed(client, folder + "c/") == (["deep/"], None)
    assert client.ask("HEAD", folder).status == 200
    require_problem(client.ask("GET", folder + "d/"), 404)
    assert folder.strip("/") + "/" in listed(client, "/")[0]


def as_who(served: Served, who: str) -> Forms:
    return Forms(served, "/names", who=who)


@pytest.fixture(scope="module")
def guarded(house: House, tmp_path_factory: pytest.TempPathFactory) -> Served:
    from tests.web.tokens import write_tokens  # noqa: PLC0415

    file = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    return house.get("direct", tokens=write_tokens(file))


def put_by(served: Served, who: str, path: str) -> Answer:
    return as_who(served, who).ask("PUT", path, {}, b"x")


def test_each_tenant_has_names_of_its_own(guarded: Served) -> None:
    assert put_by(guarded, "alice", "/mine").status == 201
    assert put_by(guarded, "bob", "/mine").status == 201
    assert as_who(guarded, "alice").ask("DELETE", "/mine").status == 204
    assert as_who(guarded, "bob").ask("GET", "/mine").status == 200
    assert as_who(guarded, "alice").ask("GET", "/mine").status == 404


def test_scopes_and_prefixes_bind_names(guarded: Served) -> None:
    assert put_by(guarded, "reader", "/r").status == 403
    assert put_by(guarded, "writer", "/w").status == 201
    absent = as_who(guarded, "writer").ask("PUT", "/w", {"If-None-Match": "*"}, b"y")
    assert (absent.status, "etag" in absent.fields) == (412, False)
    for method, path in (("GET", "/w"), ("DELETE", "/w"), ("GET", "/")):
        assert as_who(guarded, "writer").ask(method, path).status == 403
    assert put_by(guarded, "team", "/elsewhere").status == 403
    assert put_by(guarded, "team", "/team/a").status == 201
    team = as_who(guarded, "team")
    require_problem(team.ask("GET", "/w"), 404)
    assert listed(team, "/")[0] == ["team/"]
    assert listed(team, "/team/")[0] == ["a"]
    require_problem(team.ask("GET", "/other/"), 404)
    assert Forms(guarded, "/names").ask("GET", "/w").status == 401
    assert "form" not in as_who(guarded, "reader").ask("GET", "/", HTML).body.decode()
