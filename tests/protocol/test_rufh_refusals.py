"""Resumable uploads for HTTP: what completes an upload, and how what goes wrong is told."""

from __future__ import annotations

import pytest

from tests.protocol.rufh_words import (
    KEY,
    LATE,
    SPOKEN,
    TYPES,
    S,
    answer,
    command,
    field,
    head,
    part,
    refused,
    row,
)
from towpath.core.command import Append, Command
from towpath.core.transfer import Write
from towpath.errors import (
    DigestMismatch,
    Expired,
    LengthConflict,
    LimitReached,
    NotFound,
    OffsetConflict,
    StateConflict,
    TakenOver,
    TooLarge,
    Vetoed,
)
from towpath.protocol import rufh
from towpath.protocol.message import Head, Reply

# Completeness


@pytest.mark.parametrize("version", SPOKEN)
def test_only_a_complete_upload_is_said_to_be_complete(version: int | None) -> None:
    name, no, yes = (
        ("upload-incomplete", "?1", "?0") if version == 3 else ("upload-complete", "?0", "?1")
    )
    for state in (S.OPEN, S.FILLED, S.SEALING):
        reply = answer(head("HEAD", f"/{KEY}", version), row(state, offset=10))
        assert (field(reply, name), field(reply, "upload-offset")) == (no, "10")
    reply = answer(part(version, complete=True), row(S.COMPLETE))
    assert (reply.status, field(reply, name)) == (201, yes)
    assert field(reply, "location") == f"/files/{KEY}"


def test_an_empty_part_may_complete() -> None:
    found = command(part(complete=True, content_length=0, upload_offset=10))
    assert found.write == Write(offset=10, length=0, declares=10, completes=True)


def test_a_remembered_final_answer_is_given_again() -> None:
    first = Reply(status=200, fields=(("upload-complete", "?1"), ("x", "y")), body=b"{}")
    made = row(S.COMPLETE, dialect="rufh", memo=rufh.remember(first))
    assert answer(part(complete=True), made) == first
    assert answer(head("HEAD", f"/{KEY}"), made).status == 204


# Refusals


@pytest.mark.parametrize("version", SPOKEN)
def test_a_mismatching_offset_tells_the_true_one(version: int | None) -> None:
    status, document, reply = refused(
        OffsetConflict("x", offset=4), part(version, upload_offset=7), row()
    )
    name, value = ("upload-incomplete", "?1") if version == 3 else ("upload-complete", "?0")
    assert (status, field(reply, name), field(reply, "upload-offset")) == (409, value, "4")
    assert (document["expected-offset"], document["provided-offset"]) == (4, 7)
    own = version not in {3, 4, 5}
    assert (document["type"] == TYPES + "mismatching-upload-offset") is own


@pytest.mark.parametrize("version", SPOKEN)
def test_an_inconsistent_length_is_a_bad_request(version: int | None) -> None:
    status, document, reply = refused(LengthConflict("x"), part(version), row())
    assert (status, field(reply, "upload-offset")) == (400, "4")
    assert (document["type"] == TYPES + "inconsistent-upload-length") is (version in LATE)


@pytest.mark.parametrize("version", SPOKEN)
def test_going_beyond_the_length_is_the_end_of_the_upload_since_version_7(
    version: int | None,
) -> None:
    error, asked = TooLarge("x"), part(version)
    assert rufh.invalidates(error, row(), asked) is (version in LATE)
    assert refused(error, asked, row(S.FAILED))[0] == 400
    assert not rufh.invalidates(error, row(length=None), asked)
    assert not rufh.invalidates(error, row(S.COMPLETE), asked)
    assert not rufh.invalidates(OffsetConflict("x", offset=1), row(), asked)


def test_what_is_larger_than_the_limit_is_told_the_limit() -> None:
    asked = head(upload_complete="?1", content_length=99)
    status, _, reply = refused(TooLarge("x"), asked, None, most=50)
    assert (status, field(reply, "upload-limit")) == (413, "max-size=50")
    assert field(reply, "upload-complete") == "?0"


@pytest.mark.parametrize("version", SPOKEN)
@pytest.mark.parametrize("error", [StateConflict("x"), TooLarge("x")])
def test_an_append_to_what_is_complete_is_refused(version: int | None, error: Exception) -> None:
    made = row(S.COMPLETE)
    status, document, reply = refused(error, part(version, upload_offset=10), made)
    expected: dict[int | None, str] = dict.fromkeys((6, 7, 8), "completed-upload")
    expected |= dict.fromkeys((9, None), "inconsistent-upload-length")
    assert status == 400
    assert document["type"] == (
        TYPES + expected[version] if version in expected else f"urn:towpath:{error.code}"  # type: ignore[attr-defined]
    )
    assert field(reply, "upload-incomplete" if version == 3 else "upload-complete") == (
        "?1" if version == 3 else "?0"
    )


@pytest.mark.parametrize("version", [9, None])
def test_another_offset_of_what_is_complete_is_a_mismatch_since_version_9(
    version: int | None,
) -> None:
    status, document, reply = refused(StateConflict("x"), part(version), row(S.COMPLETE))
    assert (status, field(reply, "upload-offset")) == (409, "10")
    assert (document["expected-offset"], document["provided-offset"]) == (10, 4)


@pytest.mark.parametrize("version", SPOKEN)
def test_what_is_no_more_is_gone_or_not_found(version: int | None) -> None:
    wanted = 410 if version in LATE else 404
    asked = head("HEAD", f"/{KEY}", version)
    assert answer(asked, row(S.FAILED)).status == wanted
    assert answer(asked, row(reason="The store lost bytes.")).status == wanted
    assert refused(Expired("x"), asked)[0] == wanted
    assert refused(StateConflict("x"), part(version), row(S.FAILED))[0] == wanted
    assert refused(NotFound("x"), asked)[0] == 404


def test_an_error_of_the_whole_file_says_that_resuming_does_not_help() -> None:
    asked = part(complete=True)
    for error, made, said in [
        (DigestMismatch("x"), row(S.FAILED), "?1"),
        (Vetoed("x"), None, "?1"),
        (DigestMismatch("x"), row(), "?0"),
        (TakenOver("x"), row(), "?0"),
        (LimitReached("x"), row(), "?0"),
    ]:
        assert field(refused(error, asked, made)[2], "upload-complete") == said


def test_a_refused_query_says_nothing_of_completeness() -> None:
    reply = refused(NotFound("x"), head("DELETE", f"/{KEY}"))[2]
    assert field(reply, "upload-complete") is None


# Upload Cancellation, and addresses


def test_a_cancellation_is_answered_without_content() -> None:
    assert answer(head("DELETE", f"/{KEY}"), None) == Reply(status=204)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"/{KEY}"), ("PUT", f"/{KEY}"), ("HEAD", "/"), ("DELETE", ""), ("TRACE", "/")],
)
def test_a_method_at_the_wrong_place_is_told_the_right_ones(method: str, path: str) -> None:
    reply = rufh.parse(head(method, path))
    assert isinstance(reply, Reply)
    assert reply.status == 405
    assert method not in (field(reply, "allow") or "").split(", ")


@pytest.mark.parametrize("path", ["/../x", "/short", f"/{KEY}/{KEY}", "/" + "a" * 65])
def test_what_cannot_be_an_address_is_not_found(path: str) -> None:
    for asked in (head("HEAD", path), Head(method="PATCH", path=path, fields=part().fields)):
        with pytest.raises(NotFound):
            rufh.parse(asked)


# The client's side


@pytest.mark.parametrize(
    ("version", "complete"), [(3, True), (4, True), (6, True), (7, None), (8, None)]
)
def test_a_success_that_is_silent_is_complete_in_early_versions_only(
    version: int, complete: bool | None
) -> None:
    last: Command = Append(key=KEY, write=Write(offset=4, length=3, completes=True))
    more: Command = Append(key=KEY, write=Write(offset=4, length=3, completes=False))
    silent = Reply(status=201, fields=(("Upload-Offset", "7"),))
    assert rufh.read(last, silent, version=version).complete is complete
    assert rufh.read(more, silent, version=version).complete is None
    assert rufh.read(last, Reply(status=500), version=version).complete is None
