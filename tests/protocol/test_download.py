"""Conditions and ranges of RFC 9110, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.model import Object
from towpath.protocol.download import Delivery, deliver, etag
from towpath.protocol.message import Head

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
    return deliver(Head(method=method, path="/", fields=named), made(length), "folder/report.pdf")


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
    assert (delivery.start, delivery.end) == (start, end)
    assert field(delivery, "content-range") == f"bytes {start}-{end - 1}/1000"
    assert field(delivery, "content-length") == str(end - start)


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,4-5",
        "bytes=0-0,-1",
        "bytes=9-5",
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
def test_what_is_not_one_range_of_bytes_gets_the_whole(wanted: str) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 200
    assert (delivery.start, delivery.end) == (0, 1000)
    assert field(delivery, "content-range") is None


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=5000-"])
def test_a_range_that_holds_no_byte_cannot_be_satisfied(wanted: str) -> None:
    delivery = ask(range=wanted)
    assert delivery.reply.status == 416
    assert field(delivery, "content-range") == "bytes */1000"
    assert delivery.start == delivery.end


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_nothing_has_no_range(wanted: str) -> None:
    assert ask(0, range=wanted).reply.status == 416
    assert ask(0).reply.status == 200


@given(st.integers(0, 30), st.text("0123456789-=, bytes", max_size=12))
def test_any_range_is_answered_with_bytes_that_the_object_has(length: int, text: str) -> None:
    for wanted in (text, f"bytes={text}"):
        delivery = ask(length, range=wanted)
        assert delivery.reply.status in {200, 206, 416}
        assert 0 <= delivery.start <= delivery.end <= length
        if delivery.reply.status == 206:
            assert delivery.start < delivery.end


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
    if status != 200:
        assert delivery.start == delivery.end


def test_a_range_is_for_get_alone() -> None:
    assert ask(method="HEAD", range="bytes=0-9").reply.status == 200


def test_what_is_served_can_do_no_harm_in_a_browser() -> None:
    delivery = deliver(
        Head(method="GET", path="/"), made(media_type="text/html"), 'x/a"; filename="b.html'
    )
    assert field(delivery, "x-content-type-options") == "nosniff"
    assert field(delivery, "content-security-policy") == "default-src 'none'; sandbox"
    disposition = field(delivery, "content-disposition") or ""
    assert disposition.startswith("attachment; ")
    assert disposition.count('"') == 2


def test_an_object_without_name_or_type_is_served_as_bytes() -> None:
    delivery = deliver(Head(method="GET", path="/"), made(), None)
    assert field(delivery, "content-type") == "application/octet-stream"
    assert made().id in (field(delivery, "content-disposition") or "")
