"""Stopping and going on: signals, `towpath transfers` and `towpath resume`."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from towpath.cli.interrupt import Ear, interruptible
from towpath.client import BlockingTransfer, Client, UploadResult
from towpath.client.progress import Direction
from towpath.client.resume import Note, Notebook
from towpath.client.surroundings import state_folder

Start = Callable[..., "subprocess.Popen[str]"]
SIZE = 20_000_000


def stopped(
    start: Start, server: FakeServer, how: signal.Signals, *args: object
) -> tuple[int, str]:
    """Run a command until half of the bytes are there, then send a signal."""
    server.fail("PATCH", "hold", at=SIZE // 2)
    with start(*args) as process:
        server.wait_for(SIZE // 2)
        process.send_signal(how)
        _, err = process.communicate(timeout=20)
    return process.returncode, err


def test_ctrl_c_pauses_and_resume_sends_only_the_rest(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    code, err = stopped(start, server, signal.SIGINT, "put", big, "a/")
    assert code == 130
    found = re.search(r"^Paused\. Continue with: towpath resume (\w+)$", err, re.MULTILINE)
    assert found, err
    ran = run("resume", found[1][:4])
    assert (ran.code, ran.out) == (0, "a/big.bin\n")
    assert re.search(r"big\.bin: resuming from \d\d %\.", ran.err)
    assert server.received == SIZE
    assert bytes(server.named("a/big.bin").data) == big.read_bytes()


def test_sigterm_pauses_too_and_the_same_command_goes_on(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    code, err = stopped(start, server, signal.SIGTERM, "put", big)
    assert (code, "Paused." in err) == (143, True)
    assert run("put", big).code == 0
    assert server.received == SIZE


def test_a_download_is_resumed_too(
    start: Start, run: Run, server: FakeServer, big: Path, tmp_path: Path
) -> None:
    server.add("a/big", big.read_bytes())
    server.fail_download("hold", at=SIZE // 2)
    with start("get", "a/big", tmp_path / "copy", "--connections", "1") as process:
        server.wait_for(SIZE // 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, "towpath resume" in err) == (130, True)
    ran = run("resume", "--json")
    (result,) = ran.records("result")
    assert (ran.code, result["direction"]) == (0, "download")
    assert result["resumed_from"] + result["received_bytes"] == SIZE
    assert result["resumed_from"] > 0
    assert (tmp_path / "copy").read_bytes() == big.read_bytes()


@pytest.mark.parametrize("late", [False, True])
def test_a_signal_just_before_and_just_after_the_transfers_is_no_fault(
    run: Run, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    @contextmanager
    def stopped() -> Iterator[Ear]:
        with interruptible() as ear:
            if not late:
                signal.raise_signal(signal.SIGINT)
            yield ear
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("towpath.cli.carry.interruptible", stopped)
    ran = run("put", big)
    assert (ran.code, ran.out, "run this command again" in ran.err) == (
        (130, "big.bin\n", False) if late else (130, "", True)
    )


def test_ctrl_c_pauses_what_is_just_beginning_and_says_so(
    run: Run, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    upload = Client.upload

    def stopped(*args: Any, **said: Any) -> BlockingTransfer[UploadResult]:
        transfer = upload(*args, **said)
        server.wait_for(SIZE // 2)
        signal.raise_signal(signal.SIGINT)
        return transfer

    with monkeypatch.context() as patched:
        patched.setattr(Client, "upload", stopped)
        ran = run("put", big)
    found = re.search(r"^Paused\. Continue with: towpath resume (\w+)$", ran.err, re.MULTILINE)
    assert (ran.code, found is not None) == (130, True), ran.err
    server.release.set()
    assert run("resume").code == 0
    assert server.received == SIZE


@pytest.mark.parametrize("within", ["interruptible()", "interruptible() as ear, ear.holding()"])
def test_a_second_signal_stops_at_once(within: str) -> None:
    program = f"""
import signal
from towpath.cli.interrupt import interruptible
with {within}:
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.raise_signal(signal.SIGINT)
        print("still here")
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (130, "")


def test_a_server_that_goes_away_leaves_something_to_resume(
    run: Run, server: FakeServer, big: Path
) -> None:
    server.fail("PATCH", "cut", at=SIZE // 2)
    server.fail("HEAD", "status", status=503)
    ran = run("put", big, "--retries", "0")
    assert (ran.code, "kept: towpath resume " in ran.err) == (5, True)
    assert run("resume").code == 0
    assert server.received == SIZE


def test_a_changed_file_has_its_own_code_and_a_restart_sends_it(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big)
    big.write_bytes(b"other")
    ran = run("put", big)
    assert (ran.code, "start over (--restart)" in ran.err) == (6, True)
    assert run("put", big, "--restart").code == 0
    assert bytes(server.named("big.bin").data) == b"other"


def test_transfers_lists_here_and_elsewhere_and_forgets(
    start: Start,
    run: Run,
    server: FakeServer,
    big: Path,
    snapshot: Callable[[str, str], None],
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big, "a/")
    server.release.set()
    run("ls")  # whatever was on its way is there now
    (local,) = run("transfers", "--json").records("transfer")
    assert (local["name"], local["total_bytes"]) == ("a/big.bin", SIZE)
    other = server.uploads["u0"]
    server.uploads["elsewhere"] = type(other)("elsewhere", 4096, {"name": "b"}, size=1024)
    text = run("transfers").out
    masked = text.replace(str(big), "/here/big.bin").replace(local["id"], "0123456789ab")
    snapshot("transfers", re.sub(r"\d\d? % of  19", "50 % of  19", masked))
    assert run("transfers", "--forget", local["id"]).code == 0
    assert run("transfers", "--json").records("transfer") == []
    assert set(server.uploads) == {"elsewhere"}


def test_what_is_remembered_is_listed_without_a_server(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big)
    server.close()
    ran = run("transfers")
    assert (ran.code, "big.bin" in ran.out) == (10, True)


def test_the_secret_of_a_link_is_not_shown(run: Run, server: FakeServer, tmp_path: Path) -> None:
    link = f"{server.url}/files/u7?towpath=k.words.s3cr3t"
    note = Note(
        id="0123456789ab",
        direction=Direction.DOWNLOAD,
        server=server.url,
        name=link,
        path=str(tmp_path / "there"),
        url=link,
    )
    Notebook(state_folder()).write(note)
    ran, told = run("transfers"), run("transfers", "--json")
    assert "/files/u7?... -> " in ran.out
    assert "s3cr3t" not in ran.out + ran.err + told.out + told.err


def test_resuming_what_is_not_there_says_so(run: Run) -> None:
    ran = run("resume")
    assert (ran.code, "nothing to resume" in ran.err) == (4, True)
    ran = run("resume", "--all")
    assert (ran.code, "nothing to resume" in ran.err) == (0, True)


def test_resume_all_finishes_everything(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big, "one")
    server.received = 0
    server.release.clear()
    stopped(start, server, signal.SIGKILL, "put", big, "two")
    assert run("resume").code == 8  # which one?
    ran = run("resume", "--all")
    assert (ran.code, sorted(ran.out.split())) == (0, ["one", "two"])


def test_a_transfer_goes_on_with_its_own_server(
    start: Start, run: Run, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big)
    monkeypatch.setenv("TOWPATH_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TOWPATH_TOKEN", "of the other server")
    assert run("resume", "--url", "http://127.0.0.1:1").code == 8
    assert run("resume").code == 0
    assert not any("authorization" in request[2] for request in server.requests)
