"""Objects to stdout: their bytes, nothing else, and an exit code that says if they are right."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer

Start = Callable[..., "subprocess.Popen[str]"]


def test_objects_are_written_one_after_the_other(server: FakeServer, start: Start) -> None:
    server.add("a", b"one\0")
    server.add("b", b"two")
    with start("get", "a", "b", "-") as process:
        assert process.communicate() == ("one\0two", "")
    assert process.returncode == 0


def test_wrong_bytes_are_told_by_the_exit_code(server: FakeServer, start: Start) -> None:
    server.add("a", b"one")
    server.add("b", b"two")
    server.fail_download("wrong-digest")
    with start("get", "a", "b", "-") as process:
        out, err = process.communicate()
    assert out == "one"  # what follows would be taken for more of it
    assert (process.returncode, "do not use it" in err) == (6, True)


def test_a_reader_that_leaves_is_no_error(server: FakeServer, start: Start) -> None:
    server.add("a", bytes(5_000_000))
    with start("get", "a", "-", "--progress", "none") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert (process.wait(20), process.stderr.read()) == (0, "")


def test_json_does_not_go_where_the_bytes_go(run: Run, server: FakeServer) -> None:
    ran = run("get", "a", "-", "--json")
    assert (ran.code, "only the bytes go there" in ran.err) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device here")
@pytest.mark.parametrize("words", [["put", "here"], ["put", "here", "--json"], ["ls"]])
def test_that_stdout_is_full_is_not_said_of_the_state(
    server: FakeServer, environment: dict[str, str], tmp_path: Path, words: list[str]
) -> None:
    server.add("a", b"one")
    (tmp_path / "here").write_text("x")
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "towpath", *words],
            env={**os.environ, **environment},
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ran.returncode, len(ran.stderr.splitlines())) == (9, 1)
    assert "What this command prints on stdout cannot be written. No space left" in ran.stderr
