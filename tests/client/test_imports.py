"""What importing the client brings along: nothing of servers, nothing that only POSIX has."""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

SERVERS = {
    "alembic",
    "awscrt",
    "fastapi",
    "granian",
    "httptools",
    "pydantic",
    "rehashes",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
    "websockets",
    "towpath.assemble",
    "towpath.engine",
    "towpath.ledger",
    "towpath.settings",
    "towpath.store",
    "towpath.web",
}
POSIX = {
    "crypt",
    "fcntl",
    "grp",
    "nis",
    "ossaudiodev",
    "posix",
    "pty",
    "pwd",
    "resource",
    "spwd",
    "syslog",
    "termios",
    "tty",
}
USERS = [
    "import towpath",
    "import towpath.client",
    "import towpath.io",
    "import towpath; towpath.Client, towpath.AsyncClient, towpath.errors",
]


@pytest.mark.parametrize("statement", USERS)
def test_a_user_of_the_client_loads_nothing_of_a_server(statement: str) -> None:
    program = f"import sys; {statement}; print(' '.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not SERVERS & set(ran.stdout.split())


def test_an_upload_loads_nothing_that_only_others_need() -> None:
    what = "import towpath.client.sync, towpath.client.upload, towpath.client.parallel_upload"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; {what}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.split())
    client = {f"towpath.client.{each}" for each in ("download", "records", "sinks", "stream")}
    facts = {"towpath.core.command", "towpath.core.model", "towpath.protocol.ranges.requests"}
    assert not (client | facts | {"tempfile", "email.utils"}) & loaded
    assert "towpath.protocol.ranges.told" in loaded


@pytest.mark.parametrize("statement", [*USERS, "import towpath.uds3", "import towpath.cli.main"])
def test_it_imports_where_what_only_posix_has_is_missing(statement: str) -> None:
    names = sorted(POSIX - {"posix"})  # the interpreter itself is made with that one here
    program = f"""
import sys
import asyncio, socket, subprocess, tempfile  # how Python copes is its own affair
for name in {names}:
    sys.modules[name] = None  # an import of it raises ImportError
{statement}
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    path = SOURCE.joinpath(*module.split("."))
    for found in (path.with_suffix(".py"), path / "__init__.py"):
        if found.is_file():
            return found
    return None


class Imports(ast.NodeVisitor):
    """What a module imports, now or later; not for types only, nor where its system is asked."""

    def __init__(self, module: str, path: Path) -> None:
        self.found: set[str] = set()
        self._package = module if path.stem == "__init__" else module.rpartition(".")[0]
        self._guards = 0
        self.visit(ast.parse(path.read_text("utf-8")))

    def visit_Import(self, node: ast.Import) -> None:
        self._find(*(alias.name for alias in node.names))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        self._find(module, *(f"{module}.{alias.name}" for alias in node.names))

    def visit_Constant(self, node: ast.Constant) -> None:
        if re.fullmatch(r"\w+(\.\w+)+", str(node.value)):  # a name to import once it is needed
            self._find(str(node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        if "{__name__}." in ast.unparse(node):
            self._find(*parts_of(self._package))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        asked = ast.unparse(node.test)
        guarded = "sys.platform" in asked or "os.name" in asked
        self._all([] if asked.endswith("TYPE_CHECKING") else node.body, guarded=guarded)
        self._all(node.orelse, guarded=guarded)

    def visit_Try(self, node: ast.Try) -> None:
        caught = " ".join(ast.unparse(each.type) for each in node.handlers if each.type)
        guarded = "ImportError" in caught or "ModuleNotFoundError" in caught
        self._all(node.body, guarded=guarded)
        self._all([*node.handlers, *node.orelse, *node.finalbody], guarded=False)

    def _all(self, nodes: Sequence[ast.AST], *, guarded: bool) -> None:
        self._guards += guarded
        for node in nodes:
            self.visit(node)
        self._guards -= guarded

    def _find(self, *names: str) -> None:
        self.found.update(name for name in names if not (self._guards and roots({name}) & POSIX))


def graph_of(*modules: str, without: Collection[str] = ()) -> dict[str, set[str]]:
    """What each module of ours imports, from these on; but `without` some."""
    found: dict[str, set[str]] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in found or module in without or path is None:
            continue
        found[module] = Imports(module, path).found
        waiting += found[module]
        waiting.append(module.rpartition(".")[0])  # a package is imported before its parts
    return found


def parts_of(package: str) -> list[str]:
    """The modules of a package."""
    folder = SOURCE.joinpath(*package.split("."))
    return [f"{package}.{path.stem}" for path in folder.glob("*.py")]


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def wrong(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Which modules import what only POSIX has."""
    found = {module: roots(names) & POSIX for module, names in graph.items()}
    return {module: names for module, names in found.items() if names}


def test_nothing_that_the_client_ever_imports_needs_what_only_posix_has() -> None:
    graph = graph_of(*parts_of("towpath.client"), "towpath.io", "towpath")
    known = {"towpath.client.filelock", "towpath.errors", "towpath.protocol.ranges.requests"}
    assert known <= graph.keys()
    assert wrong(graph) == {}


# A server is for POSIX. These begin one in this process; all else of their packages does without.
SERVING = {
    "towpath.cli": {"towpath.cli.ledger", "towpath.cli.serve"},
    "towpath.uds3": {"towpath.uds3.house"},
}


@pytest.mark.parametrize("package", SERVING)
def test_of_commands_and_operations_only_those_that_serve_need_what_only_posix_has(
    package: str,
) -> None:
    serving = SERVING[package]
    assert serving <= set(parts_of(package))
    graph = graph_of(*parts_of(package), without=serving)
    assert "towpath.assemble" not in graph
    assert wrong(graph) == {}
    for module in serving:
        assert "towpath.assemble" in graph_of(module)


def test_the_walk_sees_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "__init__": "import pwd",
        "one": "def later():\n    from mine import two",
        "two": """
import os, sys
from importlib import import_module
from typing import TYPE_CHECKING
try:
    import fcntl
except ImportError:
    import resource
if os.name == "nt":
    import msvcrt
else:
    import syslog
if TYPE_CHECKING:
    import crypt
if True:
    from termios import B0
def later():
    import grp
    import_module("mine.three")
    import_module(f"{__name__}.{five}")
    if sys.platform != "win32":
        import nis
""",
        "three": "class Within:\n    async def later(self):\n        import pty",
        "four": "async def later():\n    with open(''):\n        import tty",
    }
    (tmp_path / "mine").mkdir()
    for name, text in files.items():
        (tmp_path / "mine" / f"{name}.py").write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    graph = graph_of("mine.one")
    assert set().union(*wrong(graph).values()) == {
        "pwd",
        "resource",
        "termios",
        "grp",
        "pty",
        "tty",
    }
    assert wrong(graph_of("mine.one", without={"mine.two"})) == {"mine": {"pwd"}}
