"""Conditions and ranges of RFC 9110, as a table."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.model import Object, Upload
from towpath.core.state import UploadState
from towpath.protocol.download import (
    MOST_RANGES,
    Delivery,
    Piece,
    cache_control,
    deliver,
    deliver_arriving,
    etag,
    read_ranges,
)
from towpath.protocol.message import Head, Reply

BOUNDARY = "0f" * 16
MADE = 1_700_000_000_500  # milliseconds: Last-Modified leaves half a second out
DATE, LATER, EARLIER = (
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
    "Tue, 14 Nov 2023 22:13:19 GMT",
)


def made(length: int = 1000, *, media_type: str | None = None) -> Object:
    return Object(
        tenant="t",
        owner="o",
        id="k" * 31,
        length=length,
        crc=7,
        media_type=media_type,
        created_at=MADE,
    )


TAG = etag(made())


def ask(length: int = 1000, *, method: str = "GET", **fields: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    head = Head(method=method, path="/", fields=named)
    return deliver(head, made(length), "folder/report.pdf", boundary=BOUNDARY)


def field(delivery: Delivery, name: str) -> str | None:
    return dict(delivery.reply.fields).get(name)


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 1000),
        ("bytes=500-5000", 500, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=0-", 0, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-1000", 0, 1000),
        ("bytes=-5000", 0, 1000),
        ("BYTES=0-9", 0, 10),
        ("bytes= 0-9 ", 0, 10),
        ("bytes=00-09", 0, 10),
    ],
)
def test_one_range_is_served(wanted: str, start: int, end: int) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 206
    assert delivery.pieces == (Piece(start, end),)
    assert field(delivery, "content-range") == f"bytes {start}-{end - 1}/1000"
    assert field(delivery, "content-length") == str(end - start)


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=9-5",
        "bytes=0-1,9-5",
        "bytes=0-1;4-5",
        "bytes=,",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=+1-5",
        "bytes=1_0-20",
        "bytes=٣-5",
        "bytes=0x1-5",
        "bytes=1.5-5",
        "items=0-5",
        "0-5",
        "",
    ],
)
def test_what_is_no_range_of_bytes_gets_the_whole(wanted: str) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 200
    assert delivery.pieces == (Piece(0, 1000),)
    assert field(delivery, "content-range") is None


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=1000-",
        "bytes=1000-1001",
        "bytes=-0",
        "bytes=5000-",
        "bytes=5000-,-0",
        "bytes=" + ",".join(f"{at}-{at}" for at in range(MOST_RANGES + 1)),
    ],
)
def test_a_range_that_holds_no_byte_cannot_be_satisfied(wanted: str) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 416
    assert field(delivery, "content-range") == "bytes */1000"
    assert not delivery.pieces


@pytest.mark.parametrize(
    ("wanted", "spans"),
    [
        ("bytes=0-1,500-501", [(0, 2), (500, 502)]),
        ("bytes=500-501,0-1", [(500, 502), (0, 2)]),
        ("bytes=0-0,-1", [(0, 1), (999, 1000)]),
        ("bytes=0-9 , 600-609", [(0, 10), (600, 610)]),
        ("bytes=,0-1,,500-501,", [(0, 2), (500, 502)]),
        ("bytes=0-1,500-501,5000-", [(0, 2), (500, 502)]),
        ("bytes=600-,0-1,700-800", [(600, 1000), (0, 2)]),
        ("bytes=900-950,0-10,880-920,5-20", [(880, 951), (0, 21)]),
    ],
)
def test_several_ranges_come_in_their_order_as_parts(
    wanted: str, spans: list[tuple[int, int]]
) -> None:
    """RFC 9110 sections 14.6 and 15.3.7.2."""
    delivery = ask(range=wanted)
    assert delivery.reply.status == 206
    assert [(piece.start, piece.end) for piece in delivery.pieces] == spans
    assert field(delivery, "content-range") is None
    assert field(delivery, "content-type") == f"multipart/byteranges; boundary={BOUNDARY}"
    content = bytes(range(250)) * 4
    body = b"".join(p.before + content[p.start : p.end] for p in delivery.pieces) + delivery.after
    assert field(delivery, "content-length") == str(len(body))
    opening = f"Content-Type: multipart/mixed; boundary={BOUNDARY}\r\n\r\n".encode()
    parts = message_from_bytes(opening + body).get_payload()
    assert isinstance(parts, list)
    for part, (start, end) in zip(parts, spans, strict=True):
        assert isinstance(part, Message)
        assert part["content-range"] == f"bytes {start}-{end - 1}/1000"
        assert part["content-type"] == "application/octet-stream"
    at = 0
    for start, end in spans:  # the bytes themselves, which a mail parser would change
        at = body.index(b"\r\n\r\n", at) + 4
        assert body[at : at + end - start] == content[start:end]
        at += end - start


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-1,1-5", 0, 6),
        ("bytes=0-1,2-5", 0, 6),
        ("bytes=100-199,150-", 100, 1000),
        ("bytes=0-0,80-80", 0, 81),
        ("bytes=5000-,7-7", 7, 8),
        ("bytes=0-,0-,0-,0-", 0, 1000),
    ],
)
def test_ranges_that_overlap_or_nearly_touch_are_one(wanted: str, start: int, end: int) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 206
    assert delivery.pieces == (Piece(start, end),)
    assert field(delivery, "content-range") == f"bytes {start}-{end - 1}/1000"


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_nothing_has_no_range(wanted: str) -> None:
    assert ask(0, range=wanted).reply.status == 416
    assert ask(0).reply.status == 200


@given(st.integers(0, 30), st.text("0123456789-=, bytes", max_size=12))
def test_any_range_is_answered_with_bytes_that_the_object_has(length: int, text: str) -> None:
    for wanted in (text, f"bytes={text}"):
        delivery = ask(length, range=wanted)
        assert delivery.reply.status in {200, 206, 416}
        spans = [(piece.start, piece.end) for piece in delivery.pieces]
        assert all(0 <= start < end <= length for start, end in spans)
        apart = sorted(spans)
        assert all(one[1] < next_one[0] for one, next_one in pairwise(apart))
        assert bool(spans) == (delivery.reply.status != 416 and length > 0)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), min_size=1, max_size=9))
def test_every_byte_that_was_asked_for_is_sent(asked: list[tuple[int, int]]) -> None:
    asked = [(min(pair), max(pair)) for pair in asked]
    spans = read_ranges("bytes=" + ",".join(f"{a}-{b}" for a, b in asked), 1000)
    assert spans is not None
    sent = {at for start, end in spans for at in range(start, end)}
    assert {at for a, b in asked for at in range(a, min(b + 1, 1000))} <= sent
    assert sum(end - start for start, end in spans) == len(sent)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (TAG, 206),
        (f"W/{TAG}", 200),
        ('"other"', 200),
        (DATE, 206),
        (LATER, 200),
        (EARLIER, 200),
        ("yesterday", 200),
        ("", 200),
    ],
)
def test_a_range_counts_only_if_it_is_of_this_very_object(condition: str, status: int) -> None:
    """RFC 9110 section 13.1.5: the strong comparison."""
    assert ask(range="bytes=0-9", if_range=condition).reply.status == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": TAG}, 304),
        ({"if_none_match": f"W/{TAG}"}, 304),
        ({"if_none_match": f'"a", {TAG}, "b"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"other"'}, 200),
        ({"if_none_match": "nonsense"}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": "nonsense"}, 200),
        ({"if_none_match": '"other"', "if_modified_since": LATER}, 200),
        ({"if_match": TAG}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": f"W/{TAG}"}, 412),
        ({"if_match": '"other"'}, 412),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_unmodified_since": LATER}, 200),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_match": TAG, "if_unmodified_since": EARLIER}, 200),
        ({"if_match": '"other"', "if_none_match": TAG}, 412),
        ({"if_match": TAG, "if_none_match": TAG}, 304),
        ({"if_none_match": TAG, "range": "bytes=0-9"}, 304),
        ({"if_match": '"other"', "range": "bytes=5000-"}, 412),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_judged_in_their_order(
    method: str, fields: dict[str, str], status: int
) -> None:
    """RFC 9110 section 13.2.2."""
    delivery = ask(1000, method=method, **fields)
    assert delivery.reply.status == status
    assert field(delivery, "etag") == TAG
    assert bool(delivery.pieces) == (status == 200)


def test_a_range_is_for_get_alone() -> None:
    assert ask(method="HEAD", range="bytes=0-9").reply.status == 200


def test_what_is_served_can_do_no_harm_in_a_browser() -> None:
    delivery = deliver(
        Head(method="GET", path="/"),
        made(media_type="text/html"),
        'x/a"; filename="b.html',
        boundary=BOUNDARY,
    )
    assert field(delivery, "x-content-type-options") == "nosniff"
    assert field(delivery, "content-security-policy") == "default-src 'none'; sandbox"
    disposition = field(delivery, "content-disposition") or ""
    assert disposition.startswith("attachment; ")
    assert disposition.count('"') == 2


def test_an_object_without_name_or_type_is_served_as_bytes() -> None:
    delivery = deliver(Head(method="GET", path="/"), made(), None, boundary=BOUNDARY)
    assert field(delivery, "content-type") == "application/octet-stream"
    assert made().id in (field(delivery, "content-disposition") or "")


SHA256 = "sha-256=:" + "A" * 43 + "=:"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["crc64nvme", "sha-256"]),
        ("sha-256=1", ["sha-256"]),
        ("crc64nvme=1, sha-256=9", ["sha-256", "crc64nvme"]),
        ("sha-256=0, crc64nvme=3", ["crc64nvme"]),
        ("md5=10", ["crc64nvme", "sha-256"]),
        ("nonsense;;", ["crc64nvme", "sha-256"]),
    ],
)
def test_digests_are_those_that_are_wanted(wanted: str | None, names: list[str]) -> None:
    """RFC 9530 section 4."""
    asked = {} if wanted is None else {"want-repr-digest": wanted, "want-content-digest": wanted}
    object_ = replace(made(), digests=SHA256)
    whole = deliver(Head(method="GET", path="/", fields=asked), object_, None, boundary=BOUNDARY)
    told = field(whole, "repr-digest") or ""
    assert [member.partition("=")[0].strip() for member in told.split(",")] == names
    assert field(whole, "content-digest") == (None if wanted is None else told)


def test_the_digest_of_a_part_is_never_told_as_that_of_the_whole() -> None:
    for wanted in ("bytes=0-9", "bytes=0-9,500-509"):
        assert field(ask(range=wanted, want_content_digest="crc64nvme=1"), "content-digest") is None


@pytest.mark.parametrize(
    ("seconds", "shared", "said"),
    [
        (60, False, "private, max-age=60, immutable"),
        (60, True, "public, max-age=60, immutable"),
        (0, False, "private, no-cache"),
        (-5, True, "public, no-cache"),
    ],
)
def test_how_long_an_object_may_be_kept_is_said(seconds: int, shared: bool, said: str) -> None:
    assert cache_control(seconds, shared=shared) == said
    head = Head(method="GET", path="/")
    kept = deliver(head, made(), None, boundary=BOUNDARY, cache=said, kind="inline")
    assert field(kept, "cache-control") == said
    assert (field(kept, "content-disposition") or "").startswith("inline; ")


def arriving(length: int | None = 1000, **fields: str) -> tuple[Reply, tuple[int, int | None]]:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    upload = Upload(
        tenant="t",
        owner="o",
        id="k" * 31,
        state=UploadState.OPEN,
        length=length,
        offset=600,
        handle="h",
        created_at=MADE,
        updated_at=MADE,
        expires_at=None,
    )
    return deliver_arriving(Head(method="GET", path="/", fields=named), upload)


@pytest.mark.parametrize(
    ("length", "fields", "status", "span", "content_range"),
    [
        (1000, {}, 200, (0, 1000), None),
        (None, {}, 200, (0, None), None),
        (1000, {"range": "bytes=900-"}, 206, (900, 1000), "bytes 900-999/1000"),
        (None, {"range": "bytes=500-"}, 206, (500, 600), "bytes 500-599/*"),
        (None, {"range": "bytes=500-9999"}, 206, (500, 600), "bytes 500-599/*"),
        (None, {"range": "bytes=600-"}, 416, (0, 0), None),
        (1000, {"range": "bytes=1000-"}, 416, (0, 0), "bytes */1000"),
        (1000, {"range": "bytes=0-1,900-"}, 200, (0, 1000), None),
        (1000, {"range": "bytes=0-1", "if_range": TAG}, 200, (0, 1000), None),
    ],
)
def test_what_still_arrives_is_answered_with_what_will_be_there(
    length: int | None,
    fields: dict[str, str],
    status: int,
    span: tuple[int, int | None],
    content_range: str | None,
) -> None:
    reply, wanted = arriving(length, **fields)
    said = dict(reply.fields)
    assert (reply.status, wanted) == (status, span)
    assert said.get("content-range") == content_range
    assert said["cache-control"] == "no-store"
    assert "etag" not in said
    if status != 416:
        known = span[1] is not None
        assert ("content-length" in said) == known
