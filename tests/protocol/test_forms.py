"""multipart/form-data: one form, however it is cut, gives the same; what is no form is refused."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towpath.errors import Malformed
from towpath.protocol.forms import (
    MOST_AROUND,
    MOST_FIELD_BYTES,
    MOST_PARTS,
    Event,
    Field,
    FileBegin,
    FileBytes,
    FileEnd,
    FormEnd,
    FormReader,
    is_form,
    read_boundary,
)

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
FILE = random.Random(1).randbytes(300) + b"\r\n--" + BOUNDARY[:-1] + b"\r\n\r" + b"\r\n-" * 9


def part(head: str, content: bytes, eol: bytes = b"\r\n") -> bytes:
    return b"--%s%s%s%s%s%s" % (BOUNDARY, eol, head.encode(), eol * 2, content, eol)


def named(name: str, value: bytes, eol: bytes = b"\r\n") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value, eol)


def file_part(content: bytes, extra: str = "", eol: bytes = b"\r\n") -> bytes:
    head = f'Content-Disposition: form-data; name="file"; filename="a b.pdf"{extra}'
    return part(head + eol.decode() + "Content-Type: application/pdf", content, eol)


END = b"--" + BOUNDARY + b"--\r\n"
FORM = named("chunk_id", b"7") + file_part(FILE) + named("is_final", "ja ü".encode()) + END
READ = [
    Field("chunk_id", "7"),
    FileBegin("file", "a b.pdf", "application/pdf"),
    FILE,
    FileEnd(),
    Field("is_final", "ja ü"),
    FormEnd(),
]


def read(blocks: list[bytes], **options: Any) -> list[Event | bytes]:
    """The events of a whole form, neighbouring bytes of a file joined."""
    reader = FormReader(BOUNDARY, **options)
    events: list[Event | bytes] = []
    for block in blocks:
        for event in reader.feed(memoryview(block)):
            if not isinstance(event, FileBytes):
                events.append(event)
            elif events and isinstance(events[-1], bytes):
                events[-1] += bytes(event.view)
            else:
                events.append(bytes(event.view))
    reader.finish()
    return events


def cut(form: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(form), *(place % (len(form) + 1) for place in places)})
    return [form[start:end] for start, end in pairwise(ends)]


def test_fields_file_and_fields_behind_it_are_read_in_order() -> None:
    assert read([FORM]) == READ


def test_a_form_cut_after_every_byte_reads_the_same() -> None:
    assert read([bytes([byte]) for byte in FORM]) == READ


def test_a_form_cut_at_any_one_place_reads_the_same() -> None:
    for place in range(len(FORM) + 1):
        assert read(cut(FORM, [place])) == READ, place


NEARLY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY, b"\r\n--", BOUNDARY[:9], b"x"])
)


@given(pieces=NEARLY, places=st.lists(st.integers(min_value=0)))
def test_any_content_cut_anywhere_comes_out_as_it_was(
    pieces: list[bytes], places: list[int]
) -> None:
    content = b"".join(pieces).replace(b"\r\n--" + BOUNDARY, b"")
    while b"\r\n--" + BOUNDARY in content:
        content = content.replace(b"\r\n--" + BOUNDARY, b"")
    form = named("a", b"1") + file_part(content) + END
    events = read(cut(form, places))
    assert b"".join(event for event in events if isinstance(event, bytes)) == content
    assert [type(event) for event in events if not isinstance(event, bytes)] == [
        *(Field, FileBegin, FileEnd, FormEnd)
    ]


PIECES = [
    *(b"--", BOUNDARY, b"\r\n", b"\n", b"\r", b"-", b" ", b"\t", b":", b";", b'"', b"\\", b"%22"),
    *(b"name=", b"filename=", b"filename*=utf-8''%ff", b"a", b"\xff", b"\0", b"form-data", END),
    *(b"--" + BOUNDARY + b"\r\n", b'Content-Disposition: form-data; name="a"', b"\r\n\r\n"),
    b"Content-Transfer-Encoding: base64\r\n",
]


def outcome(blocks: list[bytes]) -> object:
    try:
        return read(blocks)
    except Malformed as error:
        return error.field, error.why


@settings(max_examples=500)
@given(
    form=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(PIECES),
            max_size=40,
        ).map(b"".join),
    ),
    places=st.lists(st.integers(min_value=0), max_size=20),
)
def test_hostile_forms_are_malformed_and_nothing_else(form: bytes, places: list[int]) -> None:
    whole = outcome([form])
    assert outcome(cut(form, places)) == whole
    assert not isinstance(whole, tuple) or whole[0]


@settings(max_examples=300)
@given(at=st.integers(0, len(FORM) - 1), byte=st.integers(0, 255), places=st.lists(st.integers(0)))
def test_a_form_with_a_wrong_byte_is_read_or_refused_whatever_the_cuts(
    at: int, byte: int, places: list[int]
) -> None:
    form = FORM[:at] + bytes([byte]) + FORM[at + 1 :]
    assert outcome(cut(form, places)) == outcome([form])


def test_bytes_of_a_file_are_slices_of_the_block_they_came_in() -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(memoryview(file_part(b"")[: -len(b"\r\n")]))
    block = bytearray(b"x" * 1000)
    (event,) = reader.feed(memoryview(block))
    assert isinstance(event, FileBytes)
    assert event.view.obj is block


def test_no_more_than_a_delimiter_is_held_back() -> None:
    reader = FormReader(BOUNDARY)
    reader.feed(memoryview(file_part(b"")[:-2]))
    assert reader.held == 0
    reader.feed(memoryview(b"data\r\n--" + BOUNDARY[:5]))
    assert reader.held == 4 + 5
    assert reader.feed(memoryview(b"!")) != []
    assert reader.held == 0


def test_lines_may_end_in_lf_alone_if_all_do() -> None:
    form = named("a", b"1", b"\n") + file_part(b"x\r\ny\r", eol=b"\n") + END
    assert read([form])[2] == b"x\r\ny\r"
    with pytest.raises(Malformed):
        read([named("a", b"1", b"\n") + named("b", b"2")])


def test_an_empty_file_and_an_empty_field_are_there() -> None:
    events = read([named("a", b"") + file_part(b"") + END])
    assert events[:3] == [Field("a", ""), READ[1], FileEnd()]


def test_a_form_without_parts_ends_at_once() -> None:
    assert read([END]) == [FormEnd()]


def test_a_short_preamble_and_epilogue_do_not_count() -> None:
    assert read([b"This is a form.\r\n" + FORM + b"The end."]) == READ


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_long_preamble_or_epilogue_is_refused(where: str) -> None:
    much = b"x" * (MOST_AROUND + 100) + b"\r\n"
    with pytest.raises(Malformed) as caught:
        read([much + FORM if where == "before" else FORM + much])
    assert caught.value.field


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('filename="a%22b.pdf"', 'a"b.pdf'),
        (r'filename="a\"b.pdf"', 'a"b.pdf'),
        (r'filename="C:\docs\a.pdf"', r"C:\docs\a.pdf"),
        ('filename="bücher;=.pdf"', "bücher;=.pdf"),
        ("filename=plain.pdf", "plain.pdf"),
        ("filename=\"x\"; filename*=UTF-8''b%C3%BCcher.pdf", "bücher.pdf"),
        ("filename*=iso-8859-1''b%FCcher.pdf", ""),
        ('filename=""', ""),
        ('FILENAME="a"', "a"),
    ],
)
def test_file_names_are_read_as_browsers_and_tools_write_them(written: str, meant: str) -> None:
    head = f'content-disposition: Form-Data; name="f"; {written}'
    events = read([part(head, b"x") + END])
    assert events[0] == FileBegin("f", meant, None)


def test_a_part_without_file_name_is_a_file_if_its_name_says_so() -> None:
    assert read([named("chunk", b"x") + END], files={"chunk"})[0] == FileBegin("chunk", None, None)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        pytest.param(b"", "form", id="nothing"),
        pytest.param(b"--" + BOUNDARY + b"\r\n", "form", id="cut"),
        pytest.param(file_part(b"x" * 9), "file", id="no end"),
        pytest.param(named("a", b"\xff") + END, "a", id="not utf-8"),
        pytest.param(named("a", b"x" * (MOST_FIELD_BYTES + 1)) + END, "a", id="large field"),
        pytest.param(named("", b"x") + END, "Content-Disposition", id="no name"),
        pytest.param(part("Content-Type: a/b", b"x") + END, "Content-Disposition", id="no words"),
        pytest.param(part("X" * 9000, b"x") + END, "form", id="long head"),
        pytest.param(b"--" + BOUNDARY + b"x\r\n" + END, "form", id="longer boundary"),
        pytest.param(b"".join([named("a", b"")] * (MOST_PARTS + 1)), "a", id="many fields"),
        pytest.param(
            part(
                'Content-Disposition: form-data; name="z"\r\nContent-Transfer-Encoding: base64', b""
            )
            + END,
            "z",
            id="coded",
        ),
        pytest.param(b"x" * 5000, "form", id="no form"),
    ],
)
def test_what_is_no_form_is_refused_naming_the_field(form: bytes, field: str) -> None:
    with pytest.raises(Malformed) as caught:
        read([form])
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; BOUNDARY="a b=c"; x=y', b"a b=c"),
        ("multipart/form-data;boundary=----WebKitFormBoundary0", b"----WebKitFormBoundary0"),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: bytes) -> None:
    assert is_form(content_type)
    assert read_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "multipart/form-data", "multipart/mixed; boundary=a", "text/plain; boundary=a"),
        *("multipart/form-data; boundary=", 'multipart/form-data; boundary="a "'),
        *(f"multipart/form-data; boundary={'a' * 71}", "multipart/form-data; boundary=a\xe4"),
    ],
)
def test_a_content_type_without_usable_boundary_is_refused(content_type: str | None) -> None:
    with pytest.raises(Malformed) as caught:
        read_boundary(content_type)
    assert caught.value.field == "Content-Type"
