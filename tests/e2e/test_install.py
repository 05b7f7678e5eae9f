"""A plain `pip install .` into an empty environment gives a server that works."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from towpath.testing.server import Server

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_pip_install_alone_gives_a_working_server(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        ROOT,
    ]
    subprocess.run(install, check=True, cwd=tmp_path)

    def command(port: int, data: Path) -> list[str]:
        towpath = str(environment / "bin" / "towpath")
        return [towpath, "serve", "--port", str(port), "--data", str(data)]

    with Server(tmp_path / "server", command=command) as server:
        with urllib.request.urlopen(f"{server.url}/", timeout=10) as page:
            text = page.read().decode()
        assert page.status == 200
        assert "Towpath" in text
        assert page.headers["content-type"].startswith("text/html")
