"""Laws of the readers and writers of field values."""

from __future__ import annotations

import datetime as dt
import email.message
import re
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.errors import Malformed
from towpath.protocol.fields import (
    LARGEST,
    read_date,
    read_disposition,
    read_media_type,
    read_size,
    read_tags,
    same_media_type,
    write_date,
    write_disposition,
    write_name,
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
LAST_DATE = 253_402_300_799  # the last second of the year 9999


@given(st.integers(0, LARGEST))
def test_a_size_that_was_written_is_read_back(size: int) -> None:
    assert read_size(str(size), field="F") == size


@given(st.integers(min_value=LARGEST + 1))
def test_a_size_beyond_the_largest_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        read_size(str(size), field="F")


@given(st.text())
def test_only_ascii_digits_are_a_size(text: str) -> None:
    plain = re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) is not None
    if plain and int(text) <= LARGEST:
        assert read_size(text, field="F") == int(text)
    else:
        with pytest.raises(Malformed) as caught:
            read_size(text, field="F")
        assert caught.value.field == "F"


@given(
    st.from_regex(r"[0-9]{1,10}", fullmatch=True),
    st.sampled_from(
        ["+", "-", "_", " ", "\t", "\n", ".", ",", "e", "x", "\x00", "٣", "²", "߂", "\uff11"]
    ),
    st.integers(0, 10),
)
def test_a_digit_with_anything_beside_it_is_no_size(digits: str, other: str, at: int) -> None:
    with pytest.raises(Malformed):
        read_size(digits[:at] + other + digits[at:], field="F")


@given(st.characters(categories=["Nd", "Nl", "No"]))
def test_digits_of_other_scripts_are_no_size(digit: str) -> None:
    if not digit.isascii():
        with pytest.raises(Malformed):
            read_size(digit, field="F")


@pytest.mark.parametrize("text", ["5.0", "1e3", "0x10", "1_000", "-0", "", "NaN", "inf", "5\n"])
def test_what_python_would_take_for_a_number_is_no_size(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_size(text, field="Upload-Length")
    error = caught.value
    assert error.what
    assert error.why
    assert error.todo


@given(st.integers(0, LAST_DATE))
def test_a_date_that_was_written_is_read_back_to_the_second(second: int) -> None:
    text = write_date(second * 1000 + 999)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", text)
    assert read_date(text) == second * 1000


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_forms_of_a_date_mean_the_same(text: str) -> None:
    """RFC 9110 section 5.6.7."""
    moment = dt.datetime(1994, 11, 6, 8, 49, 37, tzinfo=dt.UTC)
    assert read_date(text) == moment.timestamp() * 1000


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    assert isinstance(read_date(text), int | None)


@given(st.lists(st.from_regex(r'(W/)?"[!#-~]*"', fullmatch=True)))
def test_tags_that_were_listed_are_read_back(tags: list[str]) -> None:
    assert list(read_tags(", ".join(tags))) == tags


@given(st.text())
def test_any_text_is_some_tags_or_none(text: str) -> None:
    assert all(tag == "*" or tag.endswith('"') for tag in read_tags(text))


@given(WORDS, st.sampled_from(["attachment", "inline"]))
def test_no_name_breaks_out_of_a_disposition(name: str, kind: str) -> None:
    value = write_disposition(name, kind=kind)
    assert value.isascii()
    assert value.isprintable()
    read = email.message.Message()
    read["Content-Disposition"] = value
    params = dict(read.get_params(header="content-disposition") or [])
    assert read.get_content_disposition() == kind
    assert set(params) <= {kind, "filename", "filename*", "name"}
    assert re.fullmatch(
        r"(attachment|inline); filename=\"[^\"\\%/]+\"(; filename\*=UTF-8''[A-Za-z0-9%._~-]+)?",
        value,
    )


@given(WORDS)
def test_a_disposition_tells_the_last_segment_of_the_name(name: str) -> None:
    last = name.rpartition("/")[2] or "download"
    _, _, coded = write_disposition(name).partition("filename*=UTF-8''")
    plain = re.search(r'filename="([^"]*)"', write_disposition(name))
    assert plain is not None
    assert (urllib.parse.unquote(coded) if coded else plain[1]) == last


@given(WORDS)
def test_a_name_in_a_field_is_one_ascii_word(name: str) -> None:
    text = write_name(name)
    assert re.fullmatch(r"[A-Za-z0-9%._~/-]*", text)
    assert urllib.parse.unquote(text) == name


@given(st.text())
def test_a_media_type_that_is_kept_is_safe_to_send(text: str) -> None:
    kept = read_media_type(text)
    assert kept is None or re.fullmatch(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", kept)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("text/html", "text/html"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("text/html\r\nSet-Cookie: a=b", None),
        ("text", None),
        ("text/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_media_type_is_kept_without_case_and_parameters(
    text: str | None, kept: str | None
) -> None:
    assert read_media_type(text) == kept
    assert same_media_type(text, "text/html") is (kept is not None)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (None, None),
        ("inline", None),
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; FileName=x.bin; size=3", "x.bin"),
        ("inline; filename=\"a\"; filename*=UTF-8''n%C3%A4me", "näme"),
        ("inline; filename*=iso-8859-1'en'n%E4me", "näme"),
        ("inline; filename*=UTF-8''%ff; filename=ok", "ok"),
        ("inline; filename*=koi8-r''x; filename=ok", "ok"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\\\\\temp\\\\\\\\x"', "x"),
        ("inline; filename*=UTF-8''..%2f..%5cx", "x"),
        ('attachment; filename="a\\"b;filename*=UTF-8\'\'c"', "a\"b;filename*=UTF-8''c"),
        ('form-data; filename=""', None),
        ('inline; filename="n\xc3\xa4me"', "näme"),
        ('inline; filename="n\xe4me"', "näme"),
        ('inline; filename="unclosed', None),
    ],
)
def test_a_file_name_is_taken_from_a_disposition_without_folders(
    said: str | None, name: str | None
) -> None:
    assert read_disposition(said) == name


@given(st.text(st.characters(max_codepoint=255)))
def test_no_disposition_makes_its_reader_raise_or_gives_a_folder(said: str) -> None:
    for text in (said, f"inline; filename={said}", f"inline; filename*=UTF-8''{said}"):
        name = read_disposition(text)
        assert name is None or not {"/", "\\"} & set(name)
