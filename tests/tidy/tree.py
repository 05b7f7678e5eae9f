"""The files of the project, as the tidy tests see them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "bench")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[str, ...]:
    """List what is, or is about to be, in the repository; built and ignored files are not."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(path for path in listed.stdout.splitlines() if (ROOT / path).is_file()))


def python(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Parse every tracked Python file below the folders (all of ours, if none is named)."""
    for path in tracked():
        if path.endswith(".py") and path.startswith(tuple(f"{f}/" for f in folders or FOLDERS)):
            yield path, parse(path)


def texts() -> Iterator[tuple[str, str]]:
    """Read every tracked file that is text."""
    for path in tracked():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode()


def functions(module: ast.Module) -> Iterator[Function]:
    """Walk over all functions and methods, nested ones too."""
    return (node for node in ast.walk(module) if isinstance(node, Function))


def classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    """Walk over all classes, nested ones too."""
    return (node for node in ast.walk(module) if isinstance(node, ast.ClassDef))


def interface_methods(interface: ast.ClassDef) -> list[Function]:
    """List the public methods of a Protocol or ABC; a property is a fact, not a method."""
    if not {"Protocol", "ABC"} & {_last_name(base) for base in interface.bases}:
        return []
    return [
        node
        for node in interface.body
        if isinstance(node, Function)
        and not node.name.startswith("_")
        and "property" not in {_last_name(decorator) for decorator in node.decorator_list}
    ]


@cache
def parse(path: str) -> ast.Module:
    """Parse one file, once."""
    return ast.parse((ROOT / path).read_text(), path)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):  # Protocol[T]
        return _last_name(node.value)
    if isinstance(node, ast.Attribute):  # abc.ABC
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
