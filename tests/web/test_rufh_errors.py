"""Resumable uploads for HTTP over the real server: what goes wrong, and how it is told."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode

import pytest

from tests.web.rufh_talk import Rufh
from tests.web.running import House
from towpath.protocol.rufh.versions import VERSIONS

CONTENT = bytes(range(256)) * 1000
HALF = 100_000
TYPES = "https://iana.org/assignments/http-problem-types#"
LATE = {7, 8, 9, None}
INTERIM = set(VERSIONS)


def digest(content: bytes) -> str:
    """A digest field's value."""
    return f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"


def test_another_offset_is_a_conflict_that_names_the_true_one(rufh: Rufh) -> None:
    path = rufh.new(b"abc")
    for offset in (0, 7):
        answer = rufh.append(path, offset, b"x", complete=False)
        assert (answer.status, rufh.complete(answer)) == (409, False)
        assert answer.number("upload-offset") == 3
        document = json.loads(answer.body)
        assert (document["expected-offset"], document["provided-offset"]) == (3, offset)
    assert rufh.state(path) == (3, False)


def test_lengths_that_contradict_one_another_are_refused(rufh: Rufh) -> None:
    path = rufh.new(b"abc", upload_length=10)
    for answer in (
        rufh.append(path, 3, b"def", complete=True),
        rufh.append(path, 3, b"def", complete=False, upload_length=11),
        rufh.create(b"abc", complete=True, upload_length=4),
    ):
        assert (answer.status, rufh.complete(answer)) == (400, False)
        own = json.loads(answer.body)["type"] == TYPES + "inconsistent-upload-length"
        assert own is (rufh.version in LATE)
    assert rufh.state(path) == (3, False)
    assert rufh.append(path, 3, b"defghij", complete=True).status == 201


def test_a_last_part_that_ends_early_is_inconsistent_too(house: House) -> None:
    rufh = Rufh(house.get("direct"), 8, chunked=True)
    path = rufh.new(b"abc", upload_length=10)
    answer = rufh.append(path, 3, b"def", complete=True)
    assert (answer.status, answer.fields["upload-complete"]) == (400, "?0")
    assert rufh.state(path) == (6, False)


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_going_beyond_the_length_invalidates_the_upload(rufh: Rufh, chunked: bool) -> None:
    rufh = Rufh(rufh.served, rufh.version, chunked=chunked)
    path = rufh.new(b"abc", upload_length=5)
    answer = rufh.append(path, 3, b"defghi", complete=False)
    assert (answer.status, rufh.complete(answer)) == (400, False)
    if rufh.version in LATE:
        assert rufh.head(path).status == 410
        assert rufh.append(path, 3, b"de", complete=True).status == 410
    else:
        offset, _ = rufh.state(path)
        assert rufh.append(path, offset, b"abcde"[offset:], complete=True).status == 201


def test_content_that_is_not_what_was_announced_is_not_kept(rufh: Rufh) -> None:
    path = rufh.new(b"abc", content_digest=digest(b"abc"))
    answer = rufh.append(path, 3, b"xyz", complete=True, content_digest=digest(b"def"))
    assert (answer.status, rufh.complete(answer)) == (422, False)
    assert rufh.state(path) == (3, False)
    right = rufh.append(path, 3, b"def", complete=True, content_digest=digest(b"def"))
    assert (right.status, rufh.complete(right)) == (201, True)


def test_a_creation_whose_content_is_wrong_still_tells_the_address(eight: Rufh) -> None:
    answer = eight.create(b"abc", content_digest=digest(b"x"))
    assert (answer.status, answer.fields["upload-complete"]) == (422, "?0")
    assert eight.state(answer.fields["location"]) == (0, False)


def test_a_file_that_is_not_what_was_announced_is_refused_for_good(eight: Rufh) -> None:
    path = eight.new(b"abc", repr_digest=digest(b"something else"))
    answer = eight.append(path, 3, b"def", complete=True)
    assert (answer.status, answer.fields["upload-complete"]) == (422, "?1")
    assert eight.head(path).status == 410


def test_a_digest_that_was_wanted_is_told_at_the_end(eight: Rufh) -> None:
    path = eight.new(CONTENT[:HALF], want_repr_digest="sha-256=5")
    answer = eight.append(path, HALF, CONTENT[HALF:], complete=True)
    assert digest(CONTENT) in answer.fields["repr-digest"]


def test_what_is_too_large_is_told_the_limit(house: House) -> None:
    rufh = Rufh(house.get("direct", max_length=1000), 8)
    answer = rufh.create(b"", upload_length=1001)
    assert (answer.status, answer.fields["upload-complete"]) == (413, "?0")
    assert answer.fields["upload-limit"] == "max-size=1000"


def test_a_missing_or_unreadable_completeness_is_refused(eight: Rufh) -> None:
    for said in ({}, {"Upload-Complete": "1"}, {"Upload-Complete": "true"}):
        answer = eight.ask("POST", "/files/", {**eight.said(), **said}, b"abc")
        assert answer.status == 400
        assert json.loads(answer.body)["field"] == "Upload-Complete"


def test_a_file_that_is_what_was_announced_is_complete(eight: Rufh) -> None:
    path = eight.new(CONTENT[:HALF], repr_digest=digest(CONTENT))
    answer = eight.append(path, HALF, CONTENT[HALF:], complete=True)
    assert (answer.status, eight.complete(answer)) == (201, True)
    assert digest(CONTENT) in answer.fields["repr-digest"]


def test_a_file_that_is_here_already_is_still_uploaded_to_its_end(eight: Rufh) -> None:
    content = b"here already" * 1000
    eight.create(content, complete=True, repr_digest=digest(content))
    path = eight.new(content[:100], repr_digest=digest(content))
    assert eight.state(path) == (100, False)
    answer = eight.append(path, 100, content[100:], complete=True)
    assert (answer.status, eight.complete(answer)) == (201, True)
    assert eight.ask("GET", answer.fields["location"], {}).body == content


@pytest.mark.parametrize("version", [6, 8])
def test_an_upload_that_lost_bytes_is_no_more_since_its_offset_must_not_decrease(
    house: House, version: int
) -> None:
    rufh = Rufh(house.get("direct"), version)
    path = rufh.new(CONTENT)
    key = path.rpartition("/")[2]
    (file,) = (rufh.served.data / "uploads").rglob(f"{key}*")
    os.truncate(file, 1000)
    gone = 410 if version in LATE else 404
    assert rufh.head(path).status == gone
    assert rufh.append(path, 1000, b"x", complete=True).status == gone
    assert rufh.ask("DELETE", path, rufh.said()).status == 204
