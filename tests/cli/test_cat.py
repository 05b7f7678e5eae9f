"""`towpath cat`: objects on stdout, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from tests.web.talk import Tus, metadata
from towpath.codec.keys import KeyFile

CONTENT = Random(7).randbytes(3_000_000)


def put(served: Served, name: str, content: bytes) -> str:
    return Tus(served).put(content, upload_metadata=metadata(name=name))


def bytes_of(*args: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "towpath", "cat", *args]
    return subprocess.run(words, capture_output=True, check=False)


def test_objects_come_one_after_the_other_and_nothing_else(live: Served) -> None:
    put(live, "a/one", CONTENT)
    put(live, "a/ü two", b"and more")
    ran = bytes_of("a/one", "a/ü two")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == CONTENT + b"and more"


def test_a_link_is_read_without_a_name(live: Served, run: Run) -> None:
    put(live, "a", b"by a link")
    link = run("link", "a").out.strip()
    assert bytes_of(link).stdout == b"by a link"


def test_whoever_reads_may_go_away(live: Served) -> None:
    put(live, "a", CONTENT)
    script = f"set -o pipefail; {sys.executable} -m towpath cat a | head -c 10 | wc -c"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "10", "")


@pytest.mark.parametrize(("name", "code"), [("nothing", 4), ("folder/", 2), ("", 2)])
def test_what_is_no_object_is_an_error_on_stderr(
    live: Served, run: Run, name: str, code: int
) -> None:
    put(live, "folder/a", b"x")
    ran = run("cat", name)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("towpath: ")


@pytest.fixture
def sealed(live: Served, run: Run, tmp_path: Path) -> str:
    """The file of a key; `secret` is encrypted for it."""
    key, file = tmp_path / "key", tmp_path / "file"
    key.write_text(KeyFile.new().text())
    key.chmod(0o600)
    file.write_bytes(CONTENT)
    assert run("put", file, "secret", "--key-file", key, "--compress").code == 0
    return str(key)


@pytest.mark.parametrize("words", [["cat", "secret"], ["get", "secret", "-"]], ids=["cat", "get"])
def test_what_is_encrypted_is_opened_for_who_has_the_key(sealed: str, words: list[str]) -> None:
    program = [sys.executable, "-m", "towpath", *words, "--key-file", sealed]
    ran = subprocess.run(program, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, CONTENT, b"")


@pytest.mark.parametrize("words", [["cat", "secret"], ["get", "secret", "-"]], ids=["cat", "get"])
def test_who_has_no_key_gets_no_byte(sealed: str, run: Run, words: list[str]) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (7, "")
    assert "[wrong-key]" in ran.err
    assert "--key-file" in ran.err
    assert "do not use it" not in ran.err  # there is nothing that could be used
