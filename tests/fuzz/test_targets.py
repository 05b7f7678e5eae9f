"""Whatever a stranger sends is read or refused, by every reader; samples of what atheris does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from towpath.errors import Malformed
from towpath.protocol.message import Head, Reply

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "corpus").iterdir())
KEY = targets.KEY
FIELDS = [
    "tus-resumable",
    "upload-length",
    "upload-defer-length",
    "upload-offset",
    "upload-metadata",
    "upload-concat",
    "upload-checksum",
    "upload-complete",
    "upload-incomplete",
    "upload-draft-interop-version",
    "content-type",
    "content-length",
    "transfer-encoding",
    "trailer",
    "content-digest",
    "repr-digest",
    "want-repr-digest",
    "content-disposition",
    "content-encoding",
    "content-range",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept",
    "chunk-coding",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "origin",
    "access-control-request-method",
    "access-control-request-headers",
    "x-http-method-override",
]
MEMBERS = [
    "session_id",
    "file_size",
    "filename",
    "chunk_size",
    "client_id",
    "title",
    "check_duplicates",
    "auto_build_index",
    "expected_hash",
    "last_chunk_id",
    "reason",
    "fileName",
    "fileSize",
    "mimeType",
    "uploadId",
    "action",
    "chunkIndex",
    "chunk_id",
    "chunk_offset",
    "is_final",
    "checksum",
    "length",
    "name",
    "on_conflict",
    "media_type",
    "metadata",
    "digests",
    "wants",
    "replaces",
    "sha-256",
    "after",
    "limit",
]
WORDS = [
    "1.0.0",
    "1",
    "0",
    "-1",
    "5",
    "?1",
    "?0",
    "8",
    "3",
    "chunked",
    "partial",
    "bytes=0-9",
    "bytes=-5",
    "bytes",
    "*/10",
    "true",
    "null",
    "*",
    "gzip",
    "application/offset+octet-stream",
    "application/partial-upload",
    "multipart/form-data;boundary=x",
    "sha-256=:AAAA:",
    "sha1",
    "crc32",
    "final;/files/a",
    "9223372036854775807",
    "18446744073709551616",
    "1e3",
    "+5",
    "\u0665",
    "filename",
    "YQ==",
    'attachment;filename="a"',
    'W/"a"',
    "for=10.0.0.1;proto=https",
]
PLAIN = st.text(st.characters(exclude_characters="\n", max_codepoint=255), max_size=30)
VALUES = PLAIN | st.lists(st.sampled_from(WORDS) | PLAIN, max_size=4).map(" ".join)
PATHS = st.sampled_from(
    ["/", "", f"/{KEY}", "/have", "/a/b", f"/{KEY}/complete", "/a?b=c&b=d", "//"]
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "", "X"])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    lines = [f"{draw(METHODS)} {draw(PATHS | PLAIN)}"]
    said = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
    lines += [f"{name}: {value}" for name, value in said.items()]
    body = draw(st.dictionaries(st.sampled_from(MEMBERS), ANY, max_size=6))
    return "\n".join([*lines, "", json.dumps(body)]).encode()


PIECES = [
    b"--x",
    b"--x--",
    b"\r\n",
    b"\n",
    b"\r",
    b'Content-Disposition: form-data; name="file"; filename="a"',
    b'Content-Disposition: form-data; name="chunk_id"',
    b"Content-Type: a/b",
    b"1",
    b"\0",
    b"--",
]


@settings(max_examples=300)
@given(requests())
def test_any_request_is_read_or_refused(data: bytes) -> None:
    targets.heads(data)
    targets.bodies(data)


@settings(max_examples=200)
@given(st.binary(max_size=1), st.lists(st.sampled_from(PIECES) | st.binary(max_size=9)))
def test_any_form_is_read_or_refused(size: bytes, pieces: list[bytes]) -> None:
    targets.multipart(size + b"".join(pieces))


@settings(max_examples=20)
@given(st.data())
def test_a_sample_that_is_spoilt_is_read_or_refused(data: st.DataObject) -> None:
    sample = bytearray(data.draw(st.sampled_from(CORPUS)).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(sample) - 1), max_size=4)):
        sample[at] = data.draw(st.integers(0, 255))
    targets.every(bytes(sample))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_sample_is_held_by_every_target(path: Path) -> None:
    targets.every(path.read_bytes())


def test_an_input_is_a_request() -> None:
    head, body = targets.read_request(b"PUT /a%C3?b=c\nA: 1\na: 2\nX:  y \n\nbody\n\nmore")
    assert (head.method, head.path, head.query) == ("PUT", "/a%C3", "b=c")
    assert (dict(head.fields), body) == ({"a": "1, 2", "x": "y"}, b"body\n\nmore")


# The targets can fail.


def broken(**_: Any) -> Reply:
    raise ZeroDivisionError


def test_what_is_none_of_our_errors_is_not_held() -> None:
    with pytest.raises(ZeroDivisionError):
        targets.held(broken)


def test_a_refusal_that_blames_the_server_is_not_held() -> None:
    def read() -> None:
        raise Malformed("It cannot be read.", field="x", why="So.", todo="Correct it.")

    assert targets.held(read) is None
    with pytest.raises(AssertionError):
        targets.held(read, lambda _: Reply(status=500))


def test_a_field_that_would_be_two_is_not_held() -> None:
    with pytest.raises(AssertionError):
        targets.held(lambda: Reply(status=200, fields=(("a", "b\r\nc: d"),)))
    assert targets.held(lambda: Head(method="GET", path="/")) is not None
