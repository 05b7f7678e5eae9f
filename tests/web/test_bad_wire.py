"""What is hardly HTTP, and what is refused: nothing of it is kept.

Where our protocol class owns the wire, what never reaches the application is answered with a
problem document, too; other servers are held to the status.
"""

from __future__ import annotations

import contextlib

import pytest

from tests.web.running import House, Served
from tests.web.talk import CHUNK, TUS, Answer, Gone, Line, Tus, coded, metadata, require_problem

UNKNOWN = "/files/" + "0" * 31


# Heads


def test_a_head_of_nearly_64_kib_is_read(served: Served) -> None:
    tus = Tus(served)
    sent = metadata(note="x" * 24_000)
    path = tus.new(5, upload_metadata=sent, X_Filler="y" * 32_000)
    assert tus.head(path).fields["upload-metadata"] == sent


def test_a_head_of_100_kb_is_too_large(served: Served) -> None:
    answer = Tus(served).ask("POST", "/files/", {**TUS, "X-Filler": "y" * 100_000})
    require_problem(answer, 431, "head-too-large")


def test_a_target_of_20_kb_is_too_long(served: Served) -> None:
    answer = Tus(served).ask("GET", "/files/" + "a" * 20_000)
    if served.owns_wire:
        require_problem(answer, 414, "target-too-long")
    else:
        assert answer.status in {404, 414}


# What is no HTTP


BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /files/\r\n\r\n",
    "another protocol": b"GET /files/ SPDY/3\r\n\r\n",
    "unknown method": b"FROB /files/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : HOST\r\n\r\n",
    "null in a field": b"GET / HTTP/1.1\r\nHost: HOST\r\nX: a\x00b\r\n\r\n",
    "two lengths": b"POST /files/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n"
    b"Content-Length: 6\r\n\r\nabcde",
    "length no number": b"POST /files/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: five\r\n\r\n",
    "length negative": b"POST /files/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: -5\r\n\r\n",
    "length too large": b"POST /files/ HTTP/1.1\r\nHost: HOST\r\n"
    b"Content-Length: 99999999999999999999\r\n\r\n",
}


def say(served: Served, text: bytes) -> Answer:
    line = Line(served)
    line.send(text.replace(b"HOST", b"%s:%d" % (served.address[0].encode(), served.address[1])))
    try:
        return line.answer()
    finally:
        line.close()


@pytest.mark.parametrize("text", [pytest.param(v, id=k) for k, v in BROKEN.items()])
def test_what_is_no_http_is_refused(served: Served, text: bytes) -> None:
    before = served.everything()
    try:
        answer = say(served, text)
    except Gone:
        assert served.kind == "granian", "closed without a word"
    else:
        assert answer.status in {400, 403, 404, 405, 505}
        if served.owns_wire:
            require_problem(answer, answer.status)
    assert served.everything() == before


def test_length_and_coding_together_smuggle_nothing(served: Served) -> None:
    """RFC 9112 section 6.3: refused, or the coding alone counts and the connection ends."""
    path = Tus(served).new(100)
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: HOST\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\n"
    ).encode()
    both = b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n"
    hidden = f"DELETE {path} HTTP/1.1\r\nHost: HOST\r\nTus-Resumable: 1.0.0\r\n\r\n".encode()
    answer = say(served, head + both + coded(b"abc") + hidden)
    if served.kind == "granian":
        assert answer.status in {204, 400}
    else:
        assert answer.status == 400
    assert Tus(served).offset(path) in {0, 3}


def test_a_chunk_size_that_is_no_number_cuts_the_body(served: Served) -> None:
    tus = Tus(served)
    path = tus.new(100)
    line = Line(served)
    fields = {**CHUNK, "Upload-Offset": 0, "Transfer-Encoding": "chunked"}
    line.send_head("PATCH", path, fields)
    line.send(b"3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n")
    with contextlib.suppress(Gone):
        assert 400 <= line.answer().status < 500
    line.close()
    assert tus.offset(path) in {0, 3}


# Nothing is changed by what is refused


@pytest.fixture
def kept(served: Served) -> str:
    """An upload that holds three of ten bytes."""
    return Tus(served).new(10, b"abc")


REFUSED = {
    "overlong": ({"Upload-Offset": 3}, b"x" * 8, 413),
    "overlong by far": ({"Upload-Offset": 3}, b"x" * 300_000, 413),
    "offset behind": ({"Upload-Offset": 0}, b"abc", 409),
    "offset ahead": ({"Upload-Offset": 5}, b"abc", 409),
    "no offset": ({}, b"abc", 400),
    "other type": ({"Upload-Offset": 3, "Content-Type": "text/plain"}, b"abc", 415),
    "other version": ({"Upload-Offset": 3, "Tus-Resumable": "0.1"}, b"abc", 412),
    "other length": ({"Upload-Offset": 3, "Upload-Length": 11}, b"abc", 400),
    "foreign origin": ({"Upload-Offset": 3, "Origin": "https://example.org"}, b"abc", 403),
}


@pytest.mark.parametrize(
    ("fields", "body", "status"), [pytest.param(*v, id=k) for k, v in REFUSED.items()]
)
@pytest.mark.parametrize("waits", [True, False], ids=["waits for 100", "sends at once"])
def test_a_refused_chunk_changes_nothing(  # a table's columns
    served: Served,
    kept: str,
    fields: dict[str, str | int],
    body: bytes,
    status: int,
    waits: bool,
) -> None:
    before = served.everything()
    said: dict[str, str | int] = {**CHUNK, **fields, "Content-Length": len(body)}
    line = Line(served)
    line.send_head("PATCH", kept, {**said, "Expect": "100-continue"} if waits else said)
    if not waits:
        line.send(body)
    try:
        answer = line.answer()
    except Gone:  # a plain server may close on bytes that are on their way
        assert not served.owns_wire
        assert len(body) > 1000
    else:
        require_problem(answer, status)
        assert answer.interim == ()
    line.close()
    assert served.everything() == before


def test_a_coded_body_that_is_too_long_leaves_the_offset_as_it_was(
    served: Served, kept: str
) -> None:
    tus = Tus(served, chunked=True)
    require_problem(tus.patch(kept, 3, b"x" * 50_000), 413, "too-large")
    assert tus.offset(kept) == 3
    assert tus.patch(kept, 3, b"defghij").status == 204
    assert tus.ask("GET", kept).body == b"abcdefghij"


def test_an_unknown_address_changes_nothing(served: Served) -> None:
    before = served.everything()
    tus = Tus(served)
    require_problem(tus.patch(UNKNOWN, 0, b"abc"), 404, "not-found")
    require_problem(tus.ask("DELETE", UNKNOWN, TUS), 404, "not-found")
    assert served.everything() == before


def test_a_socket_of_another_protocol_is_not_opened(house: House) -> None:
    answer = Tus(house.get("direct")).ask(
        "GET",
        "/files/",
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": 13,
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    )
    assert answer.status == 404
