"""Text: nothing tracked names a machine, a registry or work put off; links lead somewhere."""

import re
from collections.abc import Iterator

import pytest

from tests.tidy import tree

# Taken apart, so that this file does not find itself.
PLACES = re.compile(
    "|".join(
        re.escape(first + rest)
        for first, rest in [
            ("pypi", ".org"),
            ("python", "hosted"),
            ("npm", "js."),
            ("registry.", "npm"),
            ("deb.", "debian"),
            ("/wo", "rk/"),
            ("/ro", "ot/"),
            ("/ho", "me/"),
            ("/opt/", "pypi"),
        ]
    )
)
PUT_OFF = re.compile("|".join(rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "HA" + "CK")))


def found(pattern: re.Pattern[str], path: str, text: str) -> Iterator[str]:
    """Name the lines that a pattern is found in."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := pattern.search(line):
            yield f"{path}:{number}: {match.group()}"


def dead_links(path: str, text: str) -> Iterator[str]:
    """Name the links of a Markdown file to files that do not exist."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not (tree.ROOT / path).parent.joinpath(target).exists():
            yield f"{path}: {target}"


@pytest.mark.parametrize("pattern", [PLACES, PUT_OFF], ids=["places", "put off"])
def test_tracked_text_is_free_of(pattern: re.Pattern[str]) -> None:
    assert [line for path, text in tree.texts() for line in found(pattern, path, text)] == []


def test_links_of_texts_lead_to_files() -> None:
    pages = ((path, text) for path, text in tree.texts() if path.endswith(".md"))
    assert [link for path, text in pages for link in dead_links(path, text)] == []


def test_a_dead_link_is_seen() -> None:
    text = "[a](../README.md#top) [b](gone.md) [c](https://example.org/x) [d](#here)"
    assert list(dead_links("docs/page.md", text)) == ["docs/page.md: gone.md"]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (PLACES, "--index-url https://" + "pypi" + ".org/simple"),
        (PLACES, '"resolved": "https://registry.' + "npm" + 'js.org/x.tgz"'),
        (PLACES, "# via -r /wo" + "rk/tree/requirements/dev.in"),
        (PUT_OFF, "x = 1  # TO" + "DO: later"),
    ],
)
def test_text_that_does_not_belong_is_seen(pattern: re.Pattern[str], line: str) -> None:
    assert len(list(found(pattern, "f", f"fine\n{line}\n"))) == 1


def test_words_that_only_look_alike_are_left_alone() -> None:
    assert list(found(PUT_OFF, "f", "mastodon, TODOS.md_, hackney")) == []
    assert list(found(PLACES, "f", "npm ci; homework/root; /towpath/work")) == []
