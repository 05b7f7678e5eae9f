"""Everything wrong that can be sent: each its answer, and nothing kept of it."""

from __future__ import annotations

import base64

import pytest

from tests.web.running import Served
from tests.web.talk import CHUNK, TUS, Line, Tus, metadata, require_problem

UNKNOWN = "/files/" + "0" * 31

NUMBERS = {
    "negative": "-1",
    "minus nothing": "-0",
    "signed": "+5",
    "huge": str(2**63),
    "huger": "9" * 40,
    "endless": "1" * 5000,
    "fractional": "5.0",
    "exponent": "1e3",
    "hexadecimal": "0x10",
    "underscored": "1_000",
    "spaced": "1 0",
    "listed": "5, 5",
    "superscript": "\xb2",
    "word": "many",
    "nothing": "",
}
BAD_NUMBERS = [pytest.param(value, id=name) for name, value in NUMBERS.items()]


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_length_that_is_no_number_is_malformed(served: Served, number: str) -> None:
    answer = Tus(served).ask("POST", "/files/", {**TUS, "Upload-Length": number})
    document = require_problem(answer, 400, "malformed")
    assert document["field"] == "Upload-Length"


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_an_offset_that_is_no_number_is_malformed(served: Served, number: str) -> None:
    tus = Tus(served)
    path = tus.new(10)
    document = require_problem(tus.patch(path, number, b"abc"), 400, "malformed")
    assert document["field"] == "Upload-Offset"
    assert tus.offset(path) == 0


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_later_length_that_is_no_number_is_malformed(served: Served, number: str) -> None:
    tus = Tus(served)
    path = tus.new(None)
    document = require_problem(tus.patch(path, 0, b"abc", Upload_Length=number), 400, "malformed")
    assert document["field"] == "Upload-Length"
    assert tus.offset(path) == 0


def test_digits_of_other_scripts_sent_as_bytes_are_malformed(served: Served) -> None:
    for digits in ("\u0665", "\u096b", "\uff15"):
        line = Line(served)
        head = "POST /files/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n"
        line.send(f"{head}Upload-Length: {digits}\r\n\r\n".encode())
        require_problem(line.answer(), 400, "malformed")
        line.close()


@pytest.mark.parametrize("offset", [1, 2**31, 2**32, 2**53, 2**63 - 1])
def test_an_offset_beyond_the_bytes_is_a_conflict(served: Served, offset: int) -> None:
    tus = Tus(served)
    path = tus.new(None)
    answer = tus.patch(path, offset, b"")
    require_problem(answer, 409, "offset-conflict")
    assert answer.number("upload-offset") == 0


def test_an_offset_whose_end_no_file_can_have_is_refused(served: Served) -> None:
    tus = Tus(served)
    path = tus.new(None)
    require_problem(tus.patch(path, 2**63 - 1, b"abc"), 409, "offset-conflict")
    require_problem(tus.patch(path, 0, b"abc", Upload_Length=2), 413, "too-large")
    assert tus.offset(path) == 0


def test_an_upload_that_no_disk_can_hold_is_refused_at_once(served: Served) -> None:
    before = served.everything()
    require_problem(Tus(served).create(2**63 - 1), 507, "store-full")
    assert served.everything() == before


# Metadata and names


BAD_METADATA = {
    "not base64": "name !!!",
    "unpadded": "name YQ",
    "spaced": "name Y Q==",
    "not utf-8": "name " + base64.b64encode(b"\xff\xfe").decode(),
    "twice": "name YQ==,name Yg==",
    "no key": " ,name YQ==",
    "key not ascii": "n\xe4me YQ==",
    "value not ascii": "name \xe4\xe4==",
}


@pytest.mark.parametrize("value", [pytest.param(v, id=k) for k, v in BAD_METADATA.items()])
def test_metadata_with_a_flaw_is_malformed(served: Served, value: str) -> None:
    before = served.everything()
    answer = Tus(served).ask(
        "POST", "/files/", {**TUS, "Upload-Length": 5, "Upload-Metadata": value}
    )
    assert require_problem(answer, 400, "malformed")["field"] == "Upload-Metadata"
    assert served.everything() == before


def test_metadata_beyond_what_is_kept_is_malformed(served: Served) -> None:
    answer = Tus(served).create(5, upload_metadata=metadata(note="x" * 30_000))
    assert require_problem(answer, 400, "malformed")["field"] == "Upload-Metadata"


HOSTILE_NAMES = {
    "upwards": "../../etc/passwd",
    "upwards inside": "a/../../b",
    "here": "./a",
    "absolute": "/etc/passwd",
    "empty segment": "a//b",
    "folder": "a/",
    "only dots": "..",
    "backslash": "..\\..\\windows",
    "null": "a\x00.png",
    "line break": "a\r\nSet-Cookie: b=c",
    "escape": "\x1b[2J",
    "right to left": "photo\u202egnp.exe",
    "line separator": "a\u2028b",
    "long segment": "x" * 256,
    "long": "/".join(["x" * 200] * 6),
}


@pytest.mark.parametrize("name", [pytest.param(v, id=k) for k, v in HOSTILE_NAMES.items()])
@pytest.mark.parametrize("key", ["filename", "name"])
def test_a_hostile_name_is_malformed(direct: Served, key: str, name: str) -> None:
    before = direct.everything()
    answer = Tus(direct).create(5, upload_metadata=metadata(**{key: name}))
    document = require_problem(answer, 400, "malformed")
    assert document["field"] == "name"
    assert document["detail"].isprintable()
    assert direct.everything() == before


@pytest.mark.parametrize("value", ["overwrite", "KEEP-BOTH", ""])
def test_an_unknown_way_to_treat_a_taken_name_is_malformed(direct: Served, value: str) -> None:
    answer = Tus(direct).create(5, upload_metadata=metadata(name="a", on_conflict=value))
    assert require_problem(answer, 400, "malformed")["field"] == "Upload-Metadata"


# Addresses


@pytest.mark.parametrize(
    "path",
    [
        "/files/../../etc/passwd",
        "/files/..%2f..%2fetc%2fpasswd",
        "/files/%2e%2e/%2e%2e/etc/passwd",
        "/files/..%5c..%5cwindows",
        "/files/%00",
        "/files/" + "0" * 31 + "%00",
        "/files/" + "0" * 31 + "%0a",
        "/files/" + "A" * 31,
        "/files/" + "a" * 200,
        "/files/%c3%28",
        "/files/%ff",
        "/files/%u0041",
        "/files/....//....//etc",
        "/files/ledger.db",
        "/files/~root",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "DELETE"])
def test_a_path_that_tricks_others_is_not_found(served: Served, method: str, path: str) -> None:
    fields = {**CHUNK, "Upload-Offset": 0} if method == "PATCH" else TUS
    answer = Tus(served).ask(method, path, fields, b"abc" if method == "PATCH" else None)
    if method == "HEAD":
        assert answer.status == 404
    else:
        require_problem(answer, 404, "not-found")


@pytest.mark.parametrize("path", ["/etc/passwd", "/../../etc/passwd", "//files", "/filesx", "/%2e"])
def test_there_is_nothing_elsewhere(served: Served, path: str) -> None:
    require_problem(Tus(served).ask("GET", path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nothing", 404),
        ("/api/v1/names/not-there", 404),
        ("/api/v1/names/..%2f..%2fetc", 404),
        ("/api/v1/names/a%00b", 400),
        ("/api/v1/uploads/a%00b", 400),
        ("/api/v1/names?prefix=%00", 400),
        ("/api/v1/names?after=%00", 400),
        ("/api/v1/uploads?after=%00", 400),
        ("/api/v1/uploads/nothing", 404),
        ("/api/v1/names?limit=0", 400),
        ("/api/v1/names?limit=1001", 400),
        ("/api/v1/names?limit=x", 400),
        ("/api/v1/uploads?state=lost", 400),
    ],
)
def test_wrong_questions_to_the_api_are_answered(direct: Served, path: str, status: int) -> None:
    require_problem(Tus(direct).ask("GET", path), status)


def test_a_wrong_method_of_the_api_is_told_as_such(direct: Served) -> None:
    answer = Tus(direct).ask("PUT", "/api/v1/names")
    require_problem(answer, 405, "method")
    assert answer.fields["allow"] == "GET"


# Hosts and origins


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "example.org:8000",
        "127.0.0.1.example.org",
        "localhost.example.org",
        "127.0.0.1@example.org",
        "127.0.0.2",
        "0.0.0.0",  # noqa: S104  # it is not bound
        "2130706433",
        "[::]",
        "localhost:8000:80",
        "localhost, example.org",
        "-",
    ],
)
def test_a_name_that_is_not_of_this_machine_is_refused(served: Served, host: str) -> None:
    """A page that makes its own name point here (DNS rebinding) gets nothing."""
    for path in ("/files/", "/api/v1/names"):
        method = "POST" if path == "/files/" else "GET"
        answer = Tus(served).ask(method, path, {**TUS, "Upload-Length": 5}, host=host)
        require_problem(answer, 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]", "[::1]:80"])
def test_names_of_this_machine_are_answered(served: Served, host: str) -> None:
    assert Tus(served).ask("GET", "/api/v1/names", host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "null",
        "",
        "file://",
        "http://127.0.0.1.example.org",
        "http://localhost@example.org",
        "http://example.org#http://localhost",
        "http://localhost, http://example.org",
    ],
)
def test_a_page_from_elsewhere_is_refused(served: Served, origin: str) -> None:
    tus = Tus(served)
    before = served.everything()
    answer = tus.ask("POST", "/files/", {**TUS, "Upload-Length": 5, "Origin": origin})
    require_problem(answer, 403, "forbidden")
    require_problem(tus.ask("GET", "/api/v1/names", {"Origin": origin}), 403, "forbidden")
    assert "access-control-allow-origin" not in answer.fields
    assert served.everything() == before


def test_a_page_of_ours_is_answered(served: Served) -> None:
    origin = {"Origin": served.url}
    assert Tus(served).ask("GET", "/api/v1/names", origin).status == 200
