"""tus 1.0.0, the extensions that are offered, on every server and with both framings of bodies."""

from __future__ import annotations

import hashlib
import socket
import time

import pytest

from tests.web.running import PATIENCE, House, Served
from tests.web.talk import CHUNK, TUS, Line, Tus, metadata, require_date, require_problem

CONTENT = bytes(range(256)) * 1000


# Creation


@pytest.mark.parametrize("where", ["/files", "/files/"])
def test_creation_answers_where_the_upload_lives(tus: Tus, where: str) -> None:
    answer = tus.ask("POST", where, {**TUS, "Upload-Length": 100})
    assert answer.status == 201
    assert answer.fields["location"].startswith("/files/")
    assert answer.number("upload-offset") == 0
    assert tus.offset(answer.fields["location"]) == 0


def test_no_two_uploads_share_an_address(tus: Tus) -> None:
    assert len({tus.new(1) for _ in range(20)}) == 20


@pytest.mark.parametrize("value", ["", "0", "2", "true", "11", "+1", "1, 1"])
def test_defer_length_has_one_value(tus: Tus, value: str) -> None:
    answer = tus.ask("POST", "/files/", {**TUS, "Upload-Defer-Length": value})
    assert require_problem(answer, 400)["field"] == "Upload-Defer-Length"


def test_the_length_is_said_or_deferred_but_not_both_and_not_neither(tus: Tus) -> None:
    both = {**TUS, "Upload-Length": 10, "Upload-Defer-Length": 1}
    require_problem(tus.ask("POST", "/files/", both), 400, "malformed")
    require_problem(tus.ask("POST", "/files/", TUS), 400, "malformed")


def test_an_upload_of_no_bytes_is_complete_once_it_is_created(tus: Tus) -> None:
    path = tus.new(0, upload_metadata=metadata(filename=f"empty-{time.monotonic_ns()}"))
    answer = tus.ask("GET", path)
    assert (answer.status, answer.body) == (200, b"")
    assert tus.patch(path, 0, b"").status == 204
    told = tus.served.lines_of("outbox", "subject = ?", path.rpartition("/")[2])
    assert [note["kind"] for note in told] == ["completed"]


def test_the_content_type_of_a_creation_without_body_does_not_matter(tus: Tus) -> None:
    for kind in ("text/html", "application/offset+octet-stream", ""):
        fields = {**TUS, "Upload-Length": 1, "Content-Type": kind, "Content-Length": 0}
        assert tus.ask("POST", "/files/", fields).status == 201


# Creation with upload


def test_bytes_may_come_with_the_creation(tus: Tus) -> None:
    answer = tus.create(len(CONTENT), CONTENT[:1000])
    assert (answer.status, answer.number("upload-offset")) == (201, 1000)
    assert tus.patch(answer.fields["location"], 1000, CONTENT[1000:]).status == 204


def test_the_whole_may_come_with_the_creation(tus: Tus) -> None:
    answer = tus.create(len(CONTENT), CONTENT, upload_metadata=metadata(name="a/whole.bin"))
    assert (answer.status, answer.number("upload-offset")) == (201, len(CONTENT))
    assert answer.fields["repr-digest"].startswith("crc64nvme=:")
    assert answer.fields["upload-name"].startswith("a/whole")
    assert tus.ask("GET", answer.fields["location"]).body == CONTENT


def test_a_creation_with_a_body_of_another_type_creates_nothing(direct: Served) -> None:
    before = direct.everything()
    fields = {**TUS, "Upload-Length": 10, "Content-Type": "application/octet-stream"}
    require_problem(Tus(direct).ask("POST", "/files/", fields, b"abc"), 415, "media-type")
    assert direct.everything() == before


def test_a_creation_with_too_long_a_body_is_refused(tus: Tus) -> None:
    answer = tus.create(3, b"abcdef")
    require_problem(answer, 413, "too-large")
    if tus.chunked:  # it existed before too much had come
        path = answer.fields["location"]
        assert tus.patch(path, tus.offset(path), b"abc"[tus.offset(path) :]).status == 204


def test_a_creation_that_is_cut_off_keeps_the_bytes_that_came(tus: Tus) -> None:
    key = metadata(marker=f"cut{time.monotonic_ns()}")
    line = Line(tus.served)
    fields = {**CHUNK, "Upload-Length": 1000, "Upload-Metadata": key, "Content-Length": 1000}
    line.send_head("POST", "/files/", fields)
    line.send(b"x" * 400)
    path = f"/files/{_created(tus.served, key)}"
    tus.offset_reaches(path, 400)
    line.close()
    assert tus.offset(path) == 400
    assert tus.patch(path, 400, b"y" * 600).status == 204
    assert tus.ask("GET", path).body == b"x" * 400 + b"y" * 600


def test_a_creation_whose_body_falls_silent_is_told_its_address(house: House, tus: Tus) -> None:
    hasty = Tus(house.get(tus.served.kind, idle_seconds=1.0))
    line = Line(hasty.served)
    line.send_head("POST", "/files/", {**CHUNK, "Upload-Length": 1000, "Content-Length": 1000})
    line.send(b"x" * 400)
    answer = line.answer()
    require_problem(answer, 408, "too-slow")
    line.close()
    assert hasty.offset(answer.fields["location"]) == 400


def test_a_creation_that_says_too_early_that_no_more_comes_is_told_its_address(
    direct: Served,
) -> None:
    line = Line(direct)
    line.send_head("POST", "/files/", {**CHUNK, "Upload-Length": 1000, "Content-Length": 1000})
    line.send(b"x" * 400)
    line.socket.shutdown(socket.SHUT_WR)
    answer = line.answer()
    require_problem(answer, 400, "cut")
    line.close()
    assert Tus(direct).offset(answer.fields["location"]) == 400


def _created(served: Served, key: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (found := served.lines_of("uploads", "metadata = ?", key)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    identity: str = found[0]["id"]
    return identity


def test_a_creation_whose_body_is_not_taken_now_is_told_its_address(house: House, tus: Tus) -> None:
    busy = Tus(house.get(tus.served.kind, uploads=0), chunked=tus.chunked)
    answer = busy.create(3, b"abc")
    require_problem(answer, 503, "limit-reached")
    assert answer.number("retry-after") > 0
    assert busy.offset(answer.fields["location"]) == 0


def test_a_creation_that_waits_for_100_continue_is_told_to_go_on(tus: Tus) -> None:
    line = Line(tus.served)
    fields = {**CHUNK, "Upload-Length": 3, "Content-Length": 3, "Expect": "100-continue"}
    line.send_head("POST", "/files/", fields)
    status, _ = line.head()
    assert status == 100
    line.send(b"abc")
    assert line.answer().status == 201
    line.close()


def test_a_creation_that_is_refused_is_refused_before_its_body_is_asked_for(tus: Tus) -> None:
    line = Line(tus.served)
    fields = {**CHUNK, "Upload-Length": -3, "Content-Length": 3, "Expect": "100-continue"}
    line.send_head("POST", "/files/", fields)
    answer = line.answer()
    assert answer.interim == ()
    require_problem(answer, 400, "malformed")
    line.close()


# Deferred length


def test_a_deferred_length_is_said_by_any_later_chunk(tus: Tus) -> None:
    path = tus.new(None)
    answer = tus.head(path)
    assert answer.fields["upload-defer-length"] == "1"
    assert "upload-length" not in answer.fields
    assert tus.patch(path, 0, b"abc").status == 204
    assert tus.patch(path, 3, b"def", Upload_Length=9).status == 204
    answer = tus.head(path)
    assert "upload-defer-length" not in answer.fields
    assert answer.number("upload-length") == 9
    assert tus.patch(path, 6, b"ghi").status == 204
    assert tus.ask("GET", path).body == b"abcdefghi"


def test_an_empty_chunk_may_say_the_length_and_so_complete_the_upload(tus: Tus) -> None:
    path = tus.new(None, b"abc")
    assert tus.patch(path, 3, b"", Upload_Length=3).status == 204
    assert tus.ask("GET", path).body == b"abc"


def test_an_empty_chunk_may_say_the_length_before_anything_came(tus: Tus) -> None:
    path = tus.new(None)
    assert tus.patch(path, 0, b"", Upload_Length=5).status == 204
    assert tus.head(path).number("upload-length") == 5
    assert tus.patch(path, 0, b"abcde").status == 204
    assert tus.ask("GET", path).body == b"abcde"


def test_a_length_that_was_said_does_not_change(tus: Tus) -> None:
    path = tus.new(10)
    assert tus.patch(path, 0, b"", Upload_Length=10).status == 204
    require_problem(tus.patch(path, 0, b"abc", Upload_Length=11), 400)
    require_problem(tus.patch(path, 0, b"", Upload_Length=9), 400)
    assert tus.head(path).number("upload-length") == 10


def test_a_length_below_what_has_come_is_refused(tus: Tus) -> None:
    path = tus.new(None, b"abcdef")
    require_problem(tus.patch(path, 6, b"", Upload_Length=5), 400)
    assert tus.head(path).fields["upload-defer-length"] == "1"


# Expiration


def test_the_expiry_is_a_date_of_http_on_creation_chunk_and_head(tus: Tus) -> None:
    now = time.time()
    created = tus.create(10)
    path = created.fields["location"]
    for answer in (created, tus.patch(path, 0, b"abc"), tus.head(path)):
        assert now + 23 * 3600 < require_date(answer.fields["upload-expires"]) < now + 25 * 3600


def test_a_complete_upload_does_not_expire(tus: Tus) -> None:
    assert "upload-expires" not in tus.head(tus.put(CONTENT)).fields


def test_an_expired_upload_is_gone(house: House, tus: Tus) -> None:
    brief = Tus(house.get(tus.served.kind, lifetime=0.001), chunked=tus.chunked)
    path = brief.new(10)
    assert brief.head(path).status == 410
    require_problem(brief.patch(path, 0, b"abc"), 410, "expired")
    require_problem(brief.ask("GET", path), 410, "expired")


# Termination


def test_a_terminated_upload_is_gone_with_its_bytes(tus: Tus) -> None:
    path = tus.new(10, b"abc")
    key = path.rpartition("/")[2]
    assert any(key in name for name in tus.served.files())
    answer = tus.ask("DELETE", path, TUS)
    assert (answer.status, answer.body) == (204, b"")
    assert tus.head(path).status in {404, 410}
    assert tus.patch(path, 3, b"abc").status in {404, 410}
    assert tus.ask("DELETE", path, TUS).status in {404, 410}
    assert not any(key in name for name in tus.served.files())


def test_a_terminated_object_is_gone_with_its_bytes_and_name(tus: Tus) -> None:
    path = tus.put(CONTENT, upload_metadata=metadata(name=f"gone-{time.monotonic_ns()}"))
    key = path.rpartition("/")[2]
    assert tus.ask("DELETE", path, TUS).status == 204
    assert tus.ask("GET", path).status == 404
    assert tus.head(path).status in {404, 410}
    assert not any(key in name for name in tus.served.files())
    assert tus.served.lines_of("names", "object = ?", key) == []


def test_termination_ends_a_chunk_that_is_on_its_way(tus: Tus) -> None:
    path = tus.new(1000)
    line = Line(tus.served)
    line.send_head("PATCH", path, {**CHUNK, "Upload-Offset": 0, "Content-Length": 1000})
    line.send(b"x" * 100)
    tus.offset_reaches(path, 100)
    assert tus.ask("DELETE", path, TUS).status == 204
    require_problem(line.answer(), 409, "taken-over")
    line.close()


# Concatenation


def test_a_whole_that_is_announced_with_its_digest_is_held_against_it(tus: Tus) -> None:
    parts = [_part(tus, data) for data in (b"towpath", b" and lock")]
    whole = hashlib.sha256(b"towpath and lock").hexdigest()
    fields = {**TUS, "Upload-Concat": f"final;{' '.join(parts)}"}
    right = tus.ask("POST", "/files/", {**fields, "Upload-Metadata": metadata(sha256=whole)})
    assert right.status == 201
    assert tus.ask("GET", right.fields["location"]).body == b"towpath and lock"
    other = {**fields, "Upload-Concat": f"final;{' '.join(parts[::-1])}"}
    wrong = tus.ask("POST", "/files/", {**other, "Upload-Metadata": metadata(sha256=whole)})
    require_problem(wrong, 460, "digest-mismatch")


def test_a_whole_of_more_parts_than_are_written_at_once_reads_as_they_came(tus: Tus) -> None:
    parts = [_part(tus, bytes([65 + at])) for at in range(26)] * 2
    fields = {**TUS, "Upload-Concat": f"final;{' '.join(parts)}"}
    path = tus.ask("POST", "/files/", fields).fields["location"]
    assert tus.ask("GET", path).body == b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2


def _part(tus: Tus, data: bytes) -> str:
    answer = tus.create(len(data), data, upload_concat="partial")
    assert answer.number("upload-offset") == len(data)
    return answer.fields["location"]
