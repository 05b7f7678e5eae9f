"""Our own dialect: what is composed is understood, what is answered is read."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.codec.cdc import CUTS
from towpath.core.command import Append, Cancel, Complete, Create, NewUpload
from towpath.core.digest import SIZES, crc_bytes
from towpath.core.model import OnConflict
from towpath.core.ranges import Extent, Span
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import BadAnswer, Malformed, NotFound
from towpath.protocol import ranges
from towpath.protocol.message import Head, Reply
from towpath.protocol.ranges.requests import MOST_ASKED, PROVEN
from towpath.protocol.ranges.wording import MOST_RUNS
from towpath.protocol.values import read_object
from towpath.testing.rows import upload

KEY = "0123456789abcdefghijklmnopqrstu"
SIZE = st.integers(0, 10**15)
KEYS = st.from_regex(r"[0-9a-z]{8,64}", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9 ü#?%]{1,20}(/[a-z.]{3,9}){0,3}", fullmatch=True)
SHA256 = st.binary(min_size=32, max_size=32)


def digests(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, bytes]]:
    return st.fixed_dictionaries(
        {}, optional={name: st.binary(min_size=SIZES[name], max_size=SIZES[name]) for name in names}
    )


@st.composite
def creations(draw: st.DrawFn) -> Create:
    replaces = draw(st.none() | KEYS)
    rules = [OnConflict.REPLACE] if replaces else list(OnConflict)
    values = st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(), min_size=1)
    metadata = draw(st.none() | values)
    return Create(
        new=NewUpload(
            length=draw(st.none() | SIZE),
            name=draw(st.none() | NAMES),
            on_conflict=draw(st.sampled_from(rules)),
            replaces=replaces,
            media_type=draw(st.none() | st.sampled_from(["text/plain", "application/x.y+z"])),
            metadata="" if metadata is None else json.dumps(metadata),
            dialect="ranges",
            digests=draw(digests(PROVEN)),
            wants=tuple(name for name in PROVEN if draw(st.booleans())),
        )
    )


@st.composite
def writes(draw: st.DrawFn) -> Write:
    start, count = draw(SIZE), draw(st.integers(1, 10**12))
    more = draw(st.none() | SIZE)
    return Write(
        offset=start,
        length=count,
        sequential=False,
        when_filled=True,
        declares=None if more is None else start + count + more,
        digests=draw(digests(tuple(SIZES))),
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, int]:
    start = draw(SIZE)
    return start, start + draw(st.integers(1, ranges.MOST_COPIED // 9)), draw(SIZE)


def declaration(total: int) -> Write:
    return Write(offset=total, length=0, sequential=False, declares=total, when_filled=True)


COMMANDS = st.one_of(
    creations(),
    st.builds(Append, key=KEYS, write=writes() | SIZE.map(declaration)),
    st.builds(ranges.Look, key=KEYS, after=SIZE, limit=st.integers(1, MOST_RUNS)),
    st.builds(
        ranges.Have, digests=st.lists(SHA256, min_size=1, max_size=MOST_ASKED // 50).map(tuple)
    ),
    st.builds(Complete, key=KEYS),
    st.builds(Cancel, key=KEYS),
    st.builds(
        ranges.Copy, key=KEYS, source=KEYS, runs=st.lists(runs(), min_size=1, max_size=9).map(tuple)
    ),
    st.builds(ranges.Map, key=KEYS, cut=st.sampled_from(list(CUTS.values()))),
)
TOLD = st.builds(
    ranges.Told,
    id=KEYS,
    state=st.sampled_from(UploadState),
    length=st.none() | SIZE,
    offset=SIZE,
    received=SIZE,
    name=st.none() | NAMES,
    reason=st.text(),
    expires_at=st.none() | st.integers(0, 10**13),
    digests=digests(PROVEN),
)
RUNS = st.lists(st.tuples(SIZE, st.none() | SIZE)).map(tuple)
PAGES = st.builds(
    ranges.Page,
    upload=TOLD,
    durable=RUNS,
    missing=RUNS,
    next=st.none() | SIZE,
    prefix=st.none() | st.tuples(SIZE, st.binary(min_size=8, max_size=8)),
)
FOUND = st.lists(st.builds(ranges.Held, sha256=SHA256, id=KEYS, length=SIZE)).map(tuple)


def values_of(head: Head, body: bytes) -> dict[str, Any]:
    """What the handler reads: the JSON body, or the query of a GET."""
    if head.method == "GET":
        return dict(pair.split("=") for pair in head.query.split("&"))
    return read_object(body)


def put(**fields: str | None) -> Head:
    """A chunk of ten bytes; underscores in names of fields stand for hyphens."""
    said = {"content_range": "bytes 0-9/20", "content_length": "10", **fields}
    known = {name.replace("_", "-"): value for name, value in said.items() if value is not None}
    return Head(method="PUT", path=f"/{KEY}", fields=known)


def refused(head: Head, values: dict[str, Any] | None = None) -> Malformed:
    with pytest.raises(Malformed) as error:
        ranges.parse(head, values or {})
    assert error.value.why
    assert error.value.todo
    return error.value


@given(COMMANDS)
def test_what_is_composed_is_understood(command: ranges.Command) -> None:
    head, body = ranges.compose(command, base="/ranges")
    assert ranges.parse(head, values_of(head, body)) == command
    assert ranges.has_values(head) is bool(body)
    assert head.base == "/ranges"


@given(COMMANDS, TOLD | PAGES | FOUND)
def test_what_is_answered_is_read(command: ranges.Command, answer: ranges.Answer) -> None:
    head, _ = ranges.compose(command, base="/ranges")
    reply = ranges.render(command, answer, head)
    said = ranges.read(reply.status, reply.body)
    assert said == (None if isinstance(command, Cancel) else answer)
    if isinstance(command, Create) and isinstance(answer, ranges.Told):
        assert (reply.status, dict(reply.fields)["location"]) == (201, f"/ranges/{answer.id}")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"have": [{}]}', b'{"have": 5}'])
def test_what_is_no_answer_of_ours_is_told_so(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        ranges.read(200, body)


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=20, unique=True),
    st.none() | st.integers(60, 80),
    st.integers(0, 90),
    st.integers(1, 4),
)
def test_pages_give_the_whole_extent_in_order(
    cuts: list[int], length: int | None, after: int, limit: int
) -> None:
    ends = sorted(cuts)
    extent = Extent()
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        extent = extent.add(Span(start, end, 0))
    row = upload(KEY, offset=extent.offset, length=length)
    told = ranges.tell(row, extent)
    at: int | None = after
    durable: set[int] = set()
    missing: set[int] = set()
    while at is not None:
        page = ranges.page(told, extent, after=at, limit=limit)
        assert len(page.durable) + len(page.missing) <= limit
        for found, runs in ((durable, page.durable), (missing, page.missing)):
            for begin, stop in runs:
                assert begin >= at
                found.update(range(begin, 100 if stop is None else stop))
        assert page.next is None or page.next > at
        at = page.next
    spans = zip(ends[::2], ends[1::2], strict=False)
    kept = {byte for first, last in spans for byte in range(first, last)}
    assert durable == {byte for byte in kept if byte >= after}
    assert missing == {byte for byte in range(after, length or 100) if byte not in kept}


def test_of_a_complete_upload_nothing_is_missing() -> None:
    row = upload(KEY, state=UploadState.COMPLETE, offset=20, length=20, crc=7)
    told = ranges.tell(row, Extent())
    page = ranges.page(told, Extent(), after=5, limit=9)
    assert (told.received, page.durable, page.missing, page.next) == (20, ((5, 20),), (), None)
    assert page.prefix == (20, crc_bytes(row.crc))


@pytest.mark.parametrize(
    "field",
    [
        *(None, "", "bytes", "bytes 0-9", "bytes 5-4/20", "bytes 0-9/5", "bytes 0-9/", "0-9/20"),
        *(
            "bytes -9/20",
            "bytes 0-/20",
            "bytes */*",
            "bytes 0-9/20, bytes 10-19/20",
            "lines 0-9/20",
        ),
        *("bytes 0-\u0661/20", "bytes +0-9/20", "bytes 0-9/99999999999999999999", "bytes 0-9/+20"),
        *("bytes 9223372036854775807-9223372036854775816/*", "bytes 0-8/20", "bytes */20"),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(field: str | None) -> None:
    assert refused(put(content_range=field)).field == "Content-Range"


def test_a_chunk_says_where_it_lies_and_how_long_the_whole_is() -> None:
    found = ranges.parse(put(content_range="bytes 10-19/20"), {})
    assert found == Append(
        key=KEY,
        write=Write(offset=10, length=10, sequential=False, declares=20, when_filled=True),
    )
    found = ranges.parse(
        put(content_range="BYTES  10-19/*", content_length=None, transfer_encoding="chunked"), {}
    )
    write = Write(offset=10, length=10, sequential=False, when_filled=True)
    assert found == Append(key=KEY, write=write)


def test_a_coded_chunk_needs_its_digest() -> None:
    digest = "sha-256=:" + "A" * 43 + "=:"
    assert refused(put(chunk_coding="zstd")).field == "Content-Digest"
    found = ranges.parse(put(chunk_coding="zstd", content_digest=digest), {})
    assert isinstance(found, Append)
    assert found.write.digests == {"sha-256": bytes(32)}
    head, _ = ranges.compose(found, coding="zstd")
    assert head.fields["chunk-coding"] == "zstd"
    assert ranges.parse(head, {}) == found


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"content_digest": "sha-3=:AAAA:"}, "Content-Digest"),
        ({"content_digest": "sha-256=:AAAA:"}, "Content-Digest"),
        ({"content_digest": ""}, "Content-Digest"),
        ({"chunk_coding": "a b"}, "Chunk-Coding"),
        ({"chunk_coding": ""}, "Chunk-Coding"),
        ({"content_encoding": "gzip"}, "Content-Encoding"),
        ({"transfer_encoding": "gzip"}, "Transfer-Encoding"),
        ({"content_length": "1x"}, "Content-Length"),
    ],
)
def test_a_field_of_a_chunk_that_cannot_be_heeded_is_refused(
    fields: dict[str, str], named: str
) -> None:
    assert refused(put(**fields)).field == named


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"length": -1}, "length"),
        ({"length": "x"}, "length"),
        ({"name": "../x"}, "name"),
        ({"name": 5.5}, "name"),
        ({"media_type": "none"}, "media_type"),
        ({"metadata": "text"}, "metadata"),
        ({"on_conflict": "maybe"}, "on_conflict"),
        ({"on_conflict": "fail", "replaces": KEY}, "on_conflict"),
        ({"digests": {"md5": "00" * 16}}, "digests"),
        ({"digests": ["sha-256"]}, "digests"),
        ({"digests": {"sha-256": "00"}}, "sha-256"),
        ({"digests": {"sha-256": " " + "00" * 32}}, "sha-256"),
        ({"digests": {"sha-256": None}}, "sha-256"),
        ({"wants": ["md5"]}, "wants"),
        ({"wants": ["sha-256", "sha-256"]}, "wants"),
        ({"wants": "sha-256"}, "wants"),
    ],
)
def test_a_value_of_a_creation_that_cannot_be_heeded_is_refused(
    values: dict[str, Any], named: str
) -> None:
    assert refused(Head(method="POST", path="/"), values).field == named


@pytest.mark.parametrize("asked", [None, [], ["00"], "00", ["00" * 32] * (MOST_ASKED + 1)])
def test_a_question_that_is_none_or_too_long_is_refused(asked: Any) -> None:
    assert refused(Head(method="POST", path="/have"), {"sha-256": asked}).field == "sha-256"


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "1001"), ("after", "-1")])
def test_a_page_has_bounds(name: str, value: str) -> None:
    assert refused(Head(method="GET", path=f"/{KEY}"), {name: value}).field == name


METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "", "☃"]
FIELDS = ["content-range", "content-length", "content-digest", "chunk-coding", "transfer-encoding"]
PATHS = ["", "/", "/have", f"/{KEY}", f"/{KEY}/complete", "/x/y", "//", f"/{KEY}/complete/"]
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
MEMBERS = ["length", "name", "replaces", "media_type", "metadata", "on_conflict", "digests"]


@given(
    st.sampled_from(METHODS),
    st.sampled_from(PATHS) | st.text(),
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.text() | st.sampled_from(["bytes 0-1/2", "chunked", "2", "sha-256=:AA==:"]),
    ),
    st.dictionaries(st.sampled_from([*MEMBERS, "wants", "sha-256", "after", "limit"]), ANY),
)
def test_any_request_is_a_command_an_answer_or_a_refusal(
    method: str, path: str, fields: dict[str, str], values: dict[str, Any]
) -> None:
    head = Head(method=method, path=path, fields=fields, base="/ranges")
    try:
        found = ranges.parse(head, values)
    except (Malformed, NotFound) as refusal:
        assert refusal.what
        assert refusal.why
        assert refusal.todo
        return
    assert isinstance(found, (Reply, *get_args(ranges.Command)))
    if isinstance(found, Reply):
        assert 400 <= found.status < 500
