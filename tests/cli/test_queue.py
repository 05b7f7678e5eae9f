"""`put --detach` and the commands for the queue, with real workers in the background."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.queueing import Runner
from tests.client.fake import FakeServer
from towpath.cli.stored import canonical, keep_token
from towpath.client.progress import TransferState
from towpath.client.queue import Job, Queue, Wish

Start = Callable[..., "subprocess.Popen[str]"]
SIZE = 20_000_000


def until(there: Callable[[], bool]) -> None:
    """Return when it is so."""
    ends = time.monotonic() + 20
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.05)


def only(run: Run) -> dict[str, object]:
    """The one job that there is."""
    (record,) = run("transfers", "--json").records("job")
    return record


def test_a_detached_upload_is_done_after_the_command(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    ran = run("put", big, "a/", "--detach", "--meta", "case=42")
    assert ran.code == 0
    assert re.fullmatch(r"\w{12}\n", ran.out)
    assert "1 file is in the queue" in ran.err
    waited = run("wait", ran.out.strip())
    assert (waited.code, waited.out) == (0, "a/big.bin\n")
    assert bytes(server.named("a/big.bin").data) == big.read_bytes()
    assert server.named("a/big.bin").metadata["case"] == "42"
    job = only(run)
    assert (job["state"], job["verified"], job["name"]) == ("complete", True, "a/big.bin")
    until(lambda: "nothing left to do" in runner.log)


def test_a_folder_goes_into_the_queue_file_by_file(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / name).write_text(name)
    ran = run("put", folder, "--detach", "--json")
    assert {record["name"] for record in ran.records("queued")} == {
        "photos/one",
        "photos/two",
        "photos/three",
    }
    assert run("wait").code == 0
    assert {upload.name for upload in server.uploads.values()} == {
        "photos/one",
        "photos/two",
        "photos/three",
    }


def test_a_killed_worker_is_followed_by_one_that_sends_only_the_rest(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    assert run("put", big, "--detach").code == 0
    server.wait_for(SIZE // 2)
    runner.kill()
    waited = run("wait")
    assert (waited.code, waited.out) == (0, "big.bin\n")
    assert server.received == SIZE
    assert bytes(server.named("big.bin").data) == big.read_bytes()


def test_the_list_starts_a_killed_worker_too(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    run("put", big, "--detach")
    server.wait_for(SIZE // 2)
    runner.kill()
    run("transfers")
    until(lambda: only(run)["state"] == "complete")
    assert server.received == SIZE


def test_who_waits_starts_a_worker_that_was_killed_meanwhile(
    run: Run, start: Start, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    run("put", big, "--detach")
    with start("wait") as waiting:
        server.wait_for(SIZE // 2)
        runner.kill()
        out, _ = waiting.communicate(timeout=25)
    assert (waiting.returncode, out) == (0, "big.bin\n")
    assert server.received == SIZE


def test_a_job_is_paused_and_goes_on(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    job = run("put", big, "--detach").out.strip()
    server.wait_for(SIZE // 2)
    ran = run("pause", job[:5])
    assert (ran.code, ran.err) == (0, f"Paused. Continue with: towpath resume {job}\n")
    assert only(run)["state"] == "paused"
    runner.wait_for(alive=False)
    assert run("wait", job).code == 5
    server.release.set()
    assert run("resume", job[:5]).code == 0
    assert run("wait", job).out == "big.bin\n"
    assert server.received == SIZE


def test_a_job_is_cancelled_and_retried(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    job = run("put", big, "--detach").out.strip()
    server.wait_for(SIZE // 2)
    ran = run("cancel")
    assert (ran.code, ran.err) == (0, f"Cancelled {job}.\n")
    assert server.uploads == {}
    assert run("pause").code == 4  # nothing runs
    assert run("retry", job).code == 0
    assert run("wait", job).out == "big.bin\n"
    assert bytes(server.named("big.bin").data) == big.read_bytes()


def test_a_job_that_fails_says_why_and_has_its_code(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    later = "2099-01-01T00:00"
    job = run("put", big, "--detach", "--at", later).out.strip()
    big.unlink()
    assert "not before 2099-01-01 00:00\n" in run("transfers").out
    assert run("cancel", job).code == 0
    run("retry", job)  # now, since that is what retrying means
    ran = run("wait", job)
    assert (ran.code, "There is no file" in ran.err) == (4, True)
    assert "[not-found]" in ran.err
    assert only(run)["error"]


def test_priorities_and_start_times_are_kept(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    at = "2099-01-01T00:00"
    run("put", tmp_path / "a", "--detach", "--at", at)
    run("put", tmp_path / "b", "--detach", "--at", at, "--priority", "3")
    first, second = run("transfers", "--json").records("job")
    assert [first["name"], second["name"]] == ["b", "a"]
    assert [first["priority"], second["priority"]] == [3, 0]
    assert str(first["not_before"]).startswith(("2098-12-31", "2099-01-01"))
    assert server.uploads == {}
    assert run("cancel").code == 8  # which one?
    assert run("cancel", "--all").code == 0


def test_the_list_shows_the_queue_in_all_its_states(
    run: Run,
    server: FakeServer,
    runner: Runner,
    tmp_path: Path,
    snapshot: Callable[[str, str], None],
) -> None:
    for name in ("done", "gone", "later", "paused"):
        (tmp_path / name).write_text(name)
    at = ("--at", "2099-01-01T00:00")
    run("put", tmp_path / "done", "--detach")
    paused = run("put", tmp_path / "paused", "--detach", *at).out.strip()
    gone = run("put", tmp_path / "gone", "--detach", *at).out.strip()
    run("put", tmp_path / "later", "--detach", *at)
    (tmp_path / "gone").unlink()
    run("pause", paused)
    run("cancel", gone)
    run("retry", gone)
    run("wait", gone)
    run("wait", only_named(run, "done"))
    text = run("transfers").out.replace(str(tmp_path), "/here")
    snapshot("transfers-queue", re.sub(r"^\w{12}", "0123456789ab", text, flags=re.MULTILINE))


def only_named(run: Run, name: str) -> str:
    (job,) = [job for job in run("transfers", "--json").records("job") if job["name"] == name]
    return str(job["id"])


def test_the_same_file_is_queued_once(run: Run, runner: Runner, big: Path) -> None:
    at = ("--at", "2099-01-01T00:00")
    assert run("put", big, "--detach", *at).code == 0
    ran = run("put", big, "--detach", *at)
    assert (ran.code, "in the queue already" in ran.err) == (8, True)


def test_a_token_that_only_this_shell_has_is_not_queued(
    run: Run, runner: Runner, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_TOKEN", "s3cret-of-this-shell")
    ran = run("put", big, "--detach")
    assert (ran.code, "--token-file" in ran.err) == (2, True)
    assert not (runner.folder / "jobs").exists()


def test_a_token_in_a_file_reaches_its_server_and_no_record(
    run: Run, server: FakeServer, runner: Runner, big: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret-of-the-file\n")
    server.token = "s3cret-of-the-file"
    assert run("put", big, "--detach", "--token-file", secret).code == 0
    assert run("wait").code == 0
    assert server.named("big.bin").complete
    kept = [path for path in runner.folder.rglob("*") if path.is_file()]
    assert len(kept) >= 2
    assert not any("s3cret" in path.read_text() for path in kept)


def test_a_token_that_login_kept_reaches_its_server(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.token = "s3cret-of-login"
    keep_token(canonical(server.url), server.token)
    assert run("put", big, "--detach").code == 0
    assert run("wait").code == 0
    assert server.named("big.bin").complete


def test_a_token_of_the_shell_does_not_reach_the_worker(
    run: Run, server: FakeServer, runner: Runner, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("put", big, "--detach", "--at", "2099-01-01T00:00")
    runner.kill()
    monkeypatch.setenv("TOWPATH_TOKEN", "of another server")
    run("transfers")
    pid = runner.wait_for(alive=True)
    assert b"of another server" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_limit_holds_in_the_background_too(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1_000_000))
    monkeypatch.setenv("TOWPATH_LIMIT", "2MB")
    began = time.monotonic()
    run("put", path, "--detach")
    monkeypatch.delenv("TOWPATH_LIMIT")
    run("wait")
    assert time.monotonic() - began > 0.3
    (record,) = (runner.folder / "jobs").glob("*.json")
    assert json.loads(record.read_text())["body"]["limit"] == "2MB"


def test_a_limit_holds_in_the_foreground(run: Run, server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(500_000))
    began = time.monotonic()
    assert run("put", path, "--limit", "1MB").code == 0
    assert run("get", "file", tmp_path / "copy", "--limit", "00:00,1MB 12:00,1.1MB").code == 0
    assert time.monotonic() - began > 0.6


def test_a_transfer_that_stopped_outside_the_queue_can_be_cancelled(
    run: Run, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "cut", at=SIZE // 2)
    server.fail("HEAD", "status", status=503)
    assert run("put", big, "--retries", "0").code == 5
    (note,) = run("transfers", "--json").records("transfer")
    assert run("cancel", note["id"]).code == 0
    assert server.uploads == {}
    assert run("cancel", note["id"]).code == 4


def test_waiting_for_nothing_is_no_failure(run: Run) -> None:
    ran = run("wait")
    assert (ran.code, "nothing in the queue" in ran.err) == (0, True)


def wait_until_it_hears(pid: int) -> None:
    """Return when a process handles SIGTERM: from then on it waits."""
    ends = time.monotonic() + 20
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        (mask,) = re.findall(r"SigCgt:\s*(\w+)", status)
        caught = int(mask, 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_who_stops_waiting_stops_nothing_else(
    run: Run, start: Start, server: FakeServer, runner: Runner, big: Path
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    run("put", big, "--detach")
    server.wait_for(SIZE // 2)
    with start("wait") as waiting:
        wait_until_it_hears(waiting.pid)
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, err) == (130, "The queue goes on.\n")
    server.release.set()
    assert run("wait").code == 0


def test_a_worker_that_cannot_start_is_told_and_the_job_is_kept(
    run: Run, runner: Runner, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/bin/false")
        ran = run("put", big, "--detach")
        listed = run("transfers")
    assert (ran.code, "nobody could be started" in ran.err) == (1, True)
    assert "queued" in listed.out
    assert "nobody could be started" in listed.err
    (record,) = (runner.folder / "jobs").glob("*.json")
    record.unlink()


@pytest.mark.parametrize("folder", [False, True])
def test_what_came_to_the_server_after_it_was_queued_is_not_sent_again(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path, folder: bool
) -> None:
    (tmp_path / "photos").mkdir()
    file = tmp_path / "photos" / "one"
    file.write_bytes(b"the bytes")
    what = file.parent if folder else file
    assert run("put", what).code == 0
    server.fail("GET", "status", status=503)  # it is away when the file is queued
    queued = run("put", what, "--detach").out.strip()
    ran = run("wait", queued, "--json")  # it may be done already
    (job,) = ran.records("job")
    assert (ran.code, job["state"], job["transferred_bytes"]) == (0, "complete", 9)
    assert (server.received, len(server.uploads)) == (9, 1)


def test_more_than_the_bytes_is_wanted_so_the_file_is_sent(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path
) -> None:
    (tmp_path / "one").write_bytes(b"the bytes")
    assert run("put", tmp_path / "one").code == 0
    assert run("put", tmp_path / "one", "--detach", "--meta", "case=42").code == 0
    assert run("wait", "--json").code == 0
    assert len(server.uploads) == 2


def test_what_ended_before_it_could_be_cancelled_is_not_called_cancelled(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_bytes(b"the bytes")
    job = run("put", tmp_path / "one", "--detach", "--at", "2099-01-01T00:00").out.strip()
    wish = Queue.wish

    def late(queue: Queue, job: Job, wanted: Wish) -> None:
        runner.kill()
        queue.tell(replace(queue.report(job), state=TransferState.FAILED, error="It is broken."))
        wish(queue, job, wanted)

    monkeypatch.setattr(Queue, "wish", late)
    ran = run("cancel", job)
    assert (ran.code, "Cancelled" in ran.err) == (8, False)
    assert f"{job} is not cancelled. It is failed: that came first." in ran.err.replace("\n", " ")
