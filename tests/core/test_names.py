"""What can be a name, and what is tried when one is taken."""

from __future__ import annotations

import unicodedata
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.names import alternatives, check_name
from towpath.errors import Malformed

segments = st.one_of(
    st.text(st.sampled_from("ab.é e\u0301\u0958名😀\u1e9b\u0323"), min_size=1, max_size=270),
    st.text(min_size=1, max_size=30),
)
names = st.lists(segments, min_size=1, max_size=6).map("/".join)


@given(names)
def test_what_is_taken_as_a_name_is_taken_again_unchanged(asked: str) -> None:
    try:
        name = check_name(asked)
    except Malformed as error:
        refused = error
    else:
        assert check_name(name) == name == unicodedata.normalize("NFC", asked)
        assert len(name.encode()) <= 1024
        return
    assert refused.field == "name"
    assert refused.why.isprintable()


@given(names)
def test_every_alternative_is_a_name_and_no_two_are_the_same(asked: str) -> None:
    try:
        name = check_name(asked)
    except Malformed:
        return
    tries = list(islice(alternatives(name), 12))
    assert tries[0] == name
    assert len(set(tries)) == len(tries)
    for path in tries:
        assert check_name(path, longest=2000) == path
        assert path.rpartition("/")[0] == name.rpartition("/")[0]


@pytest.mark.parametrize(
    "hostile",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/."),
        *("a\\b", "..\\a", "C:\\a", "a\0b", "a\nb", "a\rb", "a\x1bb", "a\x7fb", "a\x85b"),
        *("a\u2028b", "a\u2029b", "a\u202eb", "a\u2066b", "a\u200fb", "a\u061cb"),
        *("a\ud800b", "a\udfff", "a\uffff", "a" * 256, "é" * 128, "\u0958" * 43),
        "/".join(["a" * 200] * 6),
    ],
    ids=ascii,
)
def test_a_hostile_name_is_refused(hostile: str) -> None:
    with pytest.raises(Malformed):
        check_name(hostile)


@pytest.mark.parametrize(
    "name",
    ["a", "folder/file.bin", ".hidden", "...", "a b", "été/名.bin", "a:b", "a" * 255, "~", "-rf"],
)
def test_a_harmless_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


def test_a_name_is_kept_in_composed_form() -> None:
    assert check_name("e\u0301te\u0301") == "été"


def test_a_name_may_be_as_long_as_the_limit_says() -> None:
    assert check_name("é" * 5, longest=10) == "é" * 5
    with pytest.raises(Malformed, match="longer than 9 bytes"):
        check_name("é" * 5, longest=9)


def test_a_refusal_names_the_field_and_shows_no_control_character() -> None:
    with pytest.raises(Malformed) as refused:
        check_name("a\x1b[31m", field="filename")
    assert refused.value.field == "filename"
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a", "a (2)"),
        ("a.bin", "a (2).bin"),
        ("x.y/a.tar.gz", "x.y/a (2).tar.gz"),
        (".hidden", ".hidden (2)"),
        ("x/.hidden.txt", "x/.hidden.txt (2)"),
        ("a" * 255, "a" * 251 + " (2)"),
        ("é" * 127, "é" * 125 + " (2)"),
        ("a" * 251 + ".bin", "a" * 247 + " (2).bin"),
        ("a." + "b" * 253, "a." + "b" * 249 + " (2)"),
    ],
)
def test_the_number_stands_before_the_suffix(name: str, second: str) -> None:
    assert list(islice(alternatives(name), 2)) == [name, second]
