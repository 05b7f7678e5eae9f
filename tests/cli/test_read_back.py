"""`towpath put --verify`: what was sent is read back, and held against the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from towpath.cli.carry import Begin
from towpath.cli.read_back import read_back
from towpath.codec.keys import Locks

LENGTH = 2_500_000


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    path = Path("scan.pdf")
    path.write_bytes(Random(3).randbytes(LENGTH))
    return path


def test_what_was_sent_is_read_back(run: Run, live: Served, file: Path) -> None:
    ran = run("put", file, "papers/", "--verify")
    assert (ran.code, ran.out) == (0, "papers/scan.pdf\n")
    assert ran.err.endswith(", read back and compared.\n")
    Path("other").write_text("x")
    (record,) = run("put", "other", "--verify", "--json").records("result")
    assert (record["direction"], record["read_back"], record["sent_bytes"]) == ("upload", True, 1)
    assert "read_back" not in run("put", file, "plain", "--json").records("result")[0]


@pytest.mark.parametrize("change", ["a byte", "longer", "shorter", "in the store"])
def test_a_file_that_is_not_what_is_stored_ends_with_code_6(
    run: Run, live: Served, file: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Something changes between the upload's end and the proof."""
    content = file.read_bytes()

    def spoil() -> None:
        if change == "in the store":
            paths = (live.data / "objects").rglob("*")
            (stored,) = [path for path in paths if path.stat().st_size == LENGTH]
            stored.chmod(0o600)
            stored.write_bytes(b"rotten" + content[6:])
        elif change == "a byte":
            file.write_bytes(content[:-1] + b"x")
        else:
            file.write_bytes(content + b"x" if change == "longer" else content[:-1])

    def spoiled(path: str, encrypt: Sequence[Locks]) -> Callable[[Any], Begin]:
        def proof(result: Any) -> Begin:
            spoil()
            return read_back(path, encrypt)(result)

        return proof

    monkeypatch.setattr("towpath.cli.put.read_back", spoiled)
    ran = run("put", file, "to/", "--verify")
    assert (ran.code, ran.out) == (6, "")
    assert "scan.pdf is not what the server has as to/scan.pdf. Read back, they differ" in ran.err
    assert "[digest-mismatch]" in ran.err


@pytest.mark.parametrize("coded", [["--compress"], ["--key-file", "key"]])
def test_coded_files_are_opened_to_be_compared(
    run: Run, live: Served, file: Path, coded: list[str]
) -> None:
    run("keys", "new", "key")
    file.write_bytes(b"again and again " * 500_000)
    ran = run("put", file, "--verify", *coded)
    assert (ran.code, ran.out) == (0, "scan.pdf\n")
    assert "read back and compared" in ran.err


def test_folders_and_their_links_are_proven(run: Run, live: Served, file: Path) -> None:
    folder = Path("folder")
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_bytes(b"x" * number)
    (folder / "link").symlink_to("1")
    ran = run("put", folder, "--verify", "--links", "keep")
    assert (ran.code, len(ran.out.split())) == (0, 21)
    again = run("put", folder, "--verify")
    assert "not read back" in again.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["scan.pdf", "--no-verify"], "contrary"),
        (["-", "--name", "x"], "read once"),
        (["scan.pdf", "--detach"], "`towpath verify NAME PATH` compares"),
        (["scan.pdf", "--dry-run"], "Nothing is sent"),
        (["scan.pdf", "--recipient", "me.pub"], "give a key of yours"),
    ],
)
def test_what_cannot_be_read_back_is_refused(
    run: Run, file: Path, args: list[str], said: str
) -> None:
    run("keys", "new", "--identity", "me")
    ran = run("put", "--verify", *args)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
