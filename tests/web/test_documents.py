"""/api/documents/streaming: sessions, chunks, completion, resuming, cancelling; every field."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.web.forming import FORM, Forms, form
from tests.web.running import PATIENCE, House, Served, running
from tests.web.sessions import (
    BASE,
    CHUNK,
    CONTENT,
    KIB,
    TOTAL,
    begin,
    listed,
    parts,
    piece,
    require_refusal,
    resume,
    send,
    send_all,
)
from tests.web.talk import Line


@pytest.fixture(params=["direct", "direct chunked", "plain", "tls", "granian"])
def client(house: House, request: pytest.FixtureRequest) -> Forms:
    kind, _, coding = request.param.partition(" ")
    return Forms(house.get(kind, document_uploads=1000), BASE, chunked=bool(coding))


@pytest.fixture
def here(house: House) -> Forms:
    return Forms(house.get("direct", document_uploads=1000), BASE)


def test_a_document_goes_its_whole_way_and_every_field_is_answered(client: Forms) -> None:
    session = begin(client, client_id="browser-1", title="A paper")
    key = session["session_id"]
    expires = datetime.fromisoformat(session.pop("expires_at"))
    assert timedelta(hours=23) < expires - datetime.now(UTC) < timedelta(hours=25)
    assert session == {
        "session_id": key,
        "upload_url": f"{BASE}/chunk/{key}",
        "chunk_size": CHUNK,
        "total_chunks": TOTAL,
        "websocket_room": f"upload_{key}",
        "client_id": "browser-1",
    }
    for index in range(TOTAL):
        answer = send(client, key, index)
        assert answer.status == 200, answer.body
        document = answer.document
        assert document.pop("message")
        assert document == {
            "success": True,
            "chunk_id": index,
            "next_chunk_id": index + 1 if index < TOTAL - 1 else None,
            "upload_complete": index == TOTAL - 1,
        }
    for _ in range(2):  # asking again gives the same
        answer = client.json("POST", f"/complete/{key}")
        assert answer.status == 200, answer.body
        assert answer.document["success"] is True
        made = dict(answer.document["document"])
        assert made.pop("created_at").endswith("Z")
        assert made == {
            "id": key,
            "title": "A paper",
            "filename": "paper.pdf",
            "file_size": len(CONTENT),
            "is_file_available": True,
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        }
    assert client.bytes_of(key) == CONTENT


def test_chunks_come_in_any_order_and_in_parallel(here: Forms) -> None:
    key = begin(here)["session_id"]
    assert send(here, key, 3).document["next_chunk_id"] == 0
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda index: send(here, key, index), (5, 4, 2, 1, 0)))
    assert [answer.status for answer in answers] == [200] * 5
    assert sum(answer.document["upload_complete"] for answer in answers) >= 1
    assert here.json("POST", f"/complete/{key}").status == 200
    assert here.bytes_of(key) == CONTENT


@pytest.mark.parametrize("field", ["file", "chunk"])
def test_the_file_may_have_either_name_and_no_file_name(here: Forms, field: str) -> None:
    key = begin(here)["session_id"]
    body = form(parts(0, field=field)).replace(b'; filename="blob"', b"")
    assert here.ask("POST", f"/chunk/{key}", {"Content-Type": FORM}, body).status == 200


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_checksum_is_held_against_the_chunk_wherever_it_stands(here: Forms, where: str) -> None:
    key = begin(here)["session_id"]
    *fields, file = parts(1)
    for checksum, status in ((hashlib.sha256(b"x"), 422), (hashlib.sha256(piece(1)), 200)):
        said = ("checksum", checksum.hexdigest())
        sent = [*fields, said, file] if where == "before" else [*fields, file, said]
        answer = here.form(f"/chunk/{key}", sent)
        assert answer.status == status, answer.body
        if status == 422:
            require_refusal(answer, 422, "digest-mismatch")
            assert resume(here, key)["uploaded_bytes"] == 0


def test_is_final_may_come_behind_the_file(here: Forms) -> None:
    key = begin(here)["session_id"]
    number, offset, _, file = parts(TOTAL - 1)
    assert here.form(f"/chunk/{key}", [number, offset, file, ("is_final", "true")]).status == 200
    number, offset, _, file = parts(0)
    answer = here.form(f"/chunk/{key}", [number, offset, file, ("is_final", "true")])
    assert require_refusal(answer, 400, "malformed")["field"] == "is_final"
    assert resume(here, key)["missing_chunks"] == [0, 1, 2, 3, 4]


def test_a_session_is_resumed_from_another_device_with_what_is_missing(client: Forms) -> None:
    key = begin(client, client_id="first", title="T")["session_id"]
    for index in (0, 1, 4):
        send(client, key, index)
    found = resume(client, key, client_id="second", last_chunk_id=4)
    assert found.pop("expires_at").endswith("Z")
    assert found == {
        "success": True,
        "session_id": key,
        "upload_url": f"{BASE}/chunk/{key}",
        "chunk_size": CHUNK,
        "total_chunks": TOTAL,
        "websocket_room": f"upload_{key}",
        "client_id": "second",
        "filename": "paper.pdf",
        "file_size": len(CONTENT),
        "total_size": len(CONTENT),
        "uploaded_bytes": 3 * CHUNK,
        "uploaded_chunks": 3,
        "progress_percentage": round(300 * CHUNK / len(CONTENT), 2),
        "missing_chunks": [2, 3, 5],
        "missing_count": 3,
        "next_chunk_id": 2,
        "upload_complete": False,
    }
    for index in found["missing_chunks"]:
        assert send(client, key, index).status == 200
    assert resume(client, key)["upload_complete"] is True
    assert resume(client, key)["client_id"] == "second"
    assert client.json("POST", f"/complete/{key}").document["document"]["title"] == "T"


def test_a_session_outlives_the_server(tmp_path: Path) -> None:
    with running("direct", tmp_path) as served:
        key = begin(Forms(served, BASE))["session_id"]
        send(Forms(served, BASE), key, 5)
        send(Forms(served, BASE), key, 0)
    with running("direct", tmp_path) as served:
        client = Forms(served, BASE)
        (found,) = listed(client)
        assert (found["session_id"], found["uploaded_chunks"]) == (key, 2)
        for index in resume(client, key)["missing_chunks"]:
            send(client, key, index)
        made = client.json("POST", f"/complete/{key}").document["document"]
        assert made["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_resumable_lists_what_is_unfinished(tmp_path: Path) -> None:
    with running("direct", tmp_path) as served:
        client = Forms(served, BASE)
        assert listed(client) == []
        keys = [begin(client, filename=f"{number}.pdf")["session_id"] for number in range(3)]
        send(client, keys[0], 2)
        send_all(client, keys[1])
        send_all(client, keys[2])
        client.json("POST", f"/complete/{keys[2]}")
        found = {each["session_id"]: each for each in listed(client)}
        assert set(found) == set(keys[:2])
        first = found[keys[0]]
        assert first.pop("created_at").endswith("Z")
        assert first == {
            "session_id": keys[0],
            "filename": "0.pdf",
            "total_size": len(CONTENT),
            "uploaded_bytes": CHUNK,
            "uploaded_chunks": 1,
            "total_chunks": TOTAL,
            "progress_percentage": round(100 * CHUNK / len(CONTENT), 2),
            "age_hours": 0.0,
        }
        assert found[keys[1]]["progress_percentage"] == 100.0


def test_a_cancelled_session_is_gone_with_its_bytes(here: Forms) -> None:
    before = len(here.served.files())
    key = begin(here)["session_id"]
    send(here, key, 0)
    answer = here.json("POST", f"/cancel/{key}", {"reason": "not this one"})
    assert answer.document["success"] is True
    assert answer.document["session_id"] == key
    (row,) = here.served.lines_of("uploads", "id = ?", key)
    assert row["reason"] == "not this one"
    assert len(here.served.files()) == before
    require_refusal(send(here, key, 1), 404, "not-found")
    require_refusal(here.json("POST", f"/complete/{key}"), 404, "not-found")
    require_refusal(here.json("POST", "/resume", {"session_id": key}), 404, "not-found")


def test_cancelling_without_a_body_ends_who_writes(here: Forms) -> None:
    key = begin(here)["session_id"]
    body = form(parts(0))
    with contextlib.closing(Line(here.served)) as line:
        fields: dict[str, str | int] = {"Content-Type": FORM, "Content-Length": len(body)}
        line.send_head("POST", f"{BASE}/chunk/{key}", fields)
        line.send(body[:20_000])
        deadline = time.monotonic() + PATIENCE
        while not here.ask("GET", "/memory-stats").document["concurrent_uploads"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert here.ask("POST", f"/cancel/{key}").status == 200
        require_refusal(line.answer(), 409, "taken-over")


def test_a_chunk_sent_again_counts_once_and_must_be_the_same(client: Forms) -> None:
    key = begin(client)["session_id"]
    assert send(client, key, 0).status == 200
    assert send(client, key, 0).document["next_chunk_id"] == 1
    require_refusal(send(client, key, 0, bytes(CHUNK)), 409, "state-conflict")
    send_all(client, key)
    again = send(client, key, TOTAL - 1)
    assert (again.status, again.document["upload_complete"]) == (200, True)
    require_refusal(send(client, key, 2, bytes(CHUNK)), 409, "state-conflict")
    client.json("POST", f"/complete/{key}")
    assert send(client, key, 2).status == 200
    require_refusal(send(client, key, 2, bytes(CHUNK)), 409, "state-conflict")
    assert client.bytes_of(key) == CONTENT


def test_what_is_not_said_has_a_default(here: Forms) -> None:
    session = here.json("POST", "/initiate", {"filename": "my.paper.pdf", "file_size": 9}).document
    assert session["client_id"]
    assert session["chunk_size"] == 2 * KIB * KIB
    key = session["session_id"]
    here.form(f"/chunk/{key}", [("chunk_id", "0"), ("file", b"%PDF-1.7\n")])
    made = here.json("POST", f"/complete/{key}").document["document"]
    assert (made["title"], made["filename"]) == ("my.paper", "my.paper.pdf")


def test_chunk_sizes_follow_the_size_of_the_document(here: Forms) -> None:
    mib = KIB * KIB
    for size, asked, chunk in (
        (5 * mib, 8 * mib, 2 * mib),
        (5 * mib, mib, mib),
        (100 * mib, 20 * mib, 8 * mib),
        (101 * mib, 20 * mib, 20 * mib),
    ):
        assert begin(here, file_size=size, chunk_size=asked)["chunk_size"] == chunk
    assert begin(here, file_size=200 * mib, chunk_size=None)["chunk_size"] == 8 * mib


def test_an_empty_document_needs_no_chunk(here: Forms) -> None:
    session = begin(here, file_size=0)
    assert session["total_chunks"] == 0
    key = session["session_id"]
    answer = here.form(f"/chunk/{key}", [("chunk_id", "0"), ("is_final", "true"), ("file", b"")])
    assert answer.document["upload_complete"] is True
    assert here.json("POST", f"/complete/{key}").document["document"]["file_size"] == 0


def test_a_duplicate_is_found_and_no_chunk_needs_to_travel(here: Forms) -> None:
    content = CONTENT[: 2 * CHUNK] + b"duplicate"
    digest = hashlib.sha256(content).hexdigest()
    size = len(content)
    made = Forms(here.served, "/v1/uploads").ask("POST", "", None, content).document
    session = begin(here, file_size=size, expected_hash=digest, title="Again")
    assert (session["upload_complete"], session["duplicate_of"]) == (True, made["id"])
    key = session["session_id"]
    answer = send(here, key, 0)  # who does not look sends one chunk
    assert (answer.status, answer.document["upload_complete"]) == (200, True)
    document = here.json("POST", f"/complete/{key}").document["document"]
    assert (document["title"], document["sha256"]) == ("Again", digest)
    assert here.bytes_of(document["id"]) == content
    fresh = begin(here, file_size=size, expected_hash=digest, check_duplicates=False)
    assert "duplicate_of" not in fresh
    assert resume(here, fresh["session_id"])["missing_count"] == 3


def test_the_memory_is_told_in_megabytes(tmp_path: Path) -> None:
    with running("direct", tmp_path) as served:
        client = Forms(served, BASE)
        key = begin(client)["session_id"]
        send(client, key, 0)
        told = client.ask("GET", "/memory-stats").document
        assert told.pop("disk_space_available_mb") > 0
        assert told.pop("memory_usage_mb") >= 0
        assert 0 < told.pop("peak_memory_mb") <= 256
        assert told == {
            "active_sessions": 1,
            "temp_files_count": 1,
            "temp_files_size_mb": round(CHUNK / KIB / KIB, 2),
            "concurrent_uploads": 0,
            "memory_limit_mb": 500.0,
            "status": "healthy",
        }


def test_64_mib_in_chunks_pass_in_bounded_memory(house: House) -> None:
    served: Served = house.get("direct", document_uploads=1000)
    client, mib = Forms(served, BASE), KIB * KIB
    block = random.Random(8).randbytes(8 * mib)
    key = begin(client, file_size=64 * mib, chunk_size=8 * mib)["session_id"]
    resident = []
    for index in range(8):
        answer = client.form(
            f"/chunk/{key}",
            [("chunk_id", str(index)), ("chunk_offset", str(index * 8 * mib)), ("file", block)],
        )
        assert answer.status == 200, answer.body
        memory = Forms(served, "/api/v1").ask("GET", "/server").document["memory"]
        resident.append(memory["rss"] / mib)
    assert client.json("POST", f"/complete/{key}").status == 200
    assert client.ask("GET", "/memory-stats").document["peak_memory_mb"] <= 8
    assert max(resident) - resident[0] < 48, resident  # the test itself holds two forms of 8 MiB
