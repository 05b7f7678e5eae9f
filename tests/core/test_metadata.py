"""What came with an upload is read in the forms that it comes in, and is never a fault."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.metadata import read_metadata, read_pairs

KEYS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=",{"), min_size=1
)


@given(st.dictionaries(KEYS, st.text()))
def test_what_was_sent_is_read_back_in_either_form(said: dict[str, str]) -> None:
    pairs = ",".join(
        f"{key} {base64.b64encode(each.encode()).decode()}" for key, each in said.items()
    )
    assert read_metadata(pairs) == said
    assert read_metadata(json.dumps(said)) == said


@given(st.text())
def test_any_text_is_read_or_has_nothing(text: str) -> None:
    assert isinstance(read_metadata(text), dict)


@pytest.mark.parametrize("text", ["{", "{}}", "a YQ==,a YQ==", "a !!!", "a b c", "a 7bCA"])
def test_what_cannot_be_read_has_nothing(text: str) -> None:
    assert read_metadata(text) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",", "printable ASCII"),
        ("a YQ==,a YQ==", "“a” is there twice"),
        ("a !!!", "“a” is not base64"),
        ("a 7bCA", "“a” is not UTF-8"),
    ],
)
def test_pairs_that_cannot_be_read_say_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_pairs(text)
