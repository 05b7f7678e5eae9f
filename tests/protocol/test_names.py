"""Names over plain HTTP: what a PUT says and needs, forms, and pages of folders."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.command import Create, NewUpload
from towpath.core.digest import SIZES, format_digests
from towpath.core.model import OnConflict
from towpath.core.transfer import Write
from towpath.errors import BadAnswer, DigestMismatch, Malformed
from towpath.protocol import names
from towpath.protocol.message import Head, Reply

PATHS = st.from_regex(r"[a-z0-9 ü#?%;:&=+@]{1,20}(/[a-z.]{3,9}){0,3}", fullmatch=True)
TAGS = st.from_regex(r'"[a-z0-9]{1,31}"', fullmatch=True)
NOW = names.Current(key="k1", tag='"k1"', changed_at=86_400_500)


def digests(known: list[str]) -> st.SearchStrategy[dict[str, bytes]]:
    return st.fixed_dictionaries(
        {}, optional={name: st.binary(min_size=SIZES[name], max_size=SIZES[name]) for name in known}
    )


@st.composite
def puts(draw: st.DrawFn) -> names.Put:
    length = draw(st.none() | st.integers(0, 10**15))
    whole = ["sha-256", "crc64nvme"]
    proofs = {} if length == 0 else draw(digests([n for n in SIZES if n not in whole]))
    new = NewUpload(
        length=length,
        name=draw(PATHS),
        on_conflict=OnConflict.REPLACE,
        media_type=draw(st.none() | st.just("text/plain")),
        dialect="names",
        digests=draw(digests(whole)),
        shares=draw(st.booleans()),
    )
    write = None if length == 0 else Write(offset=0, length=length, digests=proofs)
    condition = names.Condition(
        match=draw(st.none() | st.just(("*",)) | st.lists(TAGS, min_size=1).map(tuple)),
        none=draw(st.just(()) | st.just(("*",)) | st.lists(TAGS).map(tuple)),
    )
    return names.Put(create=Create(new=new, write=write), condition=condition)


def composed(put: names.Put) -> Head:
    """The request that says it."""
    new, write, condition = put.create.new, put.create.write, put.condition
    said = format_digests({**new.digests, **(write.digests if write is not None else {})})
    fields = {
        "content-length": None if new.length is None else str(new.length),
        "transfer-encoding": "chunked" if new.length is None else None,
        "content-type": new.media_type,
        "expect": "100-continue" if new.shares else None,
        "repr-digest": said or None,
        "if-match": None if condition.match is None else ", ".join(condition.match),
        "if-none-match": ", ".join(condition.none) or None,
    }
    spoken = {name: value for name, value in fields.items() if value is not None}
    return Head(method="PUT", path=f"/{new.name}", fields=spoken, base="/names")


@given(puts())
def test_a_put_that_is_composed_is_understood(put: names.Put) -> None:
    head = composed(put)
    assert names.parse_put(head) == put
    assert names.check(head) is None


@given(PATHS, TAGS, digests(list(SIZES)), st.booleans())
def test_the_answer_to_a_put_is_read(
    path: str, tag: str, known: dict[str, bytes], created: bool
) -> None:
    reply = names.render_put("/names", path, tag, format_digests(known), created=created)
    wanted = names.Stored(path=path, tag=tag, created=created, digests=known)
    assert names.read_put(reply, base="/names") == wanted


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=201),
        Reply(status=201, fields=(("location", "/elsewhere/x"), ("etag", '"a"'))),
        Reply(status=201, fields=(("location", "/names/x"),)),
    ],
)
def test_an_answer_that_says_too_little_is_none(reply: Reply) -> None:
    with pytest.raises(BadAnswer):
        names.read_put(reply, base="/names")


def put(path: str = "/a", **fields: str) -> Head:
    said = {"content-length": "3", **{key.replace("_", "-"): each for key, each in fields.items()}}
    return Head(method="PUT", path=path, fields=said, base="/names")


MD5 = base64.b64encode(bytes(16)).decode()


def test_all_fields_of_digests_count_for_a_whole_body() -> None:
    found = names.parse_put(
        put(
            content_md5=MD5,
            content_digest=f"md5=:{MD5}:, sha-512=:{'A' * 86}==:",
            repr_digest=f"sha-256=:{'A' * 43}=:",
        )
    )
    assert isinstance(found, names.Put)
    assert found.create.new.digests == {"sha-256": bytes(32)}
    assert found.create.write is not None
    assert found.create.write.digests == {"md5": bytes(16), "sha-512": bytes(64)}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"content_md5": "AAAA"}, "Content-MD5"),
        ({"content_md5": "?"}, "Content-MD5"),
        ({"repr_digest": "sha-256=:AAAA:"}, "Repr-Digest"),
        ({"content_digest": "sha-256=AAAA"}, "Content-Digest"),
        ({"content_md5": MD5, "repr_digest": "md5=:" + "B" * 22 + "==:"}, "Content-MD5"),
        ({"content_range": "bytes 0-2/3"}, "Content-Range"),
        ({"content_length": "-3"}, "Content-Length"),
        ({"transfer_encoding": "gzip"}, "Transfer-Encoding"),
    ],
)
def test_a_field_that_cannot_be_heeded_is_refused(fields: dict[str, str], named: str) -> None:
    with pytest.raises(Malformed) as refused:
        names.parse_put(put(**fields))
    assert refused.value.field == named


@pytest.mark.parametrize("path", ["/../x", "/a//b", "/a\\b", "/\0", "/a/./b", "//a"])
def test_what_cannot_be_a_name_is_refused_and_names_nothing(path: str) -> None:
    with pytest.raises(Malformed):
        names.parse_put(put(path))
    assert names.name_of(put(path)) is None


def test_a_name_is_looked_up_in_the_form_in_which_it_is_kept() -> None:
    assert names.name_of(put("/u\u0308")) == "\u00fc"


def test_a_coded_file_is_refused() -> None:
    found = names.parse_put(put(content_encoding="gzip"))
    assert isinstance(found, Reply)
    assert found.status == 415


def test_only_who_waits_for_our_word_is_spared_its_bytes() -> None:
    for fields, shares in (({}, False), ({"expect": "100-Continue"}, True)):
        found = names.parse_put(put(**fields))
        assert isinstance(found, names.Put)
        assert found.create.new.shares is shares


@pytest.mark.parametrize(
    ("fields", "nothing", "something"),
    [
        ({}, True, True),
        ({"if_none_match": "*"}, True, False),
        ({"if_none_match": '"k1"'}, True, False),
        ({"if_none_match": 'W/"k1"'}, True, False),
        ({"if_none_match": '"k2"'}, True, True),
        ({"if_match": "*"}, False, True),
        ({"if_match": '"k2", "k1"'}, False, True),
        ({"if_match": '"k2"'}, False, False),
        ({"if_match": 'W/"k1"'}, False, False),
        ({"if_match": "k1"}, False, False),
        ({"if_unmodified_since": "Fri, 02 Jan 1970 00:00:00 GMT"}, True, True),
        ({"if_unmodified_since": "Thu, 01 Jan 1970 23:59:59 GMT"}, True, False),
        ({"if_unmodified_since": "yesterday"}, True, True),
        ({"if_match": "*", "if_none_match": "*"}, False, False),
    ],
)
def test_conditions_are_judged(fields: dict[str, str], nothing: bool, something: bool) -> None:
    condition = names.read_condition(put(**fields))
    for current, holds in ((None, nothing), (NOW, something)):
        refused = names.judge(condition, current)
        assert (refused is None) is holds
        if refused is not None:
            assert refused.status == 412
            assert ("etag" in dict(refused.fields)) is (current is not None)


@pytest.mark.parametrize(
    ("fields", "current", "rule", "replaces"),
    [
        ({}, NOW, OnConflict.REPLACE, None),
        ({"if_none_match": "*"}, None, OnConflict.FAIL, None),
        ({"if_match": '"k1"'}, NOW, OnConflict.REPLACE, "k1"),
        ({"if_match": "*"}, NOW, OnConflict.REPLACE, "k1"),
        ({"if_unmodified_since": "Fri, 02 Jan 1970 00:00:00 GMT"}, NOW, OnConflict.REPLACE, "k1"),
        ({"if_none_match": '"k2"'}, NOW, OnConflict.REPLACE, None),
    ],
)
def test_what_was_judged_binds_the_completion(
    fields: dict[str, str], current: Any, rule: OnConflict, replaces: str | None
) -> None:
    found = names.parse_put(put(**fields))
    assert isinstance(found, names.Put)
    bound = names.bind(found, current).new
    assert (bound.on_conflict, bound.replaces) == (rule, replaces)
    assert replace(bound, on_conflict=OnConflict.REPLACE, replaces=None) == found.create.new


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/a/", "GET, HEAD, POST"),
        ("DELETE", "/", "GET, HEAD, POST"),
        ("POST", "/a", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/a", "GET, HEAD, PUT, DELETE"),
        ("PROPFIND", "", "GET, HEAD, POST"),
    ],
)
def test_what_is_no_call_is_told_so(method: str, path: str, allow: str) -> None:
    reply = names.check(Head(method=method, path=path))
    assert reply is not None
    assert (reply.status, dict(reply.fields)["allow"]) == (405, allow)


def test_a_form_says_where_its_file_goes() -> None:
    fields = {"name": "b/c.txt", "on_conflict": "replace", "note": "x"}
    new = names.parse_form("a/", fields, "other.txt", "text/plain").new
    assert (new.name, new.on_conflict, new.media_type) == ("a/b/c.txt", "replace", "text/plain")
    assert json.loads(new.metadata) == {"note": "x"}
    assert names.parse_form("", {}, "f", None).new.name == "f"


@pytest.mark.parametrize(
    ("fields", "filename", "named"),
    [
        ({}, None, "name"),
        ({}, "", "name"),
        ({}, "../x", "name"),
        ({"name": "x", "on_conflict": "maybe"}, None, "on_conflict"),
    ],
)
def test_a_form_that_does_not_say_it_is_refused(
    fields: dict[str, str], filename: str | None, named: str
) -> None:
    with pytest.raises(Malformed) as refused:
        names.parse_form("a/", fields, filename, None)
    assert refused.value.field == named


@pytest.mark.parametrize("name", ["name", "on_conflict"])
def test_a_field_behind_the_file_that_says_where_it_goes_is_refused(name: str) -> None:
    names.check_behind(["note"])
    with pytest.raises(Malformed) as refused:
        names.check_behind(["note", name])
    assert refused.value.field == name


ENTRIES = (
    names.Shown(label="a&b/"),
    names.Shown(label="<x>:#?.txt", id="k1", length=3, tag='"k1"', updated_at=0),
)


def page(
    accept: str | None, query: dict[str, object] | None = None, more: str | None = None
) -> Reply:
    fields = {} if accept is None else {"accept": accept}
    look = names.parse_look(Head(method="GET", path="/f/", fields=fields), query or {})
    listed = names.Listed(folder="f/", entries=ENTRIES, next=more)
    return names.render_folder(look, listed, writes=True)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", ""])
def test_a_folder_is_json_for_programs(accept: str) -> None:
    document = json.loads(page(accept, more="z").body)
    assert document["folder"] == "f/"
    assert document["next"] == "z"
    assert document["entries"][0] == {"name": "a&b/", "kind": "folder"}
    assert document["entries"][1]["etag"] == '"k1"'


@pytest.mark.parametrize("accept", [None, "text/html", "text/html,application/xhtml+xml,*/*;q=0.8"])
def test_a_folder_is_html_for_people_and_mirrors(accept: str | None) -> None:
    text = page(accept).body.decode()
    assert '<a href="a%26b/">a&amp;b/</a>' in text
    assert '<a href="%3Cx%3E%3A%23%3F.txt">&lt;x&gt;:#?.txt</a>' in text
    assert 'enctype="multipart/form-data"' in text


def test_who_cannot_ask_for_the_next_page_gets_no_half_one() -> None:
    assert page(None, more="z").status == 400
    assert page(None, {"limit": "5"}, more="z").status == 200
    assert '<a href="?after=z">' in page("text/html", more="z").body.decode()


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_page_has_bounds(limit: str) -> None:
    with pytest.raises(Malformed):
        page("*/*", {"limit": limit})


METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", ""]
FIELDS = [
    *("content-length", "transfer-encoding", "content-type", "content-encoding", "content-range"),
    *("content-md5", "content-digest", "repr-digest", "expect", "accept"),
    *("if-match", "if-none-match", "if-unmodified-since"),
]
VALUES = st.text(st.characters(max_codepoint=255)) | st.sampled_from(
    ["0", "3", "chunked", "*", '"k1"', "gzip", "md5=:AAAA:", "text/html", "100-continue"]
)


@given(
    st.sampled_from(METHODS),
    st.sampled_from(["", "/", "/a", "/a/", "/../b", "//"]) | st.text(),
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.dictionaries(st.sampled_from(["limit", "after"]), st.text()),
)
def test_any_request_is_understood_or_refused(
    method: str, path: str, fields: dict[str, str], query: dict[str, object]
) -> None:
    head = Head(method=method, path=path, fields=fields, base="/names")
    assert names.check(head) is None or method not in {"GET", "HEAD"}
    try:
        names.judge(names.read_condition(head), NOW)
        names.parse_look(head, query)
        found = names.parse_put(head)
    except (Malformed, DigestMismatch) as refusal:
        assert refusal.what
        assert refusal.why
        assert refusal.todo
        return
    assert isinstance(found, names.Put) or found.status == 415
