"""Every example, in the pages and in examples/, satisfies type checkers at their strictest."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_guide import GUIDE, REFERENCE, ROOT, examples

PYRIGHT = ROOT / "tests" / "interop" / "node_modules" / "pyright" / "index.js"
WRONG = """\
from towpath import Client
with Client("http://x") as client:
    client.upload(7, "x")
    client.open("x", "r")
    name: int = client.stat("x").path
"""
WRONG_OPERATION = """\
from towpath.uds3 import StreamingManager
manager = StreamingManager(data="x", compress_chunks="yes")
key: int = manager.upload_file("x", "y")
manager.upload_file("x", "y", lambda: None)
"""
CALLBACKS = """\
from datetime import datetime
from towpath.uds3 import Percent, StreamingManager, StreamingOperation, StreamingProgress
from towpath.uds3 import UnifiedDatabaseStrategy

def show(percent: float) -> None: ...
def look(progress: StreamingProgress) -> None: ...
def name(percent: Percent) -> str:
    return f"{percent:.1f}% at {percent.bytes_per_second} of {percent.progress.total_bytes}"
def both(percent: float, operation: StreamingOperation) -> None: ...
def either(percent: float, operation: StreamingOperation | None = None) -> None: ...

manager = StreamingManager(data="x")
for told in (show, look, name, both, either):
    manager.upload_file("a", "b", told)
manager.upload_file("a", "b", lambda p: print(f"{p:.1f}%", p.estimated_time_remaining))
manager.download_file("a", "b", lambda p, o: print(p, datetime.now() - o.created_at))
strategy = UnifiedDatabaseStrategy(manager=manager)
strategy.upload_large_file("a", "b", progress_callback=lambda p: print(p.is_complete))
"""
FOLDERS = sorted({path.parent for path in (ROOT / "examples").rglob("*.py")})
UNTYPED = re.compile(r"^(?:from|import) django\b", re.MULTILINE)  # it has no types of its own


def blocks() -> dict[str, str]:
    """A name for each Python block of the pages, and its text."""
    found = {}
    for page in (*GUIDE, *REFERENCE):
        for number, (language, text) in enumerate(examples(page.read_text("utf-8"))):
            if language == "python":
                name = f"{page.parent.name}_{page.stem}_{number}".replace("-", "_")
                found[name] = text
    return found


def write_blocks(folder: Path) -> None:
    """One file for each."""
    found = blocks()
    assert len(found) >= 19
    assert any("towpath.uds3" in text for text in found.values())
    for name, text in found.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def copied(folder: Path, to: Path) -> Path:
    """The Python files of one folder of examples, where no settings of ours are."""
    to.mkdir()
    for path in folder.glob("*.py"):
        shutil.copy(path, to)
    return to


def typed_folders() -> Iterator[Path]:
    """The folders of examples whose libraries have types."""
    for folder in FOLDERS:
        if not any(UNTYPED.search(path.read_text("utf-8")) for path in folder.glob("*.py")):
            yield folder


def mypy(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Check a folder of examples as a user of Towpath would."""
    # Other options would make what was kept worthless to the rest.
    cache = ROOT / ".mypy_cache" / ("untyped-examples" if options else "examples")
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", ""),
            "--follow-imports=silent",  # Towpath's own files are checked elsewhere
            *("--cache-dir", str(cache), *options, "."),
        ],
        cwd=folder,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(120)
def test_mypy_accepts_the_examples_of_the_pages(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    checked = mypy(tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.timeout(120)
def test_mypy_accepts_every_kind_of_callback(tmp_path: Path) -> None:
    (tmp_path / "callbacks.py").write_text(CALLBACKS)
    checked = mypy(tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_mypy_accepts_the_programs_in_examples(folder: Path, tmp_path: Path) -> None:
    untyped = folder not in typed_folders()
    options = ["--disable-error-code", "import-untyped"] if untyped else []
    checked = mypy(copied(folder, tmp_path / "program"), *options)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_only_the_example_for_django_is_without_types() -> None:
    assert {"demos", "documents", "fastapi", "starlette"} <= {each.name for each in FOLDERS}
    assert {each.name for each in {*FOLDERS} - {*typed_folders()}} == {"django"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("text", "errors"), [(WRONG, 3), (WRONG_OPERATION, 3)])
def test_mypy_sees_an_example_that_is_wrong(tmp_path: Path, text: str, errors: int) -> None:
    (tmp_path / "wrong.py").write_text(text)
    checked = mypy(tmp_path)
    assert checked.stdout.count("error:") == errors, checked.stdout + checked.stderr


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    """The same by pyright, which editors use."""
    if shutil.which("node") is None or not PYRIGHT.is_file():
        pytest.skip("LOUD: pyright has read no example: install Node, then call make setup-node")
    within = [
        {"root": name} for name in [each.name for each in FOLDERS] if (folder / name).is_dir()
    ]
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT / "src")],
        "executionEnvironments": [*within, {"root": "."}],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return subprocess.run(
        ["node", str(PYRIGHT), "--pythonpath", sys.executable, "--project", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.interop
@pytest.mark.timeout(240)
def test_pyright_accepts_every_example_and_sees_those_that_are_wrong(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    for folder in typed_folders():
        copied(folder, tmp_path / folder.name)
    (tmp_path / "callbacks.py").write_text(CALLBACKS)
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "demos" / "wrong_too.py").write_text(WRONG_OPERATION)
    checked = pyright(tmp_path)
    errors = [line for line in checked.stdout.splitlines() if " - error:" in line]
    places = {
        Path(line.strip().partition(" - error:")[0]).name.rpartition(":")[0] for line in errors
    }
    wrong = {f"wrong.py:{line}" for line in (3, 4, 5)}
    wrong |= {f"wrong_too.py:{line}" for line in (2, 3, 4)}
    assert places == wrong, checked.stdout + checked.stderr
