"""Laws of resumable uploads for HTTP: what is composed is understood, what is answered is read."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.command import (
    Append,
    Cancel,
    Claim,
    Command,
    Create,
    Discover,
    Fetch,
    Inspect,
    NewUpload,
)
from towpath.core.digest import SIZES
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.core.transfer import Write
from towpath.errors import LengthConflict, Malformed, NotFound
from towpath.protocol import rufh
from towpath.protocol.message import Head, Reply
from towpath.protocol.rufh.versions import VERSION, VERSIONS
from towpath.protocol.structured import LARGEST
from towpath.testing.rows import upload

KEY = "0123456789abcdefghijklmnopqrstu"
SPOKEN = [*VERSIONS, None]
SIZE = st.integers(0, 10**12)
KEYS = st.from_regex(r"[0-9a-z]{8,64}", fullmatch=True)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc"]))
MEDIA_TYPES = st.none() | st.sampled_from(["text/plain", "application/vnd.x+json"])
DIGESTS = st.dictionaries(st.sampled_from(sorted(SIZES)), st.none()).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.binary(min_size=SIZES[name], max_size=SIZES[name]) for name in names}
    )
)


@st.composite
def creations(draw: st.DrawFn) -> Create:
    body, complete = draw(st.none() | SIZE), draw(st.booleans())
    more = draw(st.none() | SIZE)
    rest = None if more is None or body is None else body + more
    length = more if body is None else body if complete else rest
    name = draw(st.none() | NAMES.filter(lambda text: text and text == text.strip()))
    digests = draw(DIGESTS)
    shares = "sha-256" in digests and length != 0 and body == 0
    new = NewUpload(
        length=length,
        name=name,
        media_type=draw(MEDIA_TYPES),
        dialect="rufh",
        completes=shares,
        shares=shares,
        digests=digests,
        wants=tuple(draw(st.lists(st.sampled_from(sorted(SIZES)), unique=True))),
    )
    if body == 0 and not complete:
        return Create(new=new)
    write = Write(offset=0, length=body, digests=draw(DIGESTS), completes=complete)
    return Create(new=new, write=write)


@st.composite
def appends(draw: st.DrawFn) -> Append:
    offset, body, complete = draw(SIZE), draw(st.none() | SIZE), draw(st.booleans())
    declares = draw(st.none() | SIZE)
    if complete and body is not None:
        declares = offset + body
    return Append(
        key=draw(KEYS),
        write=Write(
            offset=offset,
            length=body,
            declares=declares,
            digests=draw(DIGESTS),
            completes=complete,
        ),
    )


COMMANDS = st.one_of(
    creations(),
    appends(),
    KEYS.map(lambda key: Claim(key=key)),
    KEYS.map(lambda key: Cancel(key=key)),
    KEYS.map(lambda key: Fetch(key=key)),
    st.just(Discover()),
)


@st.composite
def uploads(draw: st.DrawFn) -> Upload:
    offset = draw(SIZE)
    done = draw(st.booleans())
    length = offset if done else draw(st.none() | st.integers(offset, 10**13))
    return replace(
        upload(id=KEY),
        state=UploadState.COMPLETE if done else UploadState.OPEN,
        offset=offset,
        length=length,
        name=draw(st.none() | st.just("a b")),
        expires_at=draw(st.none() | st.integers(0, 10**13)),
    )


@given(COMMANDS, st.sampled_from(SPOKEN))
def test_what_is_composed_is_understood(command: Command, version: int | None) -> None:
    head = rufh.compose(command, version=version, base="/files")
    assert rufh.parse(head) == command
    assert head.base == "/files"


@given(creations() | appends(), st.sampled_from(SPOKEN))
def test_what_brings_content_says_that_it_is_in_this_dialect(
    command: Command, version: int | None
) -> None:
    head = rufh.compose(command, version=version)
    assert rufh.speaks(head)
    spoken_by_tus = replace(head, fields={**head.fields, "tus-resumable": "1.0.0"})
    assert not rufh.speaks(spoken_by_tus)


@given(COMMANDS, uploads(), st.sampled_from(SPOKEN), st.none() | SIZE, st.none() | SIZE)
def test_what_is_answered_is_read(
    command: Command, row: Upload, version: int | None, most: int | None, now: int | None
) -> None:
    head = rufh.compose(command, version=version, base="/files")
    told = rufh.read(command, rufh.render(command, row, head, most=most, now=now), version=version)
    if isinstance(command, Create | Append | Claim):
        assert told.offset == row.offset
        assert told.complete is (row.state is UploadState.COMPLETE)
        assert told.length == row.length
    if isinstance(command, Create):
        assert told.location == f"/files/{KEY}"
    if isinstance(command, Create | Append | Claim | Discover):
        limited = version not in {3, 4, 5}
        assert bool(told.limits) is limited
        assert told.limits.get("max-size") == (most if limited else None)


@given(uploads(), st.sampled_from(SPOKEN), st.none() | SIZE)
def test_an_interim_answer_is_read_like_a_final_one(
    row: Upload, version: int | None, now: int | None
) -> None:
    command = Create(new=NewUpload(length=None))
    head = rufh.compose(command, version=version, base="/elsewhere")
    begun = rufh.informational(head, row, "/files", most=5, now=now)
    going = rufh.informational(head, row, None, most=5, now=now)
    assert (begun is None) is (version is None)
    if begun is not None:
        told = rufh.read(command, Reply(status=104, fields=begun), version=version)
        assert (told.location, told.offset) == (f"/files/{KEY}", None)
        assert dict(begun)[VERSION] == str(version)
    if going is not None:
        told = rufh.read(command, Reply(status=104, fields=going), version=version)
        assert (told.location, told.offset, told.complete) == (None, row.offset, None)


@given(st.integers(200, 599), st.text(), st.binary(), st.dictionaries(st.text(), st.text()))
def test_a_final_answer_is_replayed_as_it_was(
    status: int, name: str, body: bytes, fields: dict[str, str]
) -> None:
    reply = Reply(status=status, fields=((name, "x"), *fields.items()), body=body)
    assert rufh.replay(rufh.remember(reply)) == reply


METHODS = ["OPTIONS", "GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "TRACE", "", "get", "☃"]
FIELDS = [
    *("upload-draft-interop-version", "upload-complete", "upload-incomplete", "upload-offset"),
    *("upload-length", "content-type", "content-length", "transfer-encoding", "content-encoding"),
    *("content-disposition", "content-digest", "repr-digest", "want-repr-digest"),
]
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.sampled_from(
        [
            *("?1", "?0", "1", "0", "-1", "5", "3", "6", "8", "chunked", "sha-256=:YQ==:"),
            *("application/partial-upload", 'inline; filename="x"', "sha-256=10, md5=0", "gzip"),
        ]
    ),
)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    path = draw(st.one_of(st.text(), st.sampled_from(["", "/", f"/{KEY}", "/../x", f"//{KEY}/"])))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES))
    return Head(method=draw(st.sampled_from(METHODS)), path=path, fields=fields, base="/files")


@given(heads())
def test_any_head_is_a_command_an_answer_or_a_refusal(head: Head) -> None:
    try:
        found = rufh.parse(head)
    except (Malformed, NotFound, LengthConflict) as refused:
        assert refused.what
        assert refused.why
        assert refused.todo
        assert 400 <= rufh.refuse(refused, head).status < 500
        return
    assert isinstance(found, (Reply, *get_args(Command)))
    if isinstance(found, Reply):
        assert 400 <= found.status < 500
    if isinstance(found, Append):
        assert 0 <= found.write.offset <= LARGEST
        assert found.write.completes is not None


@pytest.mark.parametrize("version", SPOKEN)
def test_a_command_without_words_is_not_composed(version: int | None) -> None:

    with pytest.raises(ValueError, match="Inspect"):
        rufh.compose(Inspect(key=KEY), version=version)
