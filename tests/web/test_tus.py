"""tus 1.0.0, its core, on every server and with both framings of bodies."""

from __future__ import annotations

import pytest

from tests.web.running import House, Served
from tests.web.talk import CHUNK, TUS, Line, Tus, require_problem

CONTENT = bytes(range(256)) * 1000


# Core protocol


def test_an_upload_in_two_chunks_becomes_an_object_of_the_same_bytes(tus: Tus) -> None:
    path = tus.new(len(CONTENT))
    first = tus.patch(path, 0, CONTENT[:100_000])
    assert (first.status, first.number("upload-offset"), first.body) == (204, 100_000, b"")
    assert tus.offset(path) == 100_000
    last = tus.patch(path, 100_000, CONTENT[100_000:])
    assert (last.status, last.number("upload-offset")) == (204, len(CONTENT))
    assert tus.ask("GET", path).body == CONTENT


def test_head_tells_offset_length_and_metadata_and_must_not_be_stored(tus: Tus) -> None:
    sent = "filename  , name   " + "cmVwb3J0Lmlzbw==" + ",is_confidential"
    sent = sent.replace("filename  ,", "empty ,")
    path = tus.new(1000, upload_metadata=sent)
    answer = tus.head(path)
    assert answer.status == 200
    assert answer.fields["cache-control"] == "no-store"
    assert answer.number("upload-offset") == 0
    assert answer.number("upload-length") == 1000
    assert answer.fields["upload-metadata"] == sent
    assert answer.fields.get("content-length", "0") == "0"


def test_a_complete_upload_still_answers_head_with_its_offset(tus: Tus) -> None:
    path = tus.put(CONTENT)
    answer = tus.head(path)
    assert answer.number("upload-offset") == answer.number("upload-length") == len(CONTENT)


def test_an_empty_chunk_at_the_offset_changes_nothing(tus: Tus) -> None:
    path = tus.new(10, b"abc")
    answer = tus.patch(path, 3, b"")
    assert (answer.status, answer.number("upload-offset")) == (204, 3)


def test_the_last_chunk_repeated_is_answered_like_the_first_time(tus: Tus) -> None:
    path = tus.put(CONTENT)
    answer = tus.patch(path, len(CONTENT), b"")
    assert (answer.status, answer.number("upload-offset")) == (204, len(CONTENT))


def test_bytes_for_a_complete_upload_are_refused(tus: Tus) -> None:
    path = tus.put(CONTENT)
    answer = tus.patch(path, len(CONTENT), b"more")
    require_problem(answer, 413 if tus.chunked else 409)
    assert tus.ask("GET", path).body == CONTENT


@pytest.mark.parametrize("offset", [0, 4, 9])
def test_another_offset_is_a_conflict_that_names_the_true_one(tus: Tus, offset: int) -> None:
    path = tus.new(10, b"abc")
    answer = tus.patch(path, offset, b"x")
    document = require_problem(answer, 409, "offset-conflict")
    assert answer.number("upload-offset") == document["offset"] == 3
    assert tus.offset(path) == 3


def test_a_chunk_of_another_media_type_is_refused(tus: Tus) -> None:
    path = tus.new(10)
    for kind in ("application/octet-stream", "", "text/plain"):
        answer = tus.patch(path, 0, b"abc", Content_Type=kind)
        require_problem(answer, 415, "media-type")
    answer = tus.ask("PATCH", path, {**TUS, "Upload-Offset": 0}, b"abc")
    require_problem(answer, 415, "media-type")
    assert tus.offset(path) == 0


@pytest.mark.parametrize(
    "kind", ["Application/Offset+Octet-Stream", "application/offset+octet-stream; charset=x"]
)
def test_case_and_parameters_of_the_media_type_do_not_matter(tus: Tus, kind: str) -> None:
    path = tus.new(3)
    assert tus.patch(path, 0, b"abc", Content_Type=kind).status == 204


def test_a_chunk_without_offset_is_refused(tus: Tus) -> None:
    path = tus.new(10)
    document = require_problem(tus.ask("PATCH", path, CHUNK, b"abc"), 400, "malformed")
    assert document["field"] == "Upload-Offset"


def test_more_bytes_than_the_upload_has_left_are_refused(tus: Tus) -> None:
    path = tus.new(10, b"abc")
    require_problem(tus.patch(path, 3, b"12345678"), 413, "too-large")
    assert tus.offset(path) <= 10
    assert tus.patch(path, 3, b"1234567").status == 204
    assert tus.ask("GET", path).body == b"abc1234567"


def test_unknown_uploads_are_not_found(tus: Tus) -> None:
    for path in ("/files/" + "0" * 31, "/files/x", "/files/" + "a" * 65):
        assert tus.ask("HEAD", path, TUS).status == 404
        require_problem(tus.patch(path, 0, b"abc"), 404, "not-found")
        require_problem(tus.ask("DELETE", path, TUS), 404, "not-found")
        require_problem(tus.ask("GET", path), 404, "not-found")


# Versions


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0", "1.0.1", "2.0.0", "1.0.0, 1.0.0", ""])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_another_version_is_refused_and_nothing_is_done(
    direct: Served, method: str, version: str | None
) -> None:
    tus = Tus(direct)
    path = tus.new(10)
    before = direct.rows()
    said = {} if version is None else {"Tus-Resumable": version}
    fields = {**CHUNK, "Upload-Offset": 0, "Upload-Length": 10}
    del fields["Tus-Resumable"]
    body = None if method == "DELETE" else b"abc"
    target = "/files/" if method == "POST" else path
    answer = tus.ask(method, target, {**fields, **said}, body)
    require_problem(answer, 412, "version")
    assert answer.fields["tus-version"] == "1.0.0"
    assert direct.rows() == before


def test_head_in_another_version_is_refused(tus: Tus) -> None:
    path = tus.new(10)
    answer = tus.ask("HEAD", path, {"Tus-Resumable": "0.2.2"})
    assert (answer.status, answer.fields["tus-version"]) == (412, "1.0.0")


def test_options_and_get_need_no_version(tus: Tus) -> None:
    path = tus.put(CONTENT)
    assert tus.ask("OPTIONS", path).status == 200
    assert tus.ask("OPTIONS", path, {"Tus-Resumable": "9.9.9"}).status == 200
    assert tus.ask("GET", path, {"Tus-Resumable": "9.9.9"}).status == 200


def test_every_answer_below_files_says_the_version(tus: Tus) -> None:
    path = tus.new(10)
    answers = [
        tus.ask("OPTIONS", "/files"),
        tus.create(5),
        tus.head(path),
        tus.patch(path, 0, b"abc"),
        tus.patch(path, 0, b"abc"),
        tus.patch(path, 3, b"abc", Content_Type="text/plain"),
        tus.ask("PATCH", path, {}, b"abc"),
        tus.ask("GET", path),
        tus.ask("GET", "/files/nothing"),
        tus.ask("PUT", path, TUS),
        tus.ask("HEAD", path, {}, host="example.org"),
        tus.ask("DELETE", path, TUS),
        tus.ask("DELETE", path, TUS),
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == [200, 201, 200, 204, 409, 415, 412, 409, 404, 405, 403, 204, 404]
    assert {answer.fields.get("tus-resumable") for answer in answers} == {"1.0.0"}


# Discovery


@pytest.mark.parametrize("path", ["/files", "/files/", "/files/" + "0" * 31, "/files/anything"])
def test_options_tells_what_is_offered_to_everybody(
    house: House, served: Served, path: str
) -> None:
    answer = Tus(served).ask("OPTIONS", path, {"Origin": "https://example.org"}, host="example.org")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.fields["tus-version"] == "1.0.0"
    offered = set(answer.fields["tus-extension"].split(","))
    assert {"creation", "creation-with-upload", "creation-defer-length"} <= offered
    assert {"expiration", "termination"} <= offered
    assert "tus-max-size" not in answer.fields


def test_a_limit_is_told_and_kept(house: House, tus: Tus) -> None:
    limited = Tus(house.get(tus.served.kind, max_length=1000), chunked=tus.chunked)
    assert limited.ask("OPTIONS", "/files/").number("tus-max-size") == 1000
    require_problem(limited.create(1001), 413, "too-large")
    require_problem(limited.create(2000, b"abc"), 413, "too-large")
    path = limited.new(None)
    require_problem(limited.patch(path, 0, b"x" * 1001), 413, "too-large")
    require_problem(limited.patch(path, 0, b"", Upload_Length=1001), 413, "too-large")
    assert limited.patch(path, 0, b"x" * 1000, Upload_Length=1000).status == 204


# Takeover


def test_head_ends_a_chunk_that_is_on_its_way_and_tells_all_that_it_brought(tus: Tus) -> None:
    path = tus.new(1000)
    line = Line(tus.served)
    line.send_head("PATCH", path, {**CHUNK, "Upload-Offset": 0, "Content-Length": 1000})
    line.send(b"x" * 100)
    tus.offset_reaches(path, 100)
    assert tus.offset(path) == 100
    require_problem(line.answer(), 409, "taken-over")
    line.close()
    assert tus.patch(path, 100, b"y" * 900).status == 204


# Methods and addresses


@pytest.mark.parametrize("method", ["PUT", "TRACE", "CONNECT", "PROPFIND", "POST"])
def test_other_methods_are_refused_with_those_that_are_allowed(direct: Served, method: str) -> None:
    tus = Tus(direct)
    path = tus.new(10)
    answer = tus.ask(method, path, TUS)
    require_problem(answer, 405, "method")
    assert answer.fields["allow"] == "OPTIONS, GET, HEAD, PATCH, DELETE"


def test_slashes_around_an_address_do_not_matter(tus: Tus) -> None:
    path = tus.new(10)
    assert tus.offset(path + "/") == 0


def test_many_requests_go_over_one_connection(tus: Tus) -> None:
    line = Line(tus.served)
    path = line.ask("POST", "/files/", {**TUS, "Upload-Length": 30}).fields["location"]
    for offset in range(0, 30, 3):
        fields = {**CHUNK, "Upload-Offset": offset}
        assert line.ask("PATCH", path, fields, b"abc", chunked=tus.chunked).status == 204
        assert line.ask("HEAD", path, TUS).number("upload-offset") == offset + 3
    assert line.ask("GET", path).body == b"abc" * 10
    line.close()
