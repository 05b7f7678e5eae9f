"""`towpath put` and `towpath get`: files, folders, streams, and what they say."""

import errno
import io
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer

Start = Callable[..., "subprocess.Popen[str]"]


def test_put_prints_the_name_and_says_the_rest_on_stderr(
    run: Run, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.cli.show._SHORT", 1e9)  # no line of progress, if it takes long
    ran = run("put", big, "papers/")
    assert (ran.code, ran.out) == (0, "papers/big.bin\n")
    assert re.fullmatch(r"1 file, 19\.1 MiB in [\d.]+ s( \([\d.]+ \w+/s\))?, verified\.\n", ran.err)
    assert bytes(server.named("papers/big.bin").data) == big.read_bytes()


def test_put_and_get_carry_a_file_there_and_back(
    run: Run, server: FakeServer, big: Path, tmp_path: Path
) -> None:
    assert run("put", big, "a/b").code == 0
    ran = run("get", "a/b", tmp_path / "copy")
    assert (ran.code, ran.out) == (0, f"{tmp_path / 'copy'}\n")
    assert (tmp_path / "copy").read_bytes() == big.read_bytes()


def test_put_tells_the_new_name_when_the_old_one_is_taken(
    run: Run, server: FakeServer, big: Path
) -> None:
    server.add("big.bin", b"older")
    assert run("put", big).out == "big.bin (1)\n"


def test_put_walks_a_folder(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    (folder / "2026" / "may").mkdir(parents=True)
    (folder / "one").write_bytes(b"1")
    (folder / "2026" / "two").write_bytes(b"2")
    (folder / "2026" / "may" / "three").write_bytes(b"3")
    (folder / "2026" / "loop").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert run("put", "photos").code == 0
    assert run("put", "photos", "album").code == 0
    assert run("put", "photos", "deep/er/").code == 0
    assert {upload.name for upload in server.uploads.values()} == {
        f"{prefix}/{name}"
        for prefix in ("photos", "album", "deep/er/photos")
        for name in ("one", "2026/two", "2026/may/three")
    }


def test_one_failure_of_several_is_told_and_the_others_go_on(
    run: Run, server: FakeServer, big: Path, tmp_path: Path
) -> None:
    ran = run("put", tmp_path / "missing", big, "to/")
    assert (ran.code, ran.out) == (3, "to/big.bin\n")
    assert "missing. Check the path. [not-found]" in ran.err
    assert "1 failed." in ran.err


def test_put_json_is_one_object_a_line(run: Run, big: Path, tmp_path: Path) -> None:
    ran = run("put", big, tmp_path / "missing", "--to", "x/", "--json")
    assert ran.code == 3
    (result,) = ran.records("result")
    assert (result["name"], result["length"], result["verified"]) == ("x/big.bin", 20000000, True)
    (error,) = ran.records("error")
    assert (error["code"], error["exit_code"]) == ("not-found", 4)
    (summary,) = ran.records("summary")
    assert (summary["done"], summary["failed"], summary["bytes"]) == (1, 1, 20000000)


def test_progress_json_goes_to_stderr(run: Run, big: Path) -> None:
    ran = run("put", big, "--json", "--progress", "json")
    lines = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    assert lines[-1]["type"] == "progress"
    assert (lines[-1]["state"], lines[-1]["percent"]) == ("complete", 100.0)
    assert (lines[-1]["transferred_bytes"], lines[-1]["label"]) == (20000000, str(big))


def test_bars_leave_no_trace_on_stdout(run: Run, big: Path) -> None:
    assert run("put", big, "--progress", "bar").out == "big.bin\n"


def test_stdin_is_uploaded_under_a_name(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    ran = run("put", "-", "--name", "a/pipe")
    assert (ran.code, ran.out) == (0, "a/pipe\n")
    assert bytes(server.named("a/pipe").data) == b"piped"
    assert "cannot be resumed" in ran.err


def test_stdin_without_a_name_is_a_usage_error(run: Run) -> None:
    ran = run("put", "-")
    assert (ran.code, "--name" in ran.err) == (2, True)


def test_get_puts_several_into_a_folder(run: Run, server: FakeServer, tmp_path: Path) -> None:
    server.add("a/one", b"1")
    server.add("a/two", b"2")
    ran = run("get", "a/one", "a/two", f"{tmp_path}/new/")
    assert ran.code == 0
    assert (tmp_path / "new" / "one").read_bytes() == b"1"
    assert (tmp_path / "new" / "two").read_bytes() == b"2"


def test_get_refuses_to_replace_and_says_what_to_do(
    run: Run, server: FakeServer, big: Path
) -> None:
    server.add("a", b"x")
    ran = run("get", "a", big)
    assert (ran.code, ran.out) == (8, "")
    assert "--overwrite" in ran.err
    assert run("get", "a", big, "--overwrite").code == 0


def test_a_broken_download_is_not_kept(run: Run, server: FakeServer, tmp_path: Path) -> None:
    server.add("a", b"x")
    server.fail_download("wrong-digest")
    ran = run("get", "a", tmp_path / "a")
    assert (ran.code, "[digest-mismatch]" in ran.err) == (6, True)
    assert not (tmp_path / "a").exists()


def test_a_token_comes_from_the_environment_or_a_file(
    run: Run, server: FakeServer, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "secret"
    assert run("put", big).code == 7
    monkeypatch.setenv("TOWPATH_TOKEN", "secret")
    assert run("put", big).code == 0
    monkeypatch.setenv("TOWPATH_TOKEN", "wrong")
    (tmp_path / "token").write_text("secret\n")
    assert run("ls", "--token-file", tmp_path / "token").code == 0
    assert run("ls", "--token-file", tmp_path / "none").code == 2


def test_an_error_says_where_it_comes_from_only_when_asked(run: Run, tmp_path: Path) -> None:
    assert "Traceback" not in run("put", tmp_path / "missing").err
    assert "Traceback" in run("put", tmp_path / "missing", "--debug").err


def test_a_server_that_does_not_answer_has_its_own_code(
    run: Run, server: FakeServer, big: Path
) -> None:
    server.close()
    ran = run("put", big, "--retries", "1")
    assert (ran.code, "[unreachable]" in ran.err) == (10, True)


def test_how_many_connections_all_files_have_is_for_what_goes_now(
    run: Run, server: FakeServer, big: Path
) -> None:
    assert run("put", big, "now", "--total-connections", "2").code == 0
    assert bytes(server.named("now").data) == big.read_bytes()
    ran = run("put", big, "later", "--detach", "--total-connections", "2")
    assert (ran.code, "--total-connections does not go with --detach" in ran.err) == (2, True)


def test_a_pipe_is_not_sent_as_an_empty_file(run: Run, server: FakeServer, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ran = run("put", tmp_path / "pipe", "name")
    assert (ran.code, "towpath put - NAME" in ran.err) == (2, True)
    assert server.uploads == {}


def test_a_full_disk_ends_one_file_and_not_the_others(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("one", b"1" * 100)
    server.add("two", b"2" * 100)
    write, full = os.pwrite, [True]

    def pwrite(handle: int, data: memoryview, offset: int) -> int:
        if full.pop() if full else False:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data, offset)

    monkeypatch.setattr("os.pwrite", pwrite)
    ran = run("get", "one", "two", f"{tmp_path}/to/", "--parallel", "1")
    assert (ran.code, (tmp_path / "to" / "two").read_bytes()) == (3, b"2" * 100)
    assert "No space left on device. Make space, then run it again: it goes on here." in ran.err
    full.append(True)
    assert run("get", "one", tmp_path / "alone").code == 9


def test_where_nothing_can_be_kept_is_told_and_is_no_fault_of_ours(
    run: Run, server: FakeServer, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    server.add("a", b"x")
    ran = run("get", "a", f"{tmp_path}/file/to/")
    assert (ran.code, f"{tmp_path}/file" in ran.err, "fault" in ran.err) == (1, True, False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    for command in (("put", big), ("get", "a", tmp_path / "b"), ("transfers",)):
        ran = run(*command)
        assert (ran.code, f"{tmp_path}/file" in ran.err, "fault" in ran.err) == (1, True, False)


@pytest.mark.parametrize(
    ("said", "length"), [("8MB", 8_000_000), ("8MiB", 8_388_608), ("8M", 8_388_608)]
)
def test_a_chunk_is_as_long_as_was_said_in_decimal_or_in_binary_units(
    run: Run, server: FakeServer, big: Path, said: str, length: int
) -> None:
    assert run("put", big, "--chunk-size", said).code == 0
    sent = [fields for method, _, fields in server.requests if method == "PATCH"]
    assert int(sent[0]["content-length"]) == length


def test_a_chunk_of_nothing_is_refused(run: Run, server: FakeServer, big: Path) -> None:
    ran = run("put", big, "--chunk-size", "0")
    assert (ran.code != 0, "chunk_size cannot be 0" in ran.err, server.requests) == (True, True, [])


@pytest.mark.parametrize("flag", ["--update", "--preserve"])
def test_a_failure_that_passes_does_not_end_a_download_that_looks_first(
    run: Run, server: FakeServer, tmp_path: Path, flag: str
) -> None:
    server.add("a", b"1" * 10)
    server.fail("GET", "status")
    ran = run("get", "a", f"{tmp_path}/new", flag)
    assert (ran.code, server.faults, (tmp_path / "new").read_bytes()) == (0, [], b"1" * 10)


def test_a_failure_that_stays_ends_the_one_that_was_looked_for(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.add("a", b"1")
    server.add("b", b"2")
    server.fail("GET", "status")
    ran = run("get", "a", "b", f"{tmp_path}/", "--update", "--retries", "0")
    assert (ran.code, ran.out) == (3, f"{tmp_path}/b\n")
