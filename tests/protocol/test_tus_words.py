"""Laws of the tus dialect: whatever comes, it is a command, an answer, or a refusal."""

from __future__ import annotations

import base64
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.command import Append, Cancel, Claim, Command, Create, Discover, Fetch
from towpath.errors import Malformed, NotFound, TowpathError
from towpath.protocol.fields import LARGEST
from towpath.protocol.message import Head, Reply, join_fields
from towpath.protocol.tus import BODY, parse, read_metadata

KEY = "0123456789abcdefghijklmnopqrstu"
METHODS = ["OPTIONS", "GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "TRACE", "", "get", "☃"]
FIELDS = [
    "tus-resumable",
    "upload-length",
    "upload-defer-length",
    "upload-offset",
    "upload-metadata",
    "upload-concat",
    "upload-checksum",
    "content-type",
    "content-length",
    "transfer-encoding",
    "x-http-method-override",
]
LATIN = st.text(st.characters(max_codepoint=255))
VALUES = st.one_of(
    LATIN,
    st.sampled_from(["1.0.0", "1", "0", "-1", "5", BODY, "chunked", "final;/a /b", "a YQ==", ""]),
)
KEYS = st.from_regex(r"[!-+\--~]{1,20}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def heads(draw: st.DrawFn) -> Head:
    path = draw(st.one_of(st.text(), st.sampled_from(["", "/", f"/{KEY}", "/../x", f"//{KEY}/"])))
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES))
    return Head(method=draw(st.sampled_from(METHODS)), path=path, fields=fields, base="/files")


def require_words(refused: TowpathError) -> None:
    assert refused.what
    assert refused.why
    assert refused.todo


@given(heads())
def test_any_head_is_a_command_an_answer_or_a_refusal(head: Head) -> None:
    try:
        found = parse(head)
    except (Malformed, NotFound) as refused:
        require_words(refused)
        return
    assert isinstance(found, (Reply, *get_args(Command)))
    if isinstance(found, Reply):
        assert 400 <= found.status < 500
    if isinstance(found, Append):
        assert 0 <= found.write.offset <= LARGEST
        assert found.write.length is None or 0 <= found.write.length <= LARGEST


@given(heads())
def test_without_its_version_only_reading_and_asking_is_done(head: Head) -> None:
    fields = {name: value for name, value in head.fields.items() if name != "tus-resumable"}
    try:
        found = parse(Head(method=head.method, path=head.path, fields=fields, base="/files"))
    except (Malformed, NotFound):
        return
    assert isinstance(found, Reply | Discover | Fetch)


@given(LATIN)
def test_any_text_is_metadata_or_malformed(text: str) -> None:
    try:
        values = read_metadata(text)
    except Malformed as refused:
        require_words(refused)
        return
    assert all(key and key.isascii() for key in values)


@given(st.text())
def test_text_that_no_header_can_carry_is_metadata_or_malformed(text: str) -> None:
    try:
        read_metadata(text)
    except Malformed as refused:
        require_words(refused)


@given(st.dictionaries(KEYS, TEXT), st.sampled_from([",", ", ", " ,  "]))
def test_metadata_that_was_written_is_read_back(values: dict[str, str], between: str) -> None:
    pairs = (f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in values.items())
    assert read_metadata(between.join(pairs)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("  ", {}),
        ("key", {"key": ""}),
        ("key ", {"key": ""}),
        ("key  ", {"key": ""}),
        ("a YQ==,b,c ", {"a": "a", "b": "", "c": ""}),
        (" a   YQ== , b Yg== ", {"a": "a", "b": "b"}),
    ],
)
def test_a_key_without_value_has_the_empty_one(text: str, values: dict[str, str]) -> None:
    assert read_metadata(text) == values


@pytest.mark.parametrize(
    "text",
    [
        "a YQ==,a YQ==",
        "a YQ",
        "a !!!!",
        "a Y Q==",
        "a /w==",
        "a 7bCA",
        "a YQ\xe9=",
        ",",
        "a YQ==,",
        ",a YQ==",
        "\xe9 YQ==",
        "a\tYQ==",
        "a YQ==;b Yg==",
        "a YQ-_",
    ],
)
def test_metadata_with_a_flaw_is_malformed(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_metadata(text)
    assert caught.value.field == "Upload-Metadata"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("OPTIONS", "/", Discover),
        ("OPTIONS", f"/{KEY}", Discover),
        ("POST", "", Create),
        ("POST", "/", Create),
        ("HEAD", f"/{KEY}", Claim),
        ("PATCH", f"/{KEY}", Append),
        ("DELETE", f"/{KEY}", Cancel),
        ("GET", f"/{KEY}", Fetch),
    ],
)
def test_each_method_has_its_command(method: str, path: str, kind: type[Command]) -> None:
    fields = {
        "tus-resumable": "1.0.0",
        "upload-length": "10",
        "upload-offset": "0",
        "content-type": BODY,
    }
    if kind is Append:
        del fields["upload-length"]
    assert isinstance(parse(Head(method=method, path=path, fields=fields)), kind)


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../" + KEY,
        f"/{KEY}/..",
        f"/{KEY}\x00",
        f"/{KEY}\n",
        "/" + KEY.upper(),
        "/" + "a" * 65,
    ],
)
def test_what_cannot_be_an_address_is_not_found(path: str) -> None:
    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        fields = {"tus-resumable": "1.0.0", "upload-offset": "0", "content-type": BODY}
        with pytest.raises(NotFound):
            parse(Head(method=method, path=path, fields=fields))


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity", "chunked, chunked", "x", ""])
def test_a_body_in_a_coding_that_is_not_undone_is_refused(coding: str) -> None:
    fields = {
        "tus-resumable": "1.0.0",
        "upload-offset": "0",
        "content-type": BODY,
        "transfer-encoding": coding,
    }
    with pytest.raises(Malformed) as caught:
        parse(Head(method="PATCH", path=f"/{KEY}", fields=fields))
    assert caught.value.field == "Transfer-Encoding"


@given(st.lists(st.tuples(st.sampled_from([b"A", b"a", b"B"]), st.binary())))
def test_fields_of_one_name_are_joined_in_order(pairs: list[tuple[bytes, bytes]]) -> None:
    fields = join_fields(pairs)
    for name in ("a", "b"):
        values = [v.decode("latin-1").strip() for n, v in pairs if n.decode().lower() == name]
        assert fields.get(name) == (", ".join(values) if values else None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("upload-concat", f"final;/files/{KEY} \r/files/{KEY}"),
        ("upload-concat", f"final;/files/{KEY}\t/files/{KEY}"),
        ("upload-metadata", "a YQ==\r,b YQ=="),
        ("upload-metadata", "a \nYQ=="),
    ],
)
def test_what_is_told_again_cannot_end_a_line(field: str, value: str) -> None:
    said = {"upload-length": "3"} if field == "upload-metadata" else {}
    head = Head(
        method="POST",
        path="/",
        fields={"tus-resumable": "1.0.0", field: value, **said},
        base="/files",
    )
    with pytest.raises(Malformed) as refused:
        parse(head)
    assert refused.value.field == field.title()


@pytest.mark.parametrize("address", ["http://a]/files/x", "http://[::1/files/x", f"//[/{KEY}"])
def test_an_address_of_a_part_that_cannot_be_read_is_refused(address: str) -> None:
    fields = {"tus-resumable": "1.0.0", "upload-concat": f"final;{address}"}
    with pytest.raises(Malformed):
        parse(Head(method="POST", path="/", fields=fields, base="/files"))
