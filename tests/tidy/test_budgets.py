"""Budgets: what grows beyond a screen or a head is taken apart, or raised here with its reason."""

import ast
from collections.abc import Iterator

import pytest

from tests.tidy import tree

MODULE_LINES = 400
FUNCTION_LINES = 70
INTERFACE_METHODS = 8
FOLDER_LEVELS = 2

# path, path::function or path::Class -> (its own limit, the reason)
RAISED: dict[str, tuple[int, str]] = {
    "src/towpath/store/base.py::Store": (
        10,
        "settle, space and close stand beside the verbs, so that no verb does two things",
    ),
}

Size = tuple[str, int, int]  # what, how large, the budget


def sizes(path: str, module: ast.Module, lines: int) -> Iterator[Size]:
    """Measure a file and all in it that has a budget."""
    yield path, lines, MODULE_LINES
    for function in tree.functions(module):
        length = (function.end_lineno or 0) - function.lineno + 1
        yield f"{path}::{function.name}", length, FUNCTION_LINES
    for interface in tree.classes(module):
        methods = len(tree.interface_methods(interface))
        yield f"{path}::{interface.name}", methods, INTERFACE_METHODS


def over(measured: Iterator[Size], raised: dict[str, tuple[int, str]]) -> list[str]:
    """Say what is over its budget."""
    return [
        f"{what}: {size} > {raised.get(what, (budget, ''))[0]}"
        for what, size, budget in measured
        if size > raised.get(what, (budget, ""))[0]
    ]


def too_deep(path: str) -> bool:
    """Tell whether a file of the package lies below more folders than a reader keeps in mind."""
    inside = path.removeprefix("src/towpath/")
    return path != inside and inside.count("/") > FOLDER_LEVELS


def all_sizes() -> Iterator[Size]:
    """Measure the project."""
    for path, module in tree.python():
        yield from sizes(path, module, len((tree.ROOT / path).read_text().splitlines()))


def test_nothing_is_over_its_budget() -> None:
    assert over(all_sizes(), RAISED) == []


def test_a_raised_budget_is_needed_and_has_a_reason() -> None:
    default = {what: (size, budget) for what, size, budget in all_sizes()}
    for what, (limit, reason) in RAISED.items():
        assert what in default, f"{what} is gone: remove its raised budget"
        size, budget = default[what]
        assert budget < size <= limit, f"{what} fits its budget: do not raise it"
        assert len(reason.split()) > 3, f"say why {what} may be larger"


def test_folders_lie_at_most_two_levels_below_the_package() -> None:
    assert [path for path, _ in tree.python("src") if too_deep(path)] == []


def sample(source: str) -> Iterator[Size]:
    return sizes("x.py", ast.parse(source), len(source.splitlines()))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param("x = 1\n" * 401, "x.py: 401 > 400", id="module"),
        pytest.param("def long():\n" + "    x = 1\n" * 70, "x.py::long: 71 > 70", id="function"),
        pytest.param(
            "class A:\n  async def long(self):\n" + "    x = 1\n" * 70,
            "x.py::long: 71 > 70",
            id="method",
        ),
        pytest.param(
            "class Wide(Protocol[T]):\n" + "".join(f"  def m{n}(self): ...\n" for n in range(9)),
            "x.py::Wide: 9 > 8",
            id="interface",
        ),
    ],
)
def test_a_budget_that_is_passed_is_seen(source: str, complaint: str) -> None:
    assert over(sample(source), {}) == [complaint]


def test_properties_and_private_methods_do_not_count_against_an_interface() -> None:
    methods = "".join(f"  def m{n}(self): ...\n" for n in range(8))
    source = (
        f"class Wide(abc.ABC):\n{methods}  @property\n  def p(self): ...\n  def _q(self): ...\n"
    )
    assert over(sample(source), {}) == []


def test_a_raised_budget_holds_for_its_file_only() -> None:
    raised = {"x.py": (401, "a sample of a reason")}
    assert over(sample("x = 1\n" * 401), raised) == []
    assert over(sample("x = 1\n" * 402), raised) == ["x.py: 402 > 401"]


def test_a_third_folder_level_is_seen() -> None:
    assert not too_deep("src/towpath/ingest/embed/base.py")
    assert too_deep("src/towpath/ingest/embed/local/base.py")
    assert not too_deep("tests/a/b/c/d.py")
