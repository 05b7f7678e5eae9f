"""Resumable uploads for HTTP: the table of versions, and what naive servers get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.rufh_words import (
    KEY,
    PARTIAL,
    SPOKEN,
    S,
    answer,
    command,
    completes,
    field,
    head,
    part,
    row,
)
from towpath.core.command import Append, Cancel, Claim, Create, Discover, NewUpload
from towpath.core.transfer import Write
from towpath.errors import (
    LengthConflict,
    Malformed,
)
from towpath.protocol import rufh
from towpath.protocol.message import Head, Reply
from towpath.protocol.rufh.versions import version_of

# Versions


@pytest.mark.parametrize(
    ("version", "name", "sense", "append", "lifetime"),
    [
        (3, "upload-incomplete", "?1", 201, None),
        (4, "upload-complete", "?0", 201, None),
        (5, "upload-complete", "?0", 201, None),
        (6, "upload-complete", "?0", 201, "expires=60"),
        (7, "upload-complete", "?0", 204, "max-age=60"),
        (8, "upload-complete", "?0", 204, "max-age=60"),
        (9, "upload-complete", "?0", 204, "max-age=60"),
        (None, "upload-complete", "?0", 204, "max-age=60"),
    ],
)
def test_an_append_is_answered_as_its_version_wants(
    version: int | None, name: str, sense: str, append: int, lifetime: str | None
) -> None:
    reply = answer(part(version), row())
    assert reply.status == append
    assert field(reply, name) == sense
    assert field(reply, "upload-offset") == "4"
    assert field(reply, "upload-limit") == lifetime
    assert len({"upload-complete", "upload-incomplete"} & dict(reply.fields).keys()) == 1


@pytest.mark.parametrize("version", SPOKEN)
def test_an_offset_retrieval_tells_the_state_and_must_not_be_stored(version: int | None) -> None:
    reply = answer(head("HEAD", f"/{KEY}", version), row())
    assert (reply.status, reply.body) == (204, b"")
    assert field(reply, "upload-offset") == "4"
    assert field(reply, "upload-length") == "10"
    assert field(reply, "cache-control") == "no-store"
    done = answer(head("HEAD", f"/{KEY}", version), row(S.COMPLETE))
    name, value = ("upload-incomplete", "?0") if version == 3 else ("upload-complete", "?1")
    assert (field(done, name), field(done, "upload-offset")) == (value, "10")


def test_a_length_that_nobody_said_is_not_told() -> None:
    assert field(answer(head("HEAD", f"/{KEY}"), row(length=None)), "upload-length") is None


@pytest.mark.parametrize("method", ["HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("version", "name"),
    [(3, "upload_incomplete"), (4, "upload_complete"), (5, "upload_offset"), (6, "upload_offset")],
)
def test_early_versions_refuse_state_in_queries(method: str, version: int, name: str) -> None:
    with pytest.raises(Malformed):
        rufh.parse(head(method, f"/{KEY}", version, **{name: "?0"}))
    assert command(head(method, f"/{KEY}", 8, **{name: "?0"})) in (Claim(key=KEY), Cancel(key=KEY))


@pytest.mark.parametrize("version", SPOKEN)
def test_the_media_type_of_a_part_is_asked_for_since_version_6(version: int | None) -> None:
    found = rufh.parse(part(version, content_type="application/octet-stream"))
    if version in {3, 4, 5}:
        assert isinstance(found, Append)
        return
    assert isinstance(found, Reply)
    assert found.status == 415
    assert field(found, "accept-patch") == PARTIAL
    assert isinstance(command(part(version, content_type=f"{PARTIAL.title()}; x=y")), Append)


@pytest.mark.parametrize("version", SPOKEN)
def test_a_part_that_does_not_say_whether_it_is_the_last(version: int | None) -> None:
    asked = part(version)
    fields = {k: v for k, v in asked.fields.items() if not k.endswith("complete")}
    silent = Head(method="PATCH", path=asked.path, fields=fields)
    if version in {3, 4, 5, 6}:
        assert command(silent).write.completes is True
        return
    with pytest.raises(Malformed) as error:
        rufh.parse(silent)
    assert error.value.field == "Upload-Complete"


@pytest.mark.parametrize("value", ["0", "1", "true", "?2", "?0, ?0", ""])
@pytest.mark.parametrize("version", SPOKEN)
def test_a_completeness_that_cannot_be_read_completes_nothing(
    version: int | None, value: str
) -> None:
    said: dict[str, Any] = {"upload_incomplete" if version == 3 else "upload_complete": value}
    for asked in (part(version, **said), head(version=version, **said)):
        with pytest.raises(Malformed):
            rufh.parse(asked)


def test_an_unknown_version_is_spoken_like_the_rfc_but_without_interim_answers() -> None:
    asked = head(version=99, upload_complete="?1")
    assert isinstance(command(asked), Create)
    assert rufh.informational(asked, row(), "/files", most=None) is None
    assert version_of(asked).number is None


def test_upload_incomplete_without_a_version_is_version_3_without_interim_answers() -> None:
    asked = head(version=None, upload_incomplete="?1")
    assert command(asked) == Create(
        new=NewUpload(length=None, dialect="rufh", completes=False, shares=False)
    )
    assert rufh.informational(asked, row(), "/files", most=None) is None


# Telling the dialect


@pytest.mark.parametrize(
    "fields",
    [
        {"upload_draft_interop_version": 8},
        {"upload_complete": "?1"},
        {"upload_incomplete": "?0"},
        {"upload_offset": 4, "content_type": PARTIAL},
    ],
)
def test_its_own_fields_tell_the_dialect_unless_tus_is_spoken(fields: dict[str, Any]) -> None:
    assert rufh.speaks(head(version=None, **fields))
    assert not rufh.speaks(head(version=None, tus_resumable="1.0.0", **fields))


@pytest.mark.parametrize(
    "fields",
    [{}, {"upload_offset": 4}, {"content_type": PARTIAL}, {"upload_length": 3}],
)
def test_other_requests_are_not_taken_for_this_dialect(fields: dict[str, Any]) -> None:
    assert not rufh.speaks(head(version=None, **fields))


# Status Code 104


@pytest.mark.parametrize("version", [3, 4, 5, 6, 7, 8, 9])
def test_the_interim_answer_says_version_location_and_limits(version: int) -> None:
    asked = head(version=version, **completes(version, complete=True))
    found = rufh.informational(asked, row(), "/files", most=5000, now=30_000)
    assert found is not None
    said = dict(found)
    assert said["upload-draft-interop-version"] == str(version)
    assert said["location"] == f"/files/{KEY}"
    key = {6: "expires"}.get(version, "max-age")
    limit = None if version < 6 else f"max-size=5000, {key}=60"
    assert said.get("upload-limit") == limit


@pytest.mark.parametrize("version", [3, 4, 5, 6, 7, 8, 9])
def test_progress_has_no_location_and_is_told_since_version_5(version: int) -> None:
    found = rufh.informational(part(version), row(), None, most=5000, now=30_000)
    if version < 5:
        assert found is None
        return
    assert found == (("upload-draft-interop-version", str(version)), ("upload-offset", "4"))


@pytest.mark.parametrize("said", [None, "2", "10", "8.0", "eight", "", "8, 8"])
def test_who_does_not_ask_for_interim_answers_gets_none(said: str | None) -> None:
    fields = {} if said is None else {"upload_draft_interop_version": said}
    asked = head(version=None, upload_complete="?1", **fields)
    assert rufh.informational(asked, row(), "/files", most=None) is None
    assert rufh.informational(asked, row(), None, most=None) is None


def test_who_says_no_version_can_be_told_unasked() -> None:
    silent = head(version=None, upload_complete="?1")
    assert rufh.informational(silent, row(), None, most=None, unasked=True) == (
        ("upload-offset", str(row().offset)),
    )
    oldest = head(version=None, upload_incomplete="?0")  # has no progress, and always says 3
    assert rufh.informational(oldest, row(), "/files", most=None, unasked=True) is None
    other = head(version=None, upload_complete="?1", upload_draft_interop_version="10")
    assert rufh.informational(other, row(), "/files", most=None, unasked=True) is None


# Upload Creation


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_any_method_with_content_creates(method: str) -> None:
    found = command(head(method, "/", upload_complete="?1", content_length=3))
    assert found.write == Write(offset=0, length=3, completes=True)
    assert (found.new.length, found.new.completes, found.new.dialect) == (3, False, "rufh")


@pytest.mark.parametrize(
    ("fields", "length", "write"),
    [
        ({"upload_complete": "?0"}, None, None),
        ({"upload_complete": "?0", "content_length": 0}, None, None),
        ({"upload_complete": "?0", "upload_length": 9}, 9, None),
        ({"upload_complete": "?1"}, 0, Write(offset=0, length=0, completes=True)),
        (
            {"upload_complete": "?0", "content_length": 3},
            None,
            Write(offset=0, length=3, completes=False),
        ),
        (
            {"upload_complete": "?1", "transfer_encoding": "chunked"},
            None,
            Write(offset=0, length=None, completes=True),
        ),
        (
            {"upload_complete": "?1", "upload_length": "x", "content_length": 3},
            3,
            Write(offset=0, length=3, completes=True),
        ),
        (
            {"upload_complete": "?0", "upload_length": "-4", "content_length": 3},
            None,
            Write(offset=0, length=3, completes=False),
        ),
    ],
)
def test_length_and_completeness_come_from_what_is_said(
    fields: dict[str, Any], length: int | None, write: Write | None
) -> None:
    found = command(head(**fields))
    assert (found.new.length, found.write) == (length, write)


@pytest.mark.parametrize(
    "fields",
    [
        {"upload_complete": "?1", "upload_length": 4, "content_length": 3},
        {"upload_complete": "?0", "upload_length": 2, "content_length": 3},
        {"upload_complete": "?1", "upload_length": 4},
    ],
)
def test_lengths_that_contradict_one_another_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(LengthConflict):
        rufh.parse(head(**fields))


def test_a_part_declares_the_length_when_it_is_the_last() -> None:
    assert command(part(complete=True)).write.declares == 7
    assert command(part(complete=False)).write.declares is None
    assert command(part(complete=False, upload_length=9)).write.declares == 9
    with pytest.raises(LengthConflict):
        rufh.parse(part(complete=True, upload_length=9))


def test_a_creation_in_the_middle_is_refused() -> None:
    with pytest.raises(Malformed):
        rufh.parse(head(upload_complete="?1", upload_offset=4))
    assert isinstance(command(head(upload_complete="?1", upload_offset=0)), Create)


@pytest.mark.parametrize("offset", ["", "-1", "+4", "4.0", "\u0664", "1_0", "1000000000000000"])
def test_an_offset_that_cannot_be_read_is_not_there(offset: str) -> None:
    with pytest.raises(Malformed) as error:
        rufh.parse(part(upload_offset=offset))
    assert error.value.field == "Upload-Offset"


@pytest.mark.parametrize("version", SPOKEN)
def test_a_creation_tells_location_and_limits_and_that_it_is_not_complete(
    version: int | None,
) -> None:
    asked = head(version=version, **completes(version, complete=False))
    reply = answer(asked, row(offset=0, length=None), most=77)
    assert reply.status == 201
    assert field(reply, "location") == f"/files/{KEY}"
    assert field(reply, "upload-offset") == "0"
    assert ("max-size=77" in (field(reply, "upload-limit") or "")) is (version not in {3, 4, 5})


def test_name_and_media_type_come_from_representation_metadata() -> None:
    said = "inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20n%C3%A4me.jpg"
    found = command(
        head(upload_complete="?0", content_disposition=said, content_type="image/JPEG; q=1")
    )
    assert (found.new.name, found.new.media_type) == ("file näme.jpg", "image/jpeg")


@pytest.mark.parametrize("coding", ["gzip", "zstd, br", "x"])
def test_coded_content_is_refused_since_nobody_would_be_told(coding: str) -> None:
    reply = rufh.parse(head(upload_complete="?1", content_encoding=coding))
    assert isinstance(reply, Reply)
    assert (reply.status, field(reply, "accept-encoding")) == (415, "identity")
    assert isinstance(command(head(upload_complete="?1", content_encoding="identity")), Create)


def test_transfer_codings_other_than_chunked_are_refused() -> None:
    with pytest.raises(Malformed):
        rufh.parse(part(transfer_encoding="gzip, chunked"))


# Digests


def test_digests_of_content_and_of_the_whole_are_told_apart() -> None:
    value = "sha=:" + "A" * 27 + "=:"
    found = command(
        head(
            upload_complete="?1",
            content_length=3,
            content_digest=value,
            repr_digest=f"{value}, unheard-of=:YQ==:",
            want_repr_digest="sha-512=3, sha-256=10, md5=0, unheard-of=5, sha=x",
        )
    )
    assert found.write.digests == {"sha": bytes(20)}
    assert found.new.digests == {"sha": bytes(20)}
    assert found.new.wants == ("sha-256", "sha-512")


@pytest.mark.parametrize("name", ["content_digest", "repr_digest"])
def test_a_digest_that_cannot_be_read_names_its_field(name: str) -> None:
    said: dict[str, Any] = {name: "sha-256=:YQ==:"}
    with pytest.raises(Malformed) as error:
        rufh.parse(head(upload_complete="?1", content_length=1, **said))
    assert error.value.field == name.replace("_", "-").title()


def test_a_complete_upload_tells_the_digests_of_the_whole() -> None:
    reply = answer(part(complete=True), row(S.COMPLETE, name="a b"), digests="sha-256=:x:")
    assert field(reply, "repr-digest") == "crc64nvme=:AAAAAAAAAAA=:, sha-256=:x:"
    assert field(reply, "upload-name") == "a%20b"


# Limits


@pytest.mark.parametrize("version", SPOKEN)
def test_where_there_are_no_limits_that_is_said(version: int | None) -> None:
    asked = head("OPTIONS", "/", version)
    assert command(asked) == Discover()
    reply = answer(asked, None)
    assert reply.status == 200
    assert field(reply, "accept-patch") == PARTIAL
    expected = None if version in {3, 4, 5} else "min-size=0"
    assert field(reply, "upload-limit") == expected
    limited = answer(asked, None, most=10**18)
    assert field(limited, "upload-limit") == (expected and "max-size=999999999999999")


def test_unknown_limits_are_ignored_and_one_of_a_wrong_type_makes_all_void() -> None:
    def told(limit: str) -> Any:
        return rufh.read(Discover(), Reply(status=200, fields=(("Upload-Limit", limit),))).limits

    assert told("max-size=5, colour=red, max-age=7;x") == {"max-size": 5, "max-age": 7}
    assert told("max-size=5, max-age=soon") == {}
    assert told("max-size=5,") == {}
