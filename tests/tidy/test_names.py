"""Names: a file is named for its concept, a test for the behaviour that it shows."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.tidy import tree

BANNED_MODULES = {"util", "utils", "helper", "helpers", "common", "misc"}
TEST_WORDS = 3


def banned_names(path: str, module: ast.Module) -> list[str]:
    """Name the files, folders and classes whose names say nothing."""
    parts = PurePosixPath(path).with_suffix("").parts
    found = [f"{path}: {part}" for part in parts if part.strip("_") in BANNED_MODULES]
    if "uds3" not in parts:  # speaks words that are not ours
        found += [f"{path}: {c.name}" for c in tree.classes(module) if c.name.endswith("Manager")]
    return found


def short_test_names(path: str, module: ast.Module) -> Iterator[str]:
    """Name the tests whose names are no sentences."""
    for function in tree.functions(module):
        words = function.name.split("_")
        if words[0] == "test" and len(words) <= TEST_WORDS:
            yield f"{path}::{function.name}"


def undocumented(path: str, module: ast.Module) -> Iterator[str]:
    """Name what a reader opens first and finds unexplained: files, and interfaces' methods.

    That public functions and classes say what they do is ruff's to see (D101, D103). It leaves the
    methods of an interface to us: their contract stands there and nowhere else.
    """
    if ast.get_docstring(module) is None and module.body:
        yield path
    for interface in tree.classes(module):
        for method in tree.interface_methods(interface):
            if ast.get_docstring(method) is None:
                yield f"{path}::{interface.name}.{method.name}"


def test_no_name_is_banned() -> None:
    assert [name for path, module in tree.python() for name in banned_names(path, module)] == []


def test_names_of_tests_are_sentences() -> None:
    named = [short for path, m in tree.python("tests") for short in short_test_names(path, m)]
    assert named == []


def test_files_and_interfaces_explain_themselves() -> None:
    assert [what for path, module in tree.python() for what in undocumented(path, module)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("src/towpath/core/utils.py", ""),
        ("src/towpath/helpers/ranges.py", ""),
        ("src/towpath/_common.py", ""),
        ("src/towpath/engine/lease.py", "class LeaseManager: ..."),
    ],
)
def test_a_banned_name_is_seen(path: str, source: str) -> None:
    assert len(banned_names(path, ast.parse(source))) == 1


def test_the_foreign_manager_may_keep_its_name() -> None:
    source = ast.parse("class StreamingManager: ...")
    assert banned_names("src/towpath/uds3/streaming.py", source) == []


def test_a_short_test_name_is_seen() -> None:
    source = ast.parse("class A:\n  async def test_write(self): ...\ndef test_a_b_c(): ...\n")
    assert list(short_test_names("t.py", source)) == ["t.py::test_write"]


def test_a_missing_explanation_is_seen() -> None:
    source = ast.parse("class Store(Protocol):\n  def seal(self): ...\n  def _own(self): ...\n")
    assert list(undocumented("s.py", source)) == ["s.py", "s.py::Store.seal"]
    assert list(undocumented("s.py", ast.parse('"""Says."""\n'))) == []
