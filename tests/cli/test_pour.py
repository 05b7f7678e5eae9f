"""Objects to stdout: their bytes, nothing else, and an exit code that says if they are right."""

import subprocess
from collections.abc import Callable

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
