"""The examples of the guide that use the client satisfy type checkers at their strictest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_guide import GUIDE, ROOT, examples

PYRIGHT = ROOT / "tests" / "interop" / "node_modules" / "pyright" / "index.js"
WRONG = """\
from towpath import Client
with Client("http://x") as client:
    client.upload(7, "x")
    client.open("x", "r")
    name: int = client.stat("x").path
"""
FOR_THE_CLIENT = ("Client", "towpath.io", "AsyncClient")


def client_examples() -> dict[str, str]:
    """A name for each, and its text."""
    found = {}
    for page in GUIDE:
        for number, (language, text) in enumerate(examples(page.read_text("utf-8"))):
            if language == "python" and any(word in text for word in FOR_THE_CLIENT):
                found[f"{page.stem.replace('-', '_')}_{number}"] = text
    return found


def write_examples(folder: Path) -> None:
    """One file for each."""
    found = client_examples()
    assert len(found) >= 8
    for name, text in found.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def mypy(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check a folder of examples as a user of Towpath would."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", ""),
            "--follow-imports=silent",  # Towpath's own files are checked elsewhere
            *("--cache-dir", str(ROOT / ".mypy_cache" / "examples"), "."),
        ],
        cwd=folder,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(120)
def test_mypy_accepts_the_client_examples(tmp_path: Path) -> None:
    write_examples(tmp_path)
    checked = mypy(tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.timeout(120)
def test_mypy_sees_an_example_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    checked = mypy(tmp_path)
    assert checked.stdout.count("error:") == 3, checked.stdout + checked.stderr


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    """The same by pyright, which editors use."""
    if shutil.which("node") is None or not PYRIGHT.is_file():
        pytest.skip("needs Node and `make setup-node`")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT / "src")]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return subprocess.run(
        ["node", str(PYRIGHT), "--pythonpath", sys.executable, "--project", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.interop
@pytest.mark.timeout(120)
def test_pyright_accepts_the_client_examples_and_sees_one_that_is_wrong(tmp_path: Path) -> None:
    write_examples(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG)
    checked = pyright(tmp_path)
    errors = [line for line in checked.stdout.splitlines() if " - error:" in line]
    places = {
        Path(line.strip().partition(" - error:")[0]).name.rpartition(":")[0] for line in errors
    }
    assert places == {"wrong.py:3", "wrong.py:4", "wrong.py:5"}, checked.stdout + checked.stderr
