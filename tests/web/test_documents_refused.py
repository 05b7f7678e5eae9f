"""/api/documents/streaming: what is refused, with which words, and that nothing is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.forming import Forms
from tests.web.running import House, running
from tests.web.sessions import (
    BASE,
    CHUNK,
    begin,
    listed,
    parts,
    require_refusal,
    resume,
    send,
    send_all,
)
from tests.web.talk import Tus
from tests.web.tokens import write_tokens


@pytest.fixture
def here(house: House) -> Forms:
    return Forms(house.get("direct", document_uploads=1000), BASE)


def test_a_session_with_missing_chunks_cannot_be_completed(here: Forms) -> None:
    key = begin(here)["session_id"]
    send(here, key, 0)
    require_refusal(here.json("POST", f"/complete/{key}"), 409, "state-conflict")
    assert send(here, key, 1).status == 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [(bytes(CHUNK + 1), 413, "too-large"), (bytes(CHUNK - 1), 400, "malformed")],
)
def test_a_chunk_of_another_size_keeps_nothing(
    here: Forms, data: bytes, status: int, code: str
) -> None:
    key = begin(here)["session_id"]
    require_refusal(send(here, key, 0, data), status, code)
    assert resume(here, key)["uploaded_bytes"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chunk_id": None}, "chunk_id"),
        ({"chunk_id": "-1"}, "chunk_id"),
        ({"chunk_id": "6", "chunk_offset": None}, "chunk_id"),
        ({"chunk_offset": "7"}, "chunk_offset"),
        ({"chunk_offset": "x"}, "chunk_offset"),
        ({"is_final": "true"}, "is_final"),
        ({"is_final": "perhaps"}, "is_final"),
        ({"checksum": "abc"}, "checksum"),
        ({"file": None}, "file"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(
    here: Forms, change: dict[str, str | None], field: str
) -> None:
    key = begin(here)["session_id"]
    known: dict[str, Any] = {"checksum": None, **{part[0]: part[1] for part in parts(0)}}
    said = [(name, value) for name, value in {**known, **change}.items() if value is not None]
    answer = here.form(f"/chunk/{key}", said)
    assert require_refusal(answer, 400, "malformed")["field"] == field
    assert resume(here, key)["uploaded_bytes"] == 0


def test_a_chunk_that_is_no_form_is_refused(here: Forms) -> None:
    key = begin(here)["session_id"]
    answer = here.ask("POST", f"/chunk/{key}", {"Content-Type": "application/pdf"}, b"x")
    assert require_refusal(answer, 400, "malformed")["field"] == "Content-Type"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filename": None}, "filename"),
        ({"filename": "../x.pdf"}, "filename"),
        ({"file_size": None}, "file_size"),
        ({"file_size": "12e3"}, "file_size"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"chunk_size": "x"}, "chunk_size"),
        ({"client_id": ["x"]}, "client_id"),
        ({"title": "x" * 501}, "title"),
        ({"check_duplicates": "perhaps"}, "check_duplicates"),
        ({"auto_build_index": 7}, "auto_build_index"),
        ({"expected_hash": "abc"}, "expected_hash"),
    ],
)
def test_what_is_wrong_with_an_initiation_is_named(
    here: Forms, change: dict[str, Any], field: str
) -> None:
    said = {"filename": "a.pdf", "file_size": 1, **change}
    answer = here.json("POST", "/initiate", said)
    assert require_refusal(answer, 400, "malformed")["field"] == field


def test_a_file_that_is_not_the_announced_one_is_refused_and_gone(here: Forms) -> None:
    key = begin(here, expected_hash="0" * 64)["session_id"]
    send_all(here, key)
    require_refusal(here.json("POST", f"/complete/{key}"), 422, "digest-mismatch")
    require_refusal(here.json("POST", f"/complete/{key}"), 409, "state-conflict")


def test_a_document_above_the_limit_is_refused_and_other_routes_are_not_bound(
    tmp_path: Path,
) -> None:
    with running("direct", tmp_path, document_length=1000) as served:
        answer = Forms(served, BASE).json("POST", "/initiate", {"filename": "a", "file_size": 1001})
        require_refusal(answer, 413, "too-large")
        assert Forms(served, "/v1/uploads").ask("POST", "", None, bytes(5000)).status == 201


def test_no_more_documents_move_at_once_than_may(tmp_path: Path) -> None:
    with running("direct", tmp_path, document_uploads=2) as served:
        client = Forms(served, BASE)
        keys = [begin(client)["session_id"] for _ in range(3)]
        for key in keys[:2]:
            assert send(client, key, 0).status == 200
        answer = send(client, keys[2], 0)
        require_refusal(answer, 503, "limit-reached")
        assert answer.number("retry-after") > 0
        said = {"filename": "b.pdf", "file_size": 1}
        require_refusal(client.json("POST", "/initiate", said), 503, "limit-reached")
        send_all(client, keys[0])
        assert send(client, keys[2], 0).status == 200


def test_a_session_is_its_callers_alone(tmp_path: Path) -> None:
    with running("direct", tmp_path, tokens=write_tokens(tmp_path / "tokens")) as served:
        alice, bob = Forms(served, BASE, "alice"), Forms(served, BASE, "carol")
        key = begin(alice)["session_id"]
        require_refusal(send(bob, key, 0), 404, "not-found")
        require_refusal(bob.json("POST", "/resume", {"session_id": key}), 404, "not-found")
        require_refusal(bob.json("POST", f"/cancel/{key}"), 404, "not-found")
        require_refusal(bob.json("POST", f"/complete/{key}"), 404, "not-found")
        assert listed(bob) == []
        require_refusal(Forms(served, BASE).ask("GET", "/resumable"), 401, "unauthenticated")
        reader = Forms(served, BASE, "reader")
        require_refusal(reader.json("POST", "/initiate", {}), 403, "forbidden")
        assert send(alice, key, 0).status == 200


def test_an_upload_without_a_length_is_no_session_until_it_has_one(here: Forms) -> None:
    tus = Tus(here.served)
    path = tus.new(None)
    key = path.rpartition("/")[2]
    require_refusal(send(here, key, 0), 409, "state-conflict")
    require_refusal(here.json("POST", "/resume", {"session_id": key}), 409, "state-conflict")
    require_refusal(here.json("POST", f"/complete/{key}"), 409, "state-conflict")
    assert key not in {each["session_id"] for each in listed(here)}
    assert tus.patch(path, 0, b"", Upload_Length=10).status == 204
    assert resume(here, key)["missing_chunks"] == [0]
    assert here.json("POST", f"/cancel/{key}").status == 200
    assert tus.head(path).status == 404


def test_other_addresses_and_methods_are_told_what_is_here(here: Forms) -> None:
    require_refusal(here.ask("GET", "/nothing"), 404, "not-found")
    answer = here.ask("GET", "/initiate")
    require_refusal(answer, 405, "method")
    assert answer.fields["allow"] == "POST"
