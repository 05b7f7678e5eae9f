"""Every example in the guide and the reference is run as it stands, in order, against a server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from towpath.testing.server import Server

ROOT = Path(__file__).parents[2]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}
SHOWN = {"text", "nginx", "json", "toml"}  # not run


def examples(page: str) -> Iterator[tuple[str, str]]:
    """The language and the text of each block."""
    for match in BLOCK.finditer(page):
        yield match[1], match[2]


def with_programs(pages: Iterable[Path]) -> Iterator[Path]:
    """Those that have something to run."""
    for page in pages:
        if RUN.keys() & {language for language, _ in examples(page.read_text(encoding="utf-8"))}:
            yield page


def test_the_reference_has_programs_to_run() -> None:
    assert [page.stem for page in with_programs(REFERENCE)] == ["uds3"]


def test_blocks_are_found_with_their_language() -> None:
    page = "a\n```sh\nls\n```\nb\n```text\nno\n```\n"
    assert list(examples(page)) == [("sh", "ls\n"), ("text", "no\n")]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "page", [*GUIDE, *with_programs(REFERENCE)], ids=lambda page: f"{page.parent.name}-{page.stem}"
)
def test_the_examples_of_the_pages_work(page: Path, tmp_path: Path) -> None:
    blocks = list(examples(page.read_text(encoding="utf-8")))
    assert {language for language, _ in blocks} <= RUN.keys() | SHOWN
    work = tmp_path / "work"
    work.mkdir()
    with Server(tmp_path / "data") as server:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TOWPATH_URL": server.url,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        for language, text in blocks:
            if language in SHOWN:
                continue
            done = subprocess.run(
                [*RUN[language], text],
                cwd=work,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
