"""POST /v1/uploads: one request, raw or a form; it proves what arrived, or leaves nothing."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from pathlib import Path

import pytest

from tests.web.forming import BOUNDARY, FORM, Forms, form
from tests.web.running import PATIENCE, House, Served, running
from tests.web.talk import Line, require_problem
from tests.web.tokens import write_tokens
from towpath.core.crc import crc
from towpath.core.digest import crc_bytes

CONTENT = random.Random(4).randbytes(300_000)
SIZES = [0, 1, 65_536, 300_000]


@pytest.fixture(params=["direct", "direct chunked", "plain", "tls", "granian"])
def client(house: House, request: pytest.FixtureRequest) -> Forms:
    kind, _, coding = request.param.partition(" ")
    return Forms(house.get(kind), "/v1/uploads", chunked=bool(coding))


@pytest.fixture
def direct_client(direct: Served) -> Forms:
    return Forms(direct, "/v1/uploads")


@pytest.mark.parametrize("size", SIZES)
def test_a_raw_body_becomes_an_object_and_its_sha256_is_answered(client: Forms, size: int) -> None:
    content = CONTENT[:size]
    answer = client.ask(
        "POST", f"?name=raw%20{size}.bin", {"Content-Type": "application/x-thing"}, content
    )
    assert answer.status == 201, answer.body
    document = answer.document
    name = document.pop("name")
    assert name.startswith(f"raw {size}")
    key = document["id"]
    assert document.pop("created_at").endswith("Z")
    assert document == {
        "id": key,
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_type": "application/x-thing",
        "url": f"/files/{key}",
        "digests": {"crc64nvme": crc_bytes(crc(content)).hex()},
    }
    assert answer.fields["location"] == document["url"]
    assert answer.fields["content-type"] == "application/json"
    assert client.bytes_of(key) == content


@pytest.mark.parametrize("size", SIZES)
def test_the_file_of_a_form_becomes_an_object(client: Forms, size: int) -> None:
    content = CONTENT[:size]
    answer = client.form("", [("note", "hello"), ("file", content, f"büch {size}.pdf")])
    assert answer.status == 201, answer.body
    document = answer.document
    assert (document["size"], document["sha256"]) == (size, hashlib.sha256(content).hexdigest())
    assert document["name"].startswith(f"büch {size}")
    assert client.bytes_of(document["id"]) == content


def test_several_in_a_row_on_one_connection_keep_both_names(direct: Served) -> None:
    with contextlib.closing(Line(direct)) as line:
        names = []
        for number in range(4):
            body = form([("file", CONTENT[: number * 1000], "same.bin")])
            answer = line.ask("POST", "/v1/uploads", {"Content-Type": FORM}, body)
            assert answer.status == 201
            names.append(answer.document["name"])
    assert len(set(names)) == 4


def test_a_browsers_file_without_content_has_no_name_and_is_an_object(direct_client: Forms) -> None:
    answer = direct_client.form("", [("file", b"", "")])
    assert (answer.status, answer.document["size"], answer.document["name"]) == (201, 0, None)


def left(served: Served) -> tuple[int, int, list[str]]:
    rows = served.rows()
    return len(rows["uploads"]), len(rows["objects"]), sorted(served.files())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(form([("note", "x")]), "file", id="no file"),
        pytest.param(form([("file", CONTENT), ("more", b"x")]), "more", id="two files"),
        pytest.param(form([("file", CONTENT)])[:-10], "file", id="no end"),
        pytest.param(form([("a", "x"), ("a", "x"), ("file", b"")]), "a", id="a field twice"),
        pytest.param(form([("file", b"x", "../../etc/passwd")]), "filename", id="a bad name"),
        pytest.param(form([("name", "/x"), ("file", b"x")]), "name", id="a bad field"),
        pytest.param(b"hello", "form", id="no form"),
    ],
)
def test_a_form_that_is_wrong_leaves_nothing(house: House, body: bytes, field: str) -> None:
    served = house.get("direct")
    before = left(served)
    answer = Forms(served, "/v1/uploads").ask("POST", "", {"Content-Type": FORM}, body)
    document = require_problem(answer, 400, "malformed")
    assert document["field"] == field
    assert document["success"] is False
    assert "Nothing of the file was kept." in document["message"]
    assert left(served) == before


@pytest.mark.parametrize("way", ["raw", "form"])
def test_a_body_that_is_cut_off_leaves_nothing(direct: Served, way: str) -> None:
    before = left(direct)
    body = CONTENT if way == "raw" else form([("file", CONTENT)])
    kind = "application/octet-stream" if way == "raw" else FORM
    line = Line(direct)
    line.send_head("POST", "/v1/uploads", {"Content-Type": kind, "Content-Length": len(body)})
    line.send(body[:200_000])
    deadline = time.monotonic() + PATIENCE
    while not Forms(direct, "").ask("GET", "/api/v1/server").document["writing"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    line.close()
    while left(direct) != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left(direct) == before


def test_what_the_store_cannot_take_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    with running("direct", tmp_path, max_length=200_000) as served:
        client = Forms(served, "/v1/uploads")
        for answer in (
            client.form("", [("file", CONTENT)]),
            client.ask("POST", "", None, CONTENT),
            Forms(served, "/v1/uploads", chunked=True).ask("POST", "", None, CONTENT),
        ):
            document = require_problem(answer, 413, "too-large")
            assert "Nothing of the file was kept." in document["message"]
        assert left(served) == (0, 0, [])
    with running("direct", tmp_path / "full", min_free=1 << 60) as served:
        answer = Forms(served, "/v1/uploads").form("", [("file", CONTENT)])
        require_problem(answer, 507, "store-full")
        assert left(served) == (0, 0, [])


def test_other_methods_and_addresses_are_told_what_is_here(direct_client: Forms) -> None:
    answer = direct_client.ask("GET", "")
    require_problem(answer, 405, "method")
    assert answer.fields["allow"] == "POST"
    require_problem(direct_client.ask("POST", "/x", None, b"x"), 404, "not-found")


def test_a_query_that_cannot_be_read_is_refused(direct_client: Forms) -> None:
    for query in ("?name=a&name=b", "?name=%ff"):
        require_problem(direct_client.ask("POST", query, None, b"x"), 400, "malformed")


def test_who_may_not_write_is_refused_before_the_body(tmp_path: Path) -> None:
    with running("direct", tmp_path, tokens=write_tokens(tmp_path / "tokens")) as served:
        require_problem(Forms(served, "/v1/uploads").form("", [("file", b"x")]), 401)
        reader = Forms(served, "/v1/uploads", "reader").form("", [("file", b"x")])
        require_problem(reader, 403)
        team = Forms(served, "/v1/uploads", "team").form("", [("file", b"x", "a.bin")])
        assert team.document["name"] == "team/a.bin"


def test_a_form_of_64_mib_passes_in_bounded_memory(direct: Served) -> None:
    block, count = random.Random(5).randbytes(1 << 20), 64
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    digest, resident = hashlib.sha256(), []

    def look() -> None:
        told = Forms(direct, "").ask("GET", "/api/v1/server").document["memory"]
        resident.append(told["rss"] / (1 << 20))
        assert told["reserved"] <= 4 << 20

    with contextlib.closing(Line(direct)) as line:
        size = len(head) + count * len(block) + len(tail)
        fields: dict[str, str | int] = {"Content-Type": FORM, "Content-Length": size}
        line.send_head("POST", "/v1/uploads", fields)
        line.send(head)
        for number in range(count):
            line.send(block)
            digest.update(block)
            if number % 8 == 0:
                look()
        line.send(tail)
        answer = line.answer()
    assert (answer.document["size"], answer.document["sha256"]) == (
        count * len(block),
        digest.hexdigest(),
    )
    assert max(resident) - resident[0] < 24, resident
