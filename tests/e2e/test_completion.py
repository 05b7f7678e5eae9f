"""Who completes an upload that several dialects have spoken of, and what each sees of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.dialects import DIALECTS
from tests.web.forming import Forms, Part
from tests.web.ranging import Ranger
from tests.web.rufh_talk import Rufh
from tests.web.running import Served, running
from tests.web.sessions import listed
from tests.web.talk import CHUNK, TUS, Tus, metadata, require_problem
from tests.web.tokens import token, write_tokens
from towpath.protocol import ranges

CONTENT = b"%PDF-1.7 and so on, " * 1000
SIZE = len(CONTENT)
WAITING = ("rufh", "documents")  # for their own word
DOCUMENTS = "/api/documents/streaming"
STREAMING = "/api/streaming/upload"
DOCUMENT: list[Part] = [("chunk_id", "0"), ("file", CONTENT)]


def chunk(key: str) -> list[Part]:
    return [("uploadId", key), ("chunkIndex", "0"), ("chunk", CONTENT)]


def begun(served: Served, dialect: str) -> str:
    return DIALECTS[dialect](served).begin(SIZE, "paper.pdf")


def filled(served: Served, by: str, key: str) -> None:
    DIALECTS[by](served).carry(key, CONTENT)


def state(served: Served, key: str) -> str:
    found: str = Tus(served).ask("GET", f"/api/v1/uploads/{key}").document["state"]
    return found


@pytest.mark.parametrize("filler", DIALECTS)
@pytest.mark.parametrize("creator", DIALECTS)
def test_who_fills_an_upload_decides_whether_it_is_complete(
    direct: Served, creator: str, filler: str
) -> None:
    key = begun(direct, creator)
    filled(direct, filler, key)
    assert state(direct, key) == ("filled" if filler in WAITING else "complete")
    for dialect in DIALECTS.values():
        assert dialect(direct).knows(key)
    assert state(direct, key) == ("filled" if filler in WAITING else "complete")


@pytest.mark.parametrize("ender", DIALECTS)
@pytest.mark.parametrize("filler", WAITING)
def test_what_waits_is_completed_by_the_word_of_any_dialect(
    direct: Served, filler: str, ender: str
) -> None:
    key = begun(direct, "tus")
    filled(direct, filler, key)
    DIALECTS[ender](direct).finish(key, CONTENT)
    assert state(direct, key) == "complete"
    assert Tus(direct).ask("GET", f"/files/{key}").body == CONTENT


@pytest.mark.parametrize("filler", WAITING)
def test_what_waits_still_waits_after_a_restart(tmp_path: Path, filler: str) -> None:
    with running("direct", tmp_path) as served:
        key = begun(served, "tus")
        filled(served, filler, key)
    with running("direct", tmp_path) as served:
        assert state(served, key) == "filled"
        DIALECTS["documents"](served).finish(key, CONTENT)


@pytest.mark.parametrize("creator", DIALECTS)
def test_a_delete_without_a_word_of_a_dialect_cancels_any_upload(
    direct: Served, creator: str
) -> None:
    key = begun(direct, creator)
    assert Tus(direct).ask("DELETE", f"/files/{key}").status == 204
    for dialect in DIALECTS.values():
        assert not dialect(direct).knows(key)


@pytest.mark.parametrize("creator", DIALECTS)
def test_a_stranger_finds_the_upload_in_no_dialect(tmp_path: Path, creator: str) -> None:
    with running("direct", tmp_path, tokens=write_tokens(tmp_path / "tokens")) as served:
        key = begun_by_alice(served, creator)
        known: dict[str, str | int] = {"Authorization": f"Bearer {token('bob')}"}
        said = {**Rufh(served, 8).part(0, complete=True), **known}
        rufh = Rufh(served, 8)
        assert rufh.ask("HEAD", f"/files/{key}", {**rufh.said(), **known}).status == 404
        assert rufh.ask("PATCH", f"/files/{key}", said, CONTENT).status == 404
        assert rufh.ask("DELETE", f"/files/{key}", known).status == 404
        assert rufh.ask("HEAD", f"/files/{key}", known).status == 404
        tus = Tus(served, token=token("bob"))
        assert tus.head(f"/files/{key}").status == 404
        assert tus.patch(f"/files/{key}", 0, CONTENT).status == 404
        assert tus.ask("DELETE", f"/files/{key}", TUS).status == 404
        documents = Forms(served, DOCUMENTS, "bob")
        assert documents.form(f"/chunk/{key}", DOCUMENT).status == 404
        for call in (f"/complete/{key}", f"/cancel/{key}"):
            assert documents.json("POST", call).status == 404
        assert documents.json("POST", "/resume", {"session_id": key}).status == 404
        streaming = Forms(served, STREAMING, "bob")
        assert streaming.ask("GET", f"/status?uploadId={key}").status == 404
        value = {"uploadId": key, "action": "pause"}
        assert streaming.json("PUT", "/status", value).status == 404
        assert streaming.form("/chunk", chunk(key)).status == 404
        ranger = Ranger(served, who="bob")
        assert ranger.do(ranges.Look(key=key)).status == 404
        assert ranger.put(key, 0, CONTENT).status == 404
        assert ranger.complete(key).status == 404
        assert ranger.cancel(key).status == 404
        assert Tus(served, token=token("alice")).offset(f"/files/{key}") == 0


def begun_by_alice(served: Served, dialect: str) -> str:
    tus = Tus(served, token=token("alice"))
    match dialect:
        case "tus":
            return tus.new(SIZE).rpartition("/")[2]
        case "rufh":
            said = {**Rufh(served, 8).said(complete=False), "Upload-Length": SIZE}
            return tus.ask("POST", "/files/", said).fields["location"].rpartition("/")[2]
        case "documents":
            value = {"filename": "a", "file_size": SIZE}
            answer = Forms(served, DOCUMENTS, "alice").json("POST", "/initiate", value)
            return str(answer.document["session_id"])
        case "ranges":
            return Ranger(served, who="alice").new(SIZE)
    value = {"fileName": "a", "fileSize": SIZE, "mimeType": ""}
    answer = Forms(served, STREAMING, "alice").json("POST", "/initialize", value)
    return str(answer.document["uploadId"])


# What a dialect is given of an upload that it did not create


def test_a_chunk_has_the_size_that_the_dialect_gives_to_such_a_file(direct: Served) -> None:
    long = 150 * 1024 * 1024
    key = Tus(direct).new(long, Upload_Metadata=metadata(filename="a/b.pdf", filetype="a/pdf"))
    key = key.rpartition("/")[2]
    session = Forms(direct, DOCUMENTS).json("POST", "/resume", {"session_id": key}).document
    assert (session["chunk_size"], session["total_chunks"]) == (8 * 1024 * 1024, 19)
    assert (session["filename"], session["client_id"]) == ("b.pdf", "")
    status = Forms(direct, STREAMING).ask("GET", f"/status?uploadId={key}").document
    assert (status["chunkSize"], status["totalChunks"]) == (10 * 1024 * 1024, 15)
    assert (status["fileName"], status["mimeType"]) == ("b.pdf", "a/pdf")


def test_what_one_dialect_keeps_with_an_upload_is_not_told_by_another(direct: Served) -> None:
    tus, documents = Tus(direct), Forms(direct, DOCUMENTS)
    streaming = Forms(direct, STREAMING)
    path = tus.new(SIZE, Upload_Concat="partial", Upload_Metadata="note aGVsbG8=")
    key = path.rpartition("/")[2]
    said = {"session_id": key, "client_id": "phone"}
    assert documents.json("POST", "/resume", said).document["client_id"] == "phone"
    streaming.json("PUT", "/status", {"uploadId": key, "action": "pause"})
    head = tus.head(path)
    assert head.fields["upload-concat"] == "partial"
    assert head.fields["upload-metadata"] == "note aGVsbG8="
    assert documents.json("POST", "/resume", {"session_id": key}).document["client_id"] == "phone"
    assert streaming.ask("GET", f"/status?uploadId={key}").document["status"] == "paused"
    for creator in ("documents", "streaming"):
        head = tus.head(f"/files/{begun(direct, creator)}")
        assert not {"upload-concat", "upload-metadata"} & head.fields.keys()


def test_a_pause_binds_the_dialect_that_knows_pauses(direct: Served) -> None:
    key = begun(direct, "streaming")
    value = {"uploadId": key, "action": "pause"}
    assert Forms(direct, STREAMING).json("PUT", "/status", value).status == 200
    with pytest.raises(AssertionError, match="paused"):
        filled(direct, "streaming", key)
    filled(direct, "tus", key)
    assert state(direct, key) == "complete"


def test_sessions_of_documents_are_listed_whoever_began_them(direct: Served) -> None:
    keys = {begun(direct, each) for each in DIALECTS}
    part = Tus(direct).new(SIZE, Upload_Concat="partial").rpartition("/")[2]
    found = {each["session_id"] for each in listed(Forms(direct, DOCUMENTS))}
    assert keys <= found
    assert part not in found


@pytest.mark.parametrize("begins_with", ["tus", "rufh"])
def test_a_length_is_needed_where_chunks_have_places(direct: Served, begins_with: str) -> None:
    tus, rufh = Tus(direct), Rufh(direct, 8)
    path = tus.new(None) if begins_with == "tus" else rufh.new()
    key = path.rpartition("/")[2]
    streaming = Forms(direct, STREAMING)
    require_problem(streaming.ask("GET", f"/status?uploadId={key}"), 409, "state-conflict")
    require_problem(streaming.form("/chunk", chunk(key)), 409, "state-conflict")
    answer = tus.ask("PATCH", path, {**CHUNK, "Upload-Offset": 0, "Upload-Length": SIZE}, b"")
    assert answer.status == 204
    assert streaming.form("/chunk", chunk(key)).document["complete"]


def test_what_is_made_of_parts_takes_no_chunk_in_any_dialect(direct: Served) -> None:
    tus = Tus(direct)
    part = tus.new(SIZE, Upload_Concat="partial")
    answer = tus.ask("POST", "/files/", {**TUS, "Upload-Concat": f"final;{part}"})
    key = answer.fields["location"].rpartition("/")[2]
    assert Forms(direct, DOCUMENTS).form(f"/chunk/{key}", DOCUMENT).status == 403
    assert Forms(direct, STREAMING).form("/chunk", chunk(key)).status == 403
    assert Rufh(direct, 8).append(f"/files/{key}", 0, CONTENT, complete=True).status == 403
    assert Ranger(direct).put(key, 0, CONTENT).status == 403
    filled(direct, "documents", part.rpartition("/")[2])
    filled(direct, "tus", part.rpartition("/")[2])
    assert Rufh(direct, 8).state(f"/files/{key}") == (SIZE, True)
