"""Values of JSON bodies and forms: hostile ones are Malformed naming the field, nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.model import Upload
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.errors import Malformed
from towpath.protocol import documents, streaming, values
from towpath.protocol.message import Reply

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(body=st.binary(max_size=40))
def test_a_body_is_an_object_or_malformed(body: bytes) -> None:
    try:
        assert isinstance(values.read_object(body), dict)
    except Malformed as error:
        assert error.field == "body"


@given(value=JSON)
def test_readers_of_values_answer_or_refuse_naming_the_field(value: object) -> None:
    for read in (values.text, values.size, values.flag):
        try:
            found = read({"x": value}, "x")
        except Malformed as error:
            assert error.field == "x"
        else:
            json.dumps(found, ensure_ascii=False).encode()


@given(
    said=st.dictionaries(
        st.sampled_from(
            [
                *("filename", "file_size", "chunk_size", "title", "client_id", "fileName"),
                *("check_duplicates", "auto_build_index", "expected_hash", "fileSize", "mimeType"),
            ]
        ),
        JSON | st.sampled_from(["a.pdf", 5, "5", 2**63 - 1, "0" * 64]),
    )
)
def test_beginnings_are_understood_or_malformed(said: dict[str, object]) -> None:
    for parse in (
        streaming.parse_initialize,
        lambda told: documents.parse_initiate(told, chunk=8, most=None, client="c"),
    ):
        try:
            parse(said)
        except Malformed as error:
            assert error.field


@given(
    said=st.dictionaries(
        st.sampled_from(
            ["uploadId", "chunkIndex", "checksum", "chunk_id", "chunk_offset", "is_final"]
        ),
        st.text(max_size=10) | st.sampled_from(["5", "true", "0" * 32, "A" * 24, "=" * 24]),
    )
)
def test_chunks_are_understood_or_malformed(said: dict[str, str]) -> None:
    for parse in (streaming.parse_chunk, documents.parse_chunk):
        try:
            parse(said)
        except Malformed as error:
            assert error.field


@pytest.mark.parametrize(
    ("value", "size"),
    [(5, 5), ("05", 5), (5e9, 5_000_000_000), (None, None), (2**63 - 1, 2**63 - 1)],
)
def test_sizes_may_be_numbers_or_texts(value: object, size: int | None) -> None:
    assert values.size({"x": value}, "x") == size


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), ("TRUE", True), ("0", False), (None, None)]
)
def test_flags_may_be_truths_or_texts(value: object, flag: bool | None) -> None:
    assert values.flag({"x": value}, "x") is flag


def begun(length: int) -> Upload:
    new = streaming.parse_initialize({"fileName": "a", "fileSize": length, "mimeType": "a/b"})
    return Upload(
        tenant="t",
        owner="o",
        id="k",
        state=UploadState.OPEN,
        length=new.length,
        handle="h",
        metadata=new.metadata,
        dialect=new.dialect,
        memo=new.memo,
        created_at=0,
        updated_at=0,
        expires_at=None,
    )


def told(reply: Reply) -> dict[str, object]:
    found: dict[str, object] = json.loads(reply.body)
    return found


def test_a_file_of_petabytes_is_cut_and_its_missing_chunks_are_listed_in_part() -> None:
    upload = begun(1 << 50)
    assert told(streaming.render_begun(upload))["totalChunks"] == 42_949_673
    status = told(streaming.render_status(upload, Extent(), "/files"))
    assert status["missingCount"] == 42_949_673
    assert status["missingChunks"] == list(range(streaming.MOST_LISTED))
    append = streaming.place(streaming.Chunk(key="k", index=42_949_672), upload)
    assert append.write.end == 1 << 50
