"""Resumable uploads for HTTP over the real server, in every version."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode

import pytest

from tests.web.rufh_talk import PARTIAL, Fields, Rufh
from tests.web.running import House
from tests.web.talk import TUS
from towpath.protocol.rufh.versions import VERSIONS

CONTENT = bytes(range(256)) * 1000
HALF = 100_000
TYPES = "https://iana.org/assignments/http-problem-types#"
LATE = {7, 8, 9, None}
INTERIM = set(VERSIONS)


def digest(content: bytes) -> str:
    """A digest field's value."""
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


# The whole way


def test_an_upload_in_one_request_is_complete_at_its_end(rufh: Rufh) -> None:
    answer = rufh.create(CONTENT, complete=True)
    assert (answer.status, rufh.complete(answer)) == (201, True)
    assert answer.number("upload-offset") == len(CONTENT)
    assert "crc64nvme=:" in answer.fields["repr-digest"]
    path = answer.fields["location"]
    assert rufh.ask("GET", path, {}).body == CONTENT
    assert rufh.state(path) == (len(CONTENT), True)


def test_an_interrupted_upload_goes_on_where_it_was(rufh: Rufh) -> None:
    with rufh.line() as line:
        fields = {**rufh.said(complete=True), "Content-Length": len(CONTENT)}
        line.send_head("POST", "/files/", fields)
        path = line.next_head().fields["location"] if rufh.version in INTERIM else ""
        line.socket.sendall(CONTENT[:HALF])
        if path:
            rufh.durable(path, HALF)
    path = path or rufh.new(CONTENT[:HALF])
    assert rufh.state(path) == (HALF, False)
    middle = rufh.append(path, HALF, CONTENT[HALF:200_000], complete=False)
    assert middle.status == (204 if rufh.version in LATE else 201)
    assert (middle.number("upload-offset"), rufh.complete(middle)) == (200_000, False)
    last = rufh.append(path, 200_000, CONTENT[200_000:], complete=True)
    assert (last.status, rufh.complete(last)) == (201, True)
    assert rufh.ask("GET", path, {}).body == CONTENT


def test_every_server_and_framing_takes_an_upload_in_parts(newest: Rufh) -> None:
    path = newest.new(CONTENT[:HALF])
    assert newest.state(path) == (HALF, False)
    assert newest.append(path, HALF, CONTENT[HALF:200_000], complete=False).status == 204
    last = newest.append(path, 200_000, CONTENT[200_000:], complete=True)
    assert (last.status, newest.complete(last)) == (201, True)
    assert newest.ask("GET", path, {}).body == CONTENT


def test_every_server_and_framing_takes_an_upload_at_once(newest: Rufh) -> None:
    answer = newest.create(CONTENT, complete=True)
    assert (answer.status, newest.complete(answer)) == (201, True)
    assert newest.ask("GET", answer.fields["location"], {}).body == CONTENT


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_put_and_patch_create_as_well(eight: Rufh, method: str) -> None:
    answer = eight.ask(method, "/files/", eight.said(complete=True), CONTENT)
    assert (answer.status, eight.complete(answer)) == (201, True)


def test_an_empty_file_is_complete_at_once(rufh: Rufh) -> None:
    answer = rufh.create(b"", complete=True)
    assert (answer.status, rufh.complete(answer)) == (201, True)
    assert rufh.ask("GET", answer.fields["location"], {}).body == b""


def test_a_careful_creation_only_tells_the_address(rufh: Rufh) -> None:
    path = rufh.new(upload_length=len(CONTENT))
    assert rufh.state(path) == (0, False)
    assert rufh.head(path).number("upload-length") == len(CONTENT)


def test_all_bytes_do_not_complete_an_upload_before_that_is_said(rufh: Rufh) -> None:
    path = rufh.new(CONTENT, upload_length=len(CONTENT))
    assert rufh.state(path) == (len(CONTENT), False)
    assert rufh.state(path) == (len(CONTENT), False)
    answer = rufh.append(path, len(CONTENT), b"", complete=True)
    assert (answer.status, rufh.complete(answer)) == (201, True)
    assert rufh.ask("GET", path, {}).body == CONTENT


def test_content_that_is_cut_completes_nothing_even_if_it_was_all(eight: Rufh) -> None:
    with eight.line() as line:
        fields = {**eight.said(complete=True), "Transfer-Encoding": "chunked", "Upload-Length": 3}
        line.send_head("POST", "/files/", fields)
        path = line.next_head().fields["location"]
        line.socket.sendall(b"3\r\nabc\r\n")  # and no last chunk
        eight.durable(path, 3)
    assert eight.state(path) == (3, False)


def test_name_and_media_type_are_those_of_the_creation(eight: Rufh) -> None:
    said = "inline; filename*=UTF-8''..%2fb%C3%A9ton.txt"
    answer = eight.create(b"x", complete=True, content_type="text/x-test", content_disposition=said)
    assert answer.fields["upload-name"].startswith("b%C3%A9ton")
    read = eight.ask("GET", answer.fields["location"], {})
    assert read.fields["content-type"] == "text/x-test"


# Status Code 104


def test_the_address_comes_before_the_first_byte_is_sent(rufh: Rufh) -> None:
    path = None
    with rufh.line() as line:
        line.send_head("POST", "/files/", {**rufh.said(complete=True), "Content-Length": 3})
        if rufh.version in INTERIM:
            interim = line.next_head()
            assert interim.status == 104
            assert interim.fields["upload-draft-interop-version"] == str(rufh.version)
            assert "upload-offset" not in interim.fields
            assert ("upload-limit" in interim.fields) is (rufh.version not in {3, 4, 5})
            path = interim.fields["location"]
        line.socket.sendall(b"abc")
        answer = line.answer()
        assert answer.interim == ()
        assert path in {None, answer.fields["location"]}


@pytest.mark.parametrize("version", [None, "2", "10", "8.0", "x"])
def test_nobody_gets_an_interim_answer_without_asking(eight: Rufh, version: str | None) -> None:
    said = {} if version is None else {"Upload-Draft-Interop-Version": version}
    answer = eight.ask("POST", "/files/", {"Upload-Complete": "?1", **said}, b"abc")
    assert (answer.status, answer.interim) == (201, ())


def test_a_server_can_be_told_to_inform_who_says_no_version(house: House) -> None:
    rufh = Rufh(house.get("direct", informational="always"), 8)
    answer = rufh.ask("POST", "/files/", {"Upload-Complete": "?1"}, b"abc")
    (interim,) = answer.interim
    assert (interim.status, interim.fields["location"]) == (104, answer.fields["location"])
    assert "upload-draft-interop-version" not in interim.fields
    other: Fields = {"Upload-Complete": "?1", "Upload-Draft-Interop-Version": "99"}
    assert rufh.ask("POST", "/files/", other, b"abc").interim == ()


def test_a_server_can_be_told_to_send_no_interim_answers(house: House) -> None:
    rufh = Rufh(house.get("direct", informational="never"), 8)
    answer = rufh.create(b"abc", complete=True)
    assert (answer.status, answer.interim) == (201, ())


def test_who_expects_100_gets_it_behind_the_address(eight: Rufh) -> None:
    with eight.line() as line:
        fields = {**eight.said(complete=True), "Content-Length": 3, "Expect": "100-continue"}
        line.send_head("POST", "/files/", fields)
        assert [line.next_head().status, line.next_head().status] == [104, 100]
        line.socket.sendall(b"abc")
        assert line.answer().status == 201


def test_progress_is_told_while_content_comes(eight: Rufh) -> None:
    path = eight.new()
    with eight.line() as line:
        fields = {**eight.part(0, complete=True), "Content-Length": 6}
        line.send_head("PATCH", path, fields)
        line.socket.sendall(b"abc")
        interim = line.next_head()
        assert (interim.status, interim.number("upload-offset")) == (104, 3)
        assert "location" not in interim.fields
        line.socket.sendall(b"def")
        assert eight.complete(line.answer())


# Takeover and the end


def test_whoever_asks_for_the_offset_ends_whoever_writes(eight: Rufh) -> None:
    with eight.line() as line:
        fields = {**eight.said(complete=True), "Content-Length": 1000}
        line.send_head("POST", "/files/", fields)
        path = line.next_head().fields["location"]
        line.socket.sendall(b"abc")
        eight.durable(path, 3)
        assert eight.state(path) == (3, False)
        ended = line.answer()
        assert (ended.status, ended.fields["upload-complete"]) == (409, "?0")
    assert eight.complete(eight.append(path, 3, b"def", complete=True)) is False


def test_a_newcomer_takes_the_upload_over(eight: Rufh) -> None:
    path = eight.new()
    with eight.line() as line:
        line.send_head("PATCH", path, {**eight.part(0, complete=False), "Content-Length": 1000})
        line.socket.sendall(b"abc")
        eight.durable(path, 3)
        answer = eight.append(path, 3, b"def", complete=True)
        assert eight.complete(answer)
        assert line.answer().status == 409
    assert eight.ask("GET", path, {}).body == b"abcdef"


def test_a_cancelled_upload_ends_its_writer_and_is_no_more(rufh: Rufh) -> None:
    path = rufh.new()
    with rufh.line() as line:
        line.send_head("PATCH", path, {**rufh.part(0, complete=False), "Content-Length": 1000})
        line.socket.sendall(b"abc")
        rufh.durable(path, 3)
        answer = rufh.ask("DELETE", path, rufh.said())
        assert (answer.status, answer.body) == (204, b"")
        assert line.answer().status == 409
    assert rufh.head(path).status == 404
    assert rufh.append(path, 0, b"abc", complete=True).status == 404
    assert rufh.ask("DELETE", path, rufh.said()).status == 404


def test_the_last_request_repeated_is_answered_like_the_first_time(rufh: Rufh) -> None:
    path = rufh.new(CONTENT[:HALF])
    first = rufh.append(path, HALF, CONTENT[HALF:], complete=True)
    again = rufh.append(path, len(CONTENT), b"", complete=True)
    kept = ("upload-offset", "location", "repr-digest", "upload-name")
    assert again.status == first.status == 201
    assert rufh.complete(again)
    assert [again.fields.get(name) for name in kept] == [first.fields.get(name) for name in kept]


def test_more_for_what_is_complete_is_refused_and_changes_nothing(rufh: Rufh) -> None:
    path = rufh.create(b"abc", complete=True).fields["location"]
    answer = rufh.append(path, 3, b"more", complete=True)
    assert (answer.status, rufh.complete(answer)) == (400, False)
    assert rufh.ask("GET", path, {}).body == b"abc"
    assert rufh.state(path) == (3, True)


# Discovery, and other dialects


@pytest.mark.parametrize("path", ["/files", "/files/", "/files/" + "0" * 31])
def test_options_tell_the_limits_with_and_without_a_version(eight: Rufh, path: str) -> None:
    for said in ({}, eight.said()):
        answer = eight.ask("OPTIONS", path, said)
        assert answer.status == 200
        assert answer.fields["upload-limit"] == "min-size=0"
        assert PARTIAL in answer.fields["accept-patch"]


def test_the_lifetime_is_told_by_the_name_that_the_version_has(eight: Rufh) -> None:
    for version, key in ((6, "expires"), (8, "max-age"), (None, "max-age")):
        rufh = Rufh(eight.served, version)
        limit = rufh.head(rufh.new(b"abc")).fields["upload-limit"]
        name, _, seconds = limit.partition("=")
        assert name == key
        assert 0 < int(seconds) <= 24 * 3600


def test_the_form_without_a_version_needs_no_fields_to_ask_and_to_cancel(eight: Rufh) -> None:
    rufh = Rufh(eight.served, None)
    path = rufh.new(b"abc")
    for method in ("HEAD", "GET"):
        answer = rufh.ask(method, path, {})
        assert (answer.status, answer.number("upload-offset")) == (204, 3)
        assert answer.fields["upload-complete"] == "?0"
    assert rufh.ask("DELETE", path, {}).status == 204
    assert rufh.ask("HEAD", path, {}).status == 404
    done = rufh.create(b"abc", complete=True).fields["location"]
    answer = rufh.ask("HEAD", done, {})
    assert (answer.status, answer.fields["upload-complete"]) == (200, "?1")
    assert (answer.number("upload-offset"), "etag" in answer.fields) == (3, True)


def test_what_tus_began_is_spoken_of_here_too(eight: Rufh) -> None:
    by_tus = eight.ask("POST", "/files/", {**TUS, "Upload-Length": 6}).fields["location"]
    assert eight.append(by_tus, 0, b"abc", complete=False).status == 204
    assert eight.state(by_tus) == (3, False)
    bare = eight.ask("HEAD", by_tus, {})
    assert (bare.number("upload-offset"), bare.fields["upload-complete"]) == (3, "?0")
    assert eight.ask("HEAD", by_tus, {**TUS}).number("upload-offset") == 3
    assert eight.ask("DELETE", by_tus, eight.said()).status == 204
    assert eight.head(by_tus).status == 404
    by_tus = eight.ask("POST", "/files/", {**TUS, "Upload-Length": 6}).fields["location"]
    assert eight.ask("DELETE", by_tus, {}).status == 204
    assert eight.ask("HEAD", by_tus, {**TUS}).status == 404


def test_answers_in_this_dialect_carry_nothing_of_tus(rufh: Rufh) -> None:
    answer = rufh.create(b"abc")
    assert "tus-resumable" not in answer.fields
    assert "x-request-id" in answer.fields


def test_two_requests_at_once_leave_one_content(eight: Rufh) -> None:
    path = eight.new(b"abc")
    answers = []

    def append() -> None:
        answers.append(eight.append(path, 3, b"def" * 1000, complete=True).status)

    threads = [threading.Thread(target=append) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if 201 not in answers:  # each was ended by the next, and the last one came too late
        offset, _ = eight.state(path)
        rest = (b"abc" + b"def" * 1000)[offset:]
        assert eight.append(path, offset, rest, complete=True).status == 201
    assert eight.ask("GET", path, {}).body == b"abc" + b"def" * 1000
