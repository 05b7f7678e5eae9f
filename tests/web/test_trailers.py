"""Digests that come behind a chunk, on servers that read them and on those that cannot."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib
from collections.abc import Callable

import pytest

from tests.web.rufh_talk import PARTIAL, Rufh
from tests.web.running import House, Served
from tests.web.talk import CHUNK, TUS, Answer, Fields, Gone, Line, Tus, coded, require_problem

ABLE = ["direct", "tls"]
UNABLE = ["plain", "granian"]
CONTENT = bytes(range(256)) * 1000
SUMS: dict[str, Callable[[bytes], bytes]] = {
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


def checksum(data: bytes, name: str = "sha1") -> str:
    return f"{name} {base64.b64encode(SUMS[name](data)).decode()}"


def digest(data: bytes, name: str = "sha-256") -> str:
    value = hashlib.new(name.replace("-", ""), data).digest()
    return f"{name}=:{base64.b64encode(value).decode()}:"


def trailed(body: bytes, *trailers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in trailers)
    return coded(body)[:-2] + f"{lines}\r\n".encode()


@pytest.fixture(params=ABLE)
def able(house: House, request: pytest.FixtureRequest) -> Tus:
    """A server that reads trailers."""
    return Tus(house.get(request.param))


@pytest.fixture(params=UNABLE)
def unable(house: House, request: pytest.FixtureRequest) -> Tus:
    """A server that cannot."""
    return Tus(house.get(request.param))


def ask(
    served: Served,
    method: str,
    path: str,
    fields: Fields,
    body: bytes,
    *trailers: str,
    announce: str = "Upload-Checksum",
) -> Answer:
    said: Fields = {**fields, "Transfer-Encoding": "chunked"}
    with contextlib.closing(Line(served)) as line:
        line.send_head(method, path, {**said, "Trailer": announce} if announce else said)
        line.send(trailed(body, *trailers))
        return line.answer()


def patch(tus: Tus, path: str, offset: int, body: bytes, *trailers: str) -> Answer:
    fields = {**CHUNK, "Upload-Offset": offset}
    return ask(tus.served, "PATCH", path, fields, body, *trailers)


# The offer


def test_the_extension_is_offered_where_trailers_are_read(able: Tus) -> None:
    assert "checksum-trailer" in able.ask("OPTIONS", "/files/").fields["tus-extension"].split(",")


def test_the_extension_is_not_offered_where_they_are_not(unable: Tus) -> None:
    offered = unable.ask("OPTIONS", "/files/").fields["tus-extension"].split(",")
    assert "checksum" in offered
    assert "checksum-trailer" not in offered


@pytest.mark.parametrize("kind", ABLE)
def test_the_extension_is_not_offered_where_that_is_set(house: House, kind: str) -> None:
    tus = Tus(house.get(kind, trailers=False))
    offered = tus.ask("OPTIONS", "/files/").fields["tus-extension"].split(",")
    assert "checksum-trailer" not in offered
    answer = patch(tus, tus.new(5), 0, b"hello", f"Upload-Checksum: {checksum(b'hello')}")
    assert require_problem(answer, 400, "malformed")["field"] == "Trailer"


# A chunk and its checksum


@pytest.mark.parametrize("name", SUMS)
def test_a_chunk_counts_if_the_checksum_behind_it_is_right(able: Tus, name: str) -> None:
    path = able.new(len(CONTENT))
    first = patch(
        able, path, 0, CONTENT[:9000], f"Upload-Checksum: {checksum(CONTENT[:9000], name)}"
    )
    assert (first.status, first.number("upload-offset")) == (204, 9000)
    rest = CONTENT[9000:]
    assert patch(able, path, 9000, rest, f"upload-CHECKSUM:{checksum(rest, name)}").status == 204
    assert able.ask("GET", path).body == CONTENT


@pytest.mark.parametrize("name", SUMS)
def test_nothing_counts_if_the_checksum_behind_it_differs(able: Tus, name: str) -> None:
    path = able.new(len(CONTENT))
    answer = patch(able, path, 0, CONTENT, f"Upload-Checksum: {checksum(CONTENT[1:], name)}")
    require_problem(answer, 460, "digest-mismatch")
    assert able.offset(path) == 0
    assert patch(able, path, 0, CONTENT, f"Upload-Checksum: {checksum(CONTENT)}").status == 204
    assert able.ask("GET", path).body == CONTENT


@pytest.mark.parametrize(
    "trailers",
    [
        (),
        ("Expires: 0",),
        ("Upload-Checksum:",),
        ("Upload-Checksum: sha0 aGk=",),
        ("Upload-Checksum: sha1 !!!",),
        ("Upload-Checksum: sha1 aGk=",),
        (f"Upload-Checksum: {checksum(CONTENT)}",) * 2,
    ],
    ids=["none", "another", "empty", "algorithm", "base64", "size", "twice"],
)
def test_nothing_counts_if_what_was_announced_does_not_come(
    able: Tus, trailers: tuple[str, ...]
) -> None:
    path = able.new(len(CONTENT))
    answer = patch(able, path, 0, CONTENT, *trailers)
    assert require_problem(answer, 400, "malformed")["field"] == "Upload-Checksum"
    assert able.offset(path) == 0


def test_nothing_counts_of_a_chunk_that_is_cut_before_its_checksum(able: Tus) -> None:
    path = able.new(len(CONTENT))
    line = Line(able.served)
    fields = {**CHUNK, "Upload-Offset": 0, "Transfer-Encoding": "chunked"}
    line.send_head("PATCH", path, {**fields, "Trailer": "Upload-Checksum"})
    line.send(coded(CONTENT)[:-2] + b"Upload-Check")
    line.close()
    assert able.offset(path) == 0


def test_a_chunk_of_a_creation_has_its_checksum_behind_it_too(able: Tus) -> None:
    fields = {**CHUNK, "Upload-Length": 5}
    trailer = f"Upload-Checksum: {checksum(b'hello')}"
    answer = ask(able.served, "POST", "/files/", fields, b"hello", trailer)
    assert (answer.status, answer.number("upload-offset")) == (201, 5)
    answer = ask(able.served, "POST", "/files/", fields, b"jello", trailer)
    require_problem(answer, 460, "digest-mismatch")
    assert able.offset(answer.fields["location"]) == 0


def test_the_last_chunk_repeated_is_held_against_its_checksum(able: Tus) -> None:
    path = able.put(CONTENT)
    good, bad = (f"Upload-Checksum: {checksum(data)}" for data in (b"", b"x"))
    assert patch(able, path, len(CONTENT), b"", good).status == 204
    require_problem(patch(able, path, len(CONTENT), b"", bad), 460, "digest-mismatch")


def test_a_chunk_of_many_blocks_is_held_against_its_checksum(able: Tus) -> None:
    content = CONTENT * 40
    path = able.new(len(content))
    line = Line(able.served)
    fields = {**CHUNK, "Upload-Offset": 0, "Transfer-Encoding": "chunked"}
    line.send_head("PATCH", path, {**fields, "Trailer": "Upload-Checksum"})
    body = trailed(content, f"Upload-Checksum: {checksum(content, 'sha256')}")
    line.send(body)  # one thread: TLS of a socket bears no other that reads beside it
    assert line.answer().status == 204
    line.close()


def test_trailers_may_come_byte_by_byte_and_the_connection_goes_on(able: Tus) -> None:
    path = able.new(5)
    line = Line(able.served)
    fields = {**CHUNK, "Upload-Offset": 0, "Transfer-Encoding": "chunked"}
    line.send_head("PATCH", path, {**fields, "Trailer": "Upload-Checksum"})
    for byte in trailed(b"hello", "X-Other: 1", f"Upload-Checksum: {checksum(b'hello')}"):
        line.send(bytes([byte]))
    assert line.answer().status == 204
    assert line.ask("HEAD", path, TUS).number("upload-offset") == 5
    line.close()


# What is no checksum behind a chunk


def test_a_trailer_that_was_not_announced_does_not_count(able: Tus) -> None:
    path = able.new(10)
    fields = {**CHUNK, "Upload-Offset": 0}
    wrong = f"Upload-Checksum: {checksum(b'jello')}"
    answer = ask(able.served, "PATCH", path, fields, b"hello", wrong, announce="")
    assert (answer.status, answer.number("upload-offset")) == (204, 5)


def test_no_trailer_is_taken_for_a_field_of_the_head(able: Tus) -> None:
    path = able.new(10)
    trailers = ("Upload-Offset: 7", "Upload-Length: 5", "Content-Type: text/html", "Host: evil")
    fields = {**CHUNK, "Upload-Offset": 0}
    answer = ask(able.served, "PATCH", path, fields, b"hello", *trailers, announce="")
    assert (answer.status, answer.number("upload-offset")) == (204, 5)
    assert able.head(path).number("upload-length") == 10


def waiting(tus: Tus, path: str, fields: Fields) -> Answer:
    """The answer to the head of a chunk that waits for 100 (Continue)."""
    with contextlib.closing(Line(tus.served)) as line:
        waits: Fields = {**CHUNK, "Upload-Offset": 0, "Expect": "100-continue"}
        line.send_head("PATCH", path, {**waits, **fields})
        return line.answer()


def test_a_checksum_cannot_be_announced_where_trailers_are_not_read(unable: Tus) -> None:
    path = unable.new(5)
    before = unable.served.everything()
    framing = {"Transfer-Encoding": "chunked", "Trailer": "upload-checksum"}
    answer = waiting(unable, path, framing)
    document = require_problem(answer, 400, "malformed")
    assert document["field"] == "Trailer"
    assert "before the body" in document["todo"]
    assert answer.interim == ()
    assert unable.served.everything() == before
    fields = {**CHUNK, "Upload-Length": 5}
    trailer = f"Upload-Checksum: {checksum(b'hello')}"
    refused = ask(unable.served, "POST", "/files/", fields, b"hello", trailer)
    require_problem(refused, 400, "malformed")
    assert unable.served.everything() == before


@pytest.mark.parametrize(
    "more",
    [
        {"Content-Length": 5},
        {"Transfer-Encoding": "chunked", "Upload-Checksum": checksum(b"hello")},
    ],
    ids=["no coding", "before it as well"],
)
def test_a_checksum_that_cannot_come_behind_is_refused_before_the_body(
    able: Tus, more: dict[str, str | int]
) -> None:
    answer = waiting(able, able.new(5), {"Trailer": "Upload-Checksum", **more})
    assert require_problem(answer, 400, "malformed")["field"] == "Trailer"
    assert answer.interim == ()


@pytest.mark.parametrize("flood", ["one field", "many fields", "an extension of a chunk"])
def test_what_comes_behind_a_body_is_bounded(able: Tus, flood: str) -> None:
    path = able.new(10)
    line = Line(able.served)
    fields = {**CHUNK, "Upload-Offset": 0, "Transfer-Encoding": "chunked"}
    line.send_head("PATCH", path, {**fields, "Trailer": "Upload-Checksum"})
    start, step = {
        "one field": (b"5\r\nhello\r\n0\r\nUpload-Checksum: ", b"x" * 4096),
        "many fields": (b"5\r\nhello\r\n0\r\n", b"Upload-Checksum: a\r\n" * 256),
        "an extension of a chunk": (b"5\r\nhello\r\n1;", b"x" * 4096),
    }[flood]
    line.send(start)
    with contextlib.suppress(TimeoutError):
        line.socket.settimeout(10)
        for _ in range(1024):  # 4 MiB, if nobody stops it
            line.send(step)
    with contextlib.suppress(Gone):  # the answer may be lost by what was sent after it
        assert line.answer().status in {400, 431}
    line.close()
    assert able.offset(path) == 0


# Resumable uploads for HTTP


def create(rufh: Rufh, body: bytes, announce: str, *trailers: str, complete: bool = True) -> Answer:
    fields = {**rufh.said(complete=complete), "Content-Type": "text/plain"}
    return ask(rufh.served, "POST", "/files/", fields, body, *trailers, announce=announce)


@pytest.fixture(params=ABLE)
def speaker(house: House, request: pytest.FixtureRequest) -> Rufh:
    """A client of version 8 of a server that reads trailers."""
    return Rufh(house.get(request.param), 8)


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_content_may_have_its_digest_behind_it(speaker: Rufh, name: str, algorithm: str) -> None:
    answer = create(speaker, CONTENT, name, f"{name}: {digest(CONTENT, algorithm)}")
    assert (answer.status, answer.fields["upload-complete"]) == (201, "?1")
    answer = create(speaker, CONTENT, name, f"{name}: {digest(CONTENT[1:], algorithm)}")
    document = require_problem(answer, 422, "digest-mismatch")
    assert document
    assert speaker.state(answer.fields["location"]) == (0, False)


def test_content_that_is_appended_may_have_its_digest_behind_it(speaker: Rufh) -> None:
    path = speaker.new(CONTENT[:9000])
    fields = {**speaker.said(complete=True), "Content-Type": PARTIAL, "Upload-Offset": 9000}
    rest, announce = CONTENT[9000:], "Content-Digest"

    def append(trailer: str) -> Answer:
        return ask(speaker.served, "PATCH", path, fields, rest, trailer, announce=announce)

    assert append(f"Content-Digest: {digest(CONTENT)}").status == 422
    assert speaker.state(path) == (9000, False)
    assert append(f"Content-Digest: {digest(rest)}").status == 201
    assert speaker.ask("GET", path, {}).body == CONTENT


@pytest.mark.parametrize(
    "trailers",
    [
        (),
        ("Content-Digest: sha-256=:AAAA:",),
        ("Content-Digest: unixsum=:AAAA:",),
        (f"Content-Digest: {digest(CONTENT)}", f"Repr-Digest: {digest(b'')}"),
    ],
    ids=["none", "size", "algorithm", "contradiction"],
)
def test_content_whose_digest_does_not_come_is_not_kept(
    speaker: Rufh, trailers: tuple[str, ...]
) -> None:
    answer = create(speaker, CONTENT, "Content-Digest, Repr-Digest", *trailers)
    require_problem(answer, 400, "malformed")
    assert speaker.state(answer.fields["location"]) == (0, False)


def test_a_part_cannot_have_the_digest_of_the_whole_behind_it(speaker: Rufh) -> None:
    answer = create(speaker, CONTENT, "Repr-Digest", complete=False)
    assert require_problem(answer, 400, "malformed")["field"] == "Trailer"
    assert "location" not in answer.fields


@pytest.mark.parametrize("kind", UNABLE)
def test_no_digest_can_come_behind_where_trailers_are_not_read(house: House, kind: str) -> None:
    rufh = Rufh(house.get(kind), 8)
    trailer = f"Content-Digest: {digest(CONTENT)}"
    answer = create(rufh, CONTENT, "Content-Digest", trailer)
    assert require_problem(answer, 400, "malformed")["field"] == "Trailer"
    assert "location" not in answer.fields
