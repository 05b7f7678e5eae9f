"""Structured fields: what is of the type is read, and anything else is as if not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.protocol.structured import (
    LARGEST,
    read_boolean,
    read_dictionary,
    read_integer,
    write_boolean,
    write_dictionary,
)

KEYS = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,10}", fullmatch=True)
INTEGERS = st.integers(-LARGEST, LARGEST)
ANYTHING = st.one_of(st.text(st.characters(max_codepoint=255)), st.text('?01ab=,;() \t":@%.-*'))


@given(st.booleans())
def test_a_boolean_is_read_as_it_was_written(value: bool) -> None:
    assert read_boolean(write_boolean(value)) is value


@given(INTEGERS)
def test_an_integer_is_read_as_it_was_written(value: int) -> None:
    assert read_integer(str(value)) == value


@given(st.dictionaries(KEYS, INTEGERS))
def test_a_dictionary_of_integers_is_read_as_it_was_written(members: dict[str, int]) -> None:
    assert read_dictionary(write_dictionary(members)) == members


@given(ANYTHING)
def test_nothing_that_comes_makes_a_reader_raise(text: str) -> None:
    integer = read_integer(text)
    assert integer is None or abs(integer) <= LARGEST
    assert read_boolean(text) is None or integer is None
    read_dictionary(text)


@pytest.mark.parametrize(
    "text", ["?1", " ?1 ", "?1;a", "?1; a=b;c=?0", '?1;a="x;y"', "?1;a=:YQ==:"]
)
def test_white_space_around_and_parameters_behind_do_not_matter(text: str) -> None:
    assert read_boolean(text) is True


@pytest.mark.parametrize(
    "text",
    [None, "", "1", "true", "?2", "?", "?10", "? 1", "?1, ?1", "?1;", "?1;A=1", '"?1"', "?T"],
)
def test_what_is_no_boolean_is_not_there(text: str | None) -> None:
    assert read_boolean(text) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "+5",
        "1_000",
        "\u0665",
        "5.0",
        "1e3",
        "0x1",
        "1000000000000000",
        "?1",
        "1, 2",
        "1 2",
    ],
)
def test_what_is_no_integer_is_not_there(text: str | None) -> None:
    assert read_integer(text) is None


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", {}),
        ("a", {"a": True}),
        ("a;x=1, b=?0", {"a": True, "b": False}),
        ("a=1,b=2\t,\tc=3", {"a": 1, "b": 2, "c": 3}),
        ("b=1, a=2, b=3", {"a": 2, "b": 3}),
        ('s="x, y=\\"1\\"", n=1', {"s": '"x, y=\\"1\\""', "n": 1}),
        ("l=(1 2;q=1);p, n=1", {"l": "(1 2;q=1);p", "n": 1}),
        ("d=@1659578233, f=1.5", {"d": "@1659578233", "f": "1.5"}),
        ("t=a/b:c, y=:YQ==:", {"t": "a/b:c", "y": ":YQ==:"}),
    ],
)
def test_dictionaries_have_members_of_any_type(text: str, members: dict[str, object]) -> None:
    assert read_dictionary(text) == members


@pytest.mark.parametrize(
    "text", [None, "a=1,", ",a=1", "a=1 b=2", "A=1", "a=", "a==1", "1=a", "a=(1"]
)
def test_what_is_no_dictionary_is_not_there(text: str | None) -> None:
    assert read_dictionary(text) is None


def test_what_no_integer_can_say_is_written_as_the_largest() -> None:
    assert write_dictionary({"max-size": 2**63}) == f"max-size={LARGEST}"
