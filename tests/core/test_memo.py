"""What dialects keep with an upload."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from towpath.core.memo import memorize, recall
from towpath.testing.rows import upload

NAMES = ["tus", "rufh", "documents", "streaming", "docs"]
TEXTS = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=20)


@given(st.sampled_from(NAMES), TEXTS, st.lists(st.tuples(st.sampled_from(NAMES), TEXTS)))
def test_each_dialect_recalls_what_it_kept_last_and_nothing_else(
    creator: str, first: str, kept: list[tuple[str, str]]
) -> None:
    row = upload(dialect=creator, memo=first)
    expected: dict[str, Any] = {creator: first}
    for name, text in kept:
        row = memorize(row, name, text)
        expected[name] = text
    assert {name: recall(row, name) for name in NAMES} == {
        name: expected.get(name, "") for name in NAMES
    }


def test_what_only_the_creator_keeps_is_its_text_alone() -> None:
    assert memorize(upload(dialect="tus", memo=""), "tus", "partial").memo == "partial"
