"""What importing the client brings along: nothing of servers, nothing that only POSIX has."""

import ast
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.mark.parametrize("statement", USERS)
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


def imports(nodes: list[ast.stmt]) -> Iterator[str]:
    """The modules that are imported when a module is: not within functions, nor for types only."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                yield from imports(node.body)
            yield from imports(node.orelse)
        elif isinstance(node, ast.Try):
            for block in (node.body, node.orelse, node.finalbody):
                yield from imports(block)
            for handler in node.handlers:
                yield from imports(handler.body)
        elif isinstance(node, ast.With | ast.ClassDef):
            yield from imports(node.body)


def graph_of(*modules: str) -> dict[str, set[str]]:
    """What each module of ours imports, from these on."""
    found: dict[str, set[str]] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if module in found or path is None:
            continue
        found[module] = set(imports(ast.parse(path.read_text("utf-8")).body))
        waiting += found[module]
        waiting.append(module.rpartition(".")[0])  # a package is imported before its parts
    return found


def parts_of(package: str) -> list[str]:
    """The modules of a package."""
    folder = SOURCE.joinpath(*package.split("."))
    return [f"{package}.{path.stem}" for path in folder.glob("*.py")]


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_no_module_that_the_client_reaches_imports_what_only_posix_has() -> None:
    graph = graph_of(*parts_of("towpath.client"), "towpath.io", "towpath")
    assert {"towpath.client.upload", "towpath.client.filelock", "towpath.errors"} <= graph.keys()
    wrong = {module: roots(names) & POSIX for module, names in graph.items()}
    assert {module: names for module, names in wrong.items() if names} == {}


def test_the_walk_sees_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("import pwd\n")
    (tmp_path / "mine" / "one.py").write_text("from mine import two\n")
    (tmp_path / "mine" / "two.py").write_text(
        "try:\n    import fcntl\nexcept ImportError:\n    pass\n"
        "if True:\n    from termios import B0\n"
        "def later():\n    import grp\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    graph = graph_of("mine.one")
    assert roots(set().union(*graph.values())) & POSIX == {"pwd", "fcntl", "termios"}
