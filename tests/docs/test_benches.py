"""Every measurement that a document names is there, and is called as it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bench.__main__ import listed
from tests.tidy import tree

CALLED = re.compile(r"python3?\s+-m\s+bench(?P<dot>\.?)(?:\s*(?P<name>[a-z]\w*))?")
FILE = re.compile(r"python3?\s+(bench/\w+\.py)")


def missing(path: str, text: str, known: set[str]) -> Iterator[str]:
    """Name the commands of a text that would measure nothing."""
    for match in CALLED.finditer(text):
        if match["dot"] or (match["name"] and match["name"] not in known):
            yield f"{path}: {match.group()}"
    for name in FILE.findall(text):
        if not (tree.ROOT / name).is_file():
            yield f"{path}: {name}"


def test_documents_name_measurements_that_there_are() -> None:
    pages = {path: text for path, text in tree.texts() if path.endswith(".md")}
    assert any(CALLED.search(text) for text in pages.values())
    known = {*listed(), "list"}
    assert [each for path, text in pages.items() for each in missing(path, text, known)] == []


@pytest.mark.parametrize(
    "command", ["python -m bench.codec", "python -m bench gone", "python -m bench\ngone"]
)
def test_a_command_that_measures_nothing_is_seen(command: str) -> None:
    text = f"fine\n`{command} --rounds 9` prints\n"
    assert list(missing("f", text, {"codec"})) == [f"f: {command}"]


def test_a_file_that_is_gone_is_seen() -> None:
    assert list(missing("f", "`python bench/gone.py`", set())) == ["f: bench/gone.py"]


@pytest.mark.parametrize(
    "text",
    [
        "`python -m bench codec --rounds 9`",
        "`python -m bench --rounds 5`",
        "`python -m bench`: all",
    ],
)
def test_a_command_that_runs_is_let_pass(text: str) -> None:
    assert list(missing("f", text, {"codec"})) == []
