"""/api/streaming/upload: chunks by index, any order, in parallel, with MD5; pause and resume."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.web.forming import FORM, Forms, Part, form
from tests.web.running import PATIENCE, House, Served, running
from tests.web.talk import Answer, Line, require_problem
from tests.web.tokens import write_tokens

BASE = "/api/streaming/upload"
MIB = 1 << 20
CONTENT = random.Random(6).randbytes(3 * MIB + 12_345)
TOTAL = 4


@pytest.fixture(params=["direct", "direct chunked", "plain", "tls", "granian"])
def client(house: House, request: pytest.FixtureRequest) -> Forms:
    kind, _, coding = request.param.partition(" ")
    return Forms(house.get(kind), BASE, chunked=bool(coding))


@pytest.fixture
def here(direct: Served) -> Forms:
    return Forms(direct, BASE)


def begin(client: Forms, name: str = "film.mp4", size: int = len(CONTENT)) -> str:
    answer = client.json(
        "POST", "/initialize", {"fileName": name, "fileSize": size, "mimeType": "video/mp4"}
    )
    assert answer.status == 200, answer.body
    key: str = answer.document["uploadId"]
    return key


def piece(index: int) -> bytes:
    return CONTENT[index * MIB : (index + 1) * MIB]


def send(client: Forms, key: str, index: int, data: bytes | None = None, **more: str) -> Answer:
    data = piece(index) if data is None else data
    checksum = more.get("checksum", hashlib.md5(data, usedforsecurity=False).hexdigest())
    fields = [("uploadId", key), ("chunkIndex", str(index)), ("checksum", checksum)]
    return client.form("/chunk", [*fields, ("chunk", data)])


def status(client: Forms, key: str) -> dict[str, Any]:
    answer = client.ask("GET", f"/status?uploadId={key}")
    assert answer.status == 200, answer.body
    return answer.document


def test_chunks_in_any_order_become_the_file(client: Forms) -> None:
    key = begin(client)
    for index in (2, 0, 3):
        answer = send(client, key, index)
        assert answer.status == 200, answer.body
        assert not answer.document["complete"]
    last = send(client, key, 1)
    assert last.document == {
        "success": True,
        "chunkIndex": 1,
        "uploadId": key,
        "progress": 100.0,
        "uploadedBytes": len(CONTENT),
        "uploadedChunks": TOTAL,
        "totalChunks": TOTAL,
        "complete": True,
    }
    assert client.bytes_of(key) == CONTENT


def test_the_initialization_says_how_to_cut_the_file(here: Forms) -> None:
    for size, chunk, total in (
        (1_200_000_000, 25 * MIB, 46),
        (10 * MIB - 1, MIB, 10),
        (10 * MIB, 5 * MIB, 2),
        (100 * MIB, 10 * MIB, 10),
    ):
        value = {"fileName": "a.bin", "fileSize": size, "mimeType": ""}
        document = here.json("POST", "/initialize", value).document
        assert (document["chunkSize"], document["totalChunks"]) == (chunk, total)
        assert document["expiresAt"].endswith("Z")
        assert document["complete"] is False
        assert set(document) == {
            *("uploadId", "chunkSize", "totalChunks", "expiresAt", "complete"),
        }


@pytest.mark.parametrize("kind", ["", "text/plain;charset=UTF-8", "application/json"])
def test_json_is_read_whatever_its_content_type(here: Forms, kind: str) -> None:
    value = {"fileName": "a", "fileSize": 1, "mimeType": "a/b"}
    assert here.json("POST", "/initialize", value, kind).status == 200


def test_chunks_in_parallel_become_the_file(here: Forms) -> None:
    key = begin(here)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda index: send(here, key, index), (3, 2, 1, 0)))
    assert [answer.status for answer in answers] == [200] * 4
    assert here.bytes_of(key) == CONTENT


def test_the_status_tells_progress_and_what_is_missing(here: Forms) -> None:
    key = begin(here, "stätus.mp4")
    send(here, key, 2)
    send(here, key, 0)
    told = status(here, key)
    for moment in ("createdAt", "updatedAt", "expiresAt"):
        assert told.pop(moment).endswith("Z")
    assert told == {
        "uploadId": key,
        "status": "open",
        "progress": round(100 * 2 * MIB / len(CONTENT), 2),
        "uploadedBytes": 2 * MIB,
        "uploadedChunks": 2,
        "totalChunks": TOTAL,
        "complete": False,
        "fileName": "stätus.mp4",
        "fileSize": len(CONTENT),
        "mimeType": "video/mp4",
        "chunkSize": MIB,
        "missingChunks": [1, 3],
        "missingCount": 2,
        "url": None,
    }
    send(here, key, 1)
    send(here, key, 3)
    told = status(here, key)
    assert (told["status"], told["missingChunks"], told["progress"]) == ("complete", [], 100.0)
    assert told["url"] == f"/files/{key}"
    assert told["expiresAt"] is None


@pytest.mark.parametrize("form_of", ["hex", "HEX", "base64"])
def test_the_checksum_may_be_hexadecimal_or_base64(here: Forms, form_of: str) -> None:
    key, digest = begin(here), hashlib.md5(piece(0), usedforsecurity=False)
    said = {
        "hex": digest.hexdigest(),
        "HEX": digest.hexdigest().upper(),
        "base64": base64.b64encode(digest.digest()).decode(),
    }
    assert send(here, key, 0, checksum=said[form_of]).status == 200


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_wrong_checksum_keeps_nothing_of_the_chunk(here: Forms, where: str) -> None:
    key = begin(here)
    wrong: Part = ("checksum", hashlib.md5(b"other", usedforsecurity=False).hexdigest())
    known: list[Part] = [("uploadId", key), ("chunkIndex", "1")]
    file: Part = ("chunk", piece(1))
    parts = [*known, wrong, file] if where == "before" else [*known, file, wrong]
    document = require_problem(here.form("/chunk", parts), 422, "digest-mismatch")
    assert document["success"] is False
    assert document["error"]
    assert status(here, key)["uploadedBytes"] == 0
    assert send(here, key, 1).status == 200


def test_a_checksum_may_stand_behind_the_chunk_or_nowhere(here: Forms) -> None:
    key = begin(here)
    known = [("uploadId", key), ("chunkIndex", "0")]
    right = ("checksum", hashlib.md5(piece(0), usedforsecurity=False).hexdigest())
    assert here.form("/chunk", [*known, ("chunk", piece(0)), right]).status == 200
    known[1] = ("chunkIndex", "1")
    assert here.form("/chunk", [*known, ("chunk", piece(1))]).status == 200
    assert status(here, key)["missingChunks"] == [2, 3]


def test_a_chunk_sent_again_is_compared_and_counts_once(client: Forms) -> None:
    key = begin(client)
    for index in (0, 0, 1, 2, 3, 3, 1):
        assert send(client, key, index).status == 200
    other = bytes(MIB)
    document = require_problem(send(client, key, 1, other), 409, "state-conflict")
    assert "differ" in document["title"]
    wrong = send(client, key, 1, checksum="0" * 32)
    require_problem(wrong, 422, "digest-mismatch")
    assert client.bytes_of(key) == CONTENT


def test_other_bytes_at_a_durable_place_are_refused(here: Forms) -> None:
    key = begin(here)
    send(here, key, 0)
    require_problem(send(here, key, 0, bytes(MIB)), 409, "state-conflict")


@pytest.mark.parametrize(
    ("data", "status_code", "code"),
    [(CONTENT[: MIB + 1], 413, "too-large"), (CONTENT[: MIB - 1], 400, "malformed")],
)
def test_a_chunk_of_another_size_is_refused_and_keeps_nothing(
    client: Forms, data: bytes, status_code: int, code: str
) -> None:
    key = begin(client)
    require_problem(send(client, key, 0, data), status_code, code)
    assert status(client, key)["uploadedBytes"] == 0


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        pytest.param([("chunk", b"x")], "uploadId", id="nothing"),
        pytest.param([("uploadId", "KEY"), ("chunk", b"x")], "chunkIndex", id="no index"),
        pytest.param(
            [("uploadId", "KEY"), ("chunk", b"x"), ("chunkIndex", "0")], "chunkIndex", id="behind"
        ),
        pytest.param(
            [("uploadId", "KEY"), ("chunkIndex", "-1"), ("chunk", b"x")], "chunkIndex", id="-1"
        ),
        pytest.param(
            [("uploadId", "KEY"), ("chunkIndex", "4"), ("chunk", b"x")], "chunkIndex", id="4"
        ),
        pytest.param(
            [("uploadId", "KEY"), ("chunkIndex", "0"), ("checksum", "zz"), ("chunk", b"x")],
            "checksum",
            id="checksum",
        ),
        pytest.param([("uploadId", "KEY"), ("chunkIndex", "0")], "file", id="no file"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(here: Forms, parts: Any, field: str) -> None:
    key = begin(here)
    parts = [(name, key if value == "KEY" else value) for name, value in parts]
    document = require_problem(here.form("/chunk", parts), 400, "malformed")
    assert document["field"] == field


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"fileSize": 1}, "fileName"),
        ({"fileName": "a"}, "fileSize"),
        ({"fileName": "a", "fileSize": -1}, "fileSize"),
        ({"fileName": "a", "fileSize": 1.5}, "fileSize"),
        ({"fileName": "a", "fileSize": True}, "fileSize"),
        ({"fileName": "a", "fileSize": [1]}, "fileSize"),
        ({"fileName": "../a", "fileSize": 1}, "fileName"),
        ({"fileName": ["a"], "fileSize": 1}, "fileName"),
        ({"fileName": "\ud800", "fileSize": 1}, "fileName"),
        ({"fileName": "a", "fileSize": 1, "mimeType": 1.5}, "mimeType"),
        ([1], "body"),
        ("x", "body"),
    ],
)
def test_what_is_wrong_with_an_initialization_is_named(here: Forms, value: Any, field: str) -> None:
    document = require_problem(here.json("POST", "/initialize", value), 400, "malformed")
    assert document["field"] == field


def test_a_body_that_is_no_json_or_too_large_is_refused(here: Forms) -> None:
    for body in (b"{", b"[" * 60_000, b"\xff", b"1" * 5000):
        require_problem(here.ask("POST", "/initialize", {}, body), 400, "malformed")
    require_problem(here.ask("POST", "/initialize", {}, b" " * 70_000), 413, "too-large")


def test_what_is_paused_takes_no_chunks_until_it_is_resumed(here: Forms) -> None:
    key = begin(here)
    send(here, key, 0)
    for _ in range(2):
        told = here.json("PUT", "/status", {"uploadId": key, "action": "pause"}).document
        assert (told["status"], told["missingChunks"]) == ("paused", [1, 2, 3])
    require_problem(send(here, key, 1), 409, "state-conflict")
    assert status(here, key)["status"] == "paused"
    told = here.json("PUT", "/status", {"uploadId": key, "action": "resume"}).document
    assert told["status"] == "open"
    assert send(here, key, 1).status == 200


def test_pausing_ends_the_chunk_that_is_on_its_way(direct: Served, here: Forms) -> None:
    key = begin(here)
    body = form([("uploadId", key), ("chunkIndex", "0"), ("chunk", piece(0))])
    with contextlib.closing(Line(direct)) as line:
        fields: dict[str, str | int] = {"Content-Type": FORM, "Content-Length": len(body)}
        line.send_head("POST", f"{BASE}/chunk", fields)
        line.send(body[:500_000])
        deadline = time.monotonic() + PATIENCE
        while not writing(direct):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        here.json("PUT", "/status", {"uploadId": key, "action": "pause"})
        assert line.answer().status == 409
    assert status(here, key)["uploadedBytes"] == 0


def writing(served: Served) -> int:
    found: int = Forms(served, "/api/v1").ask("GET", "/server").document["writing"]
    return found


@pytest.mark.parametrize(
    ("value", "field"), [({"action": "pause"}, "uploadId"), ({"uploadId": "KEY"}, "action")]
)
def test_what_is_wrong_with_an_action_is_named(here: Forms, value: Any, field: str) -> None:
    key = begin(here)
    said = {name: key if text == "KEY" else text for name, text in value.items()}
    document = require_problem(here.json("PUT", "/status", said), 400, "malformed")
    assert document["field"] == field
    require_problem(here.ask("GET", "/status"), 400, "malformed")


def test_unknown_uploads_are_not_found(here: Forms) -> None:
    for key in ("0" * 31, "x"):
        require_problem(here.ask("GET", f"/status?uploadId={key}"), 404, "not-found")
        require_problem(send(here, key, 0), 404, "not-found")
        value = {"uploadId": key, "action": "pause"}
        require_problem(here.json("PUT", "/status", value), 404, "not-found")


def test_an_empty_file_is_complete_at_once(here: Forms) -> None:
    answer = here.json("POST", "/initialize", {"fileName": "e", "fileSize": 0, "mimeType": ""})
    assert (answer.document["totalChunks"], answer.document["complete"]) == (0, True)
    key = answer.document["uploadId"]
    assert send(here, key, 0, b"").document["complete"]
    assert status(here, key)["progress"] == 100.0


def test_a_strangers_upload_is_not_found(tmp_path: Path) -> None:
    with running("direct", tmp_path, tokens=write_tokens(tmp_path / "tokens")) as served:
        alice, bob = Forms(served, BASE, "alice"), Forms(served, BASE, "bob")
        key = begin(alice)
        require_problem(bob.ask("GET", f"/status?uploadId={key}"), 404, "not-found")
        require_problem(send(bob, key, 0), 404, "not-found")
        require_problem(Forms(served, BASE).ask("GET", f"/status?uploadId={key}"), 401)
        assert send(alice, key, 0).status == 200


def test_only_missing_chunks_travel_after_a_restart(tmp_path: Path) -> None:
    with running("direct", tmp_path) as served:
        key = begin(Forms(served, BASE))
        for index in (3, 1):
            send(Forms(served, BASE), key, index)
    with running("direct", tmp_path) as served:
        client = Forms(served, BASE)
        for index in status(client, key)["missingChunks"]:
            assert send(client, key, index).status == 200
        assert client.bytes_of(key) == CONTENT


def test_other_addresses_and_methods_are_told_what_is_here(here: Forms) -> None:
    document = require_problem(here.ask("GET", "/nothing"), 404, "not-found")
    assert document["success"] is False
    answer = here.ask("DELETE", "/status")
    require_problem(answer, 405, "method")
    assert answer.fields["allow"] == "GET, PUT"
    assert json.loads(answer.body)["error"]
