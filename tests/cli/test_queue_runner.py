"""The process in the background: alone, and not gone before all is done."""

import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from towpath.cli.queue_runner import queue_folder, work
from towpath.client.queue import Queue
from towpath.client.queue_work import Worker


@pytest.fixture
def queue(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Queue:
    """A queue that nobody works on but the test."""
    monkeypatch.setattr("towpath.cli.queue_runner.rouse", lambda _: None)
    monkeypatch.setattr("towpath.client.queue_work._LOOK", 0.02)
    return Queue(queue_folder())


def test_a_job_that_comes_in_the_last_moment_is_not_left_lying(
    run: Run, queue: Queue, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "late"):
        (tmp_path / name).write_text(name)
    others = Queue(queue.folder)
    was_held: list[bool] = []
    stop = Worker.run

    def run_and_be_late(worker: Worker, halt: threading.Event) -> None:
        stop(worker, halt)
        if not was_held:  # it has looked for the last time, and holds the lock still
            run("put", tmp_path / "late", "--detach")
            was_held.append(others.is_worked_on)

    monkeypatch.setattr(Worker, "run", run_and_be_late)
    run("put", tmp_path / "first", "--detach")
    work(queue, threading.Event())
    assert was_held == [True]
    assert [str(queue.state(job)) for job in queue.jobs()] == ["complete"] * 2


def test_a_second_worker_leaves_the_work_to_the_first(
    run: Run, queue: Queue, server: FakeServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.cli.queue_runner._TRIES", 2)
    run("put", big, "--detach")
    with Queue(queue.folder).held():
        work(queue, threading.Event())
    assert server.uploads == {}
    work(queue, threading.Event())
    assert bytes(server.named("big.bin").data) == big.read_bytes()


def test_a_worker_waits_for_one_that_only_looks(
    run: Run, queue: Queue, server: FakeServer, big: Path
) -> None:
    run("put", big, "--detach")
    held, looks = threading.Event(), Queue(queue.folder)

    def look() -> None:
        with looks.held():
            held.set()
            done.wait(0.3)

    done = threading.Event()
    looker = threading.Thread(target=look)
    looker.start()
    held.wait(5)
    work(queue, threading.Event())
    done.set()
    looker.join()
    assert server.named("big.bin").complete
