"""A worker on real transfers: order, wishes, failures, and what it leaves when it stops."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import sample
from tests.client.fake import FakeServer
from tests.web.running import House
from towpath.client import Client
from towpath.client.lines import Lines
from towpath.client.progress import Direction, TransferState
from towpath.client.queue import Job, Queue, Report, Wish
from towpath.client.queue_work import Worker
from towpath.client.resume import Notebook, transfer_id
from towpath.client.throttle import Throttle
from towpath.errors import NotFound, ServerUnreachable

SIZE = 20_000_000


class Yard:
    """A queue, its state folder, and workers for it."""

    def __init__(self, server: FakeServer, folder: Path) -> None:
        self.server = server
        self.url = server.url  # of new jobs
        self.state = folder / "state"
        self.files = folder
        self.queue = Queue(self.state / "queue")
        self.retries = 0
        self.clients: list[Client] = []

    def add(self, name: str, size: int = SIZE, **rest: Any) -> Job:
        """Queue a file of random bytes."""
        path = self.files / name
        path.write_bytes(sample(size))
        job_id = transfer_id(Direction.UPLOAD, self.url, name, str(path))
        return self.queue.add(
            Job(
                id=job_id,
                batch=rest.pop("batch", name),
                server=self.url,
                path=str(path),
                name=name,
                size=size,
                **rest,
            )
        )

    def connect(self, job: Job, throttle: Throttle, lines: Lines) -> Client:
        client = Client(
            job.server,
            state_dir=self.queue.notebook,
            retries=self.retries,
            limit=throttle,
            total_connections=lines,
            timeout=10,
            chunk_size=job.chunk_size,
        )
        self.clients.append(client)
        return client

    def run(self, halt: threading.Event | None = None, **rest: Any) -> None:
        """Be a worker until nothing is left to do."""
        worker = Worker(self.queue, self.connect, lambda _: 1, **rest)
        worker.run(halt or threading.Event())

    @contextmanager
    def working(self, **rest: Any) -> Iterator[threading.Event]:
        """A worker in a thread; at the end it is told to stop."""
        halt = threading.Event()
        thread = threading.Thread(target=self.run, args=(halt,), kwargs=rest)
        thread.start()
        try:
            yield halt
        finally:
            halt.set()
            thread.join(20)
            self.server.release.set()
            assert not thread.is_alive()

    def wait_until(self, there: Callable[[], bool]) -> None:
        ends = time.monotonic() + 20
        while not there():
            assert time.monotonic() < ends
            time.sleep(0.02)

    def states(self) -> dict[str, str]:
        return {job.name: str(self.queue.state(job)) for job in self.queue.jobs()}


@pytest.fixture
def yard(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setattr("towpath.client.queue_work._LOOK", 0.02)
    monkeypatch.setattr("towpath.client.queue_work._FIRST", 0.05)
    monkeypatch.setattr("towpath.client.queue_work._LONGEST", 0.1)
    return Yard(server, tmp_path)


def created(server: FakeServer) -> list[str]:
    """The names of uploads in the order in which they began."""
    return [upload.metadata["name"] for upload in server.uploads.values()]


def test_the_queue_is_worked_off_highest_priority_first(yard: Yard, server: FakeServer) -> None:
    for name, priority in (("low", -1), ("middle", 0), ("high", 7), ("next", 0)):
        yard.add(name, priority=priority)
    yard.run(parallel=1)
    assert created(server) == ["high", "middle", "next", "low"]
    assert set(yard.states().values()) == {"complete"}
    for name in ("low", "middle", "high", "next"):
        assert bytes(server.named(name).data) == (yard.files / name).read_bytes()
    assert all(yard.queue.report(job).verified for job in yard.queue.jobs())


def test_a_start_time_is_waited_for(yard: Yard, server: FakeServer) -> None:
    begins = time.time() + 0.8
    yard.add("later", size=1000, priority=9, not_before=begins)
    yard.add("now", size=1000)
    yard.run(parallel=1)
    assert created(server) == ["now", "later"]
    assert time.time() >= begins


def test_a_higher_priority_takes_the_place_of_a_lower_one(yard: Yard, server: FakeServer) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    yard.add("low")
    with yard.working(parallel=1):
        server.wait_for(SIZE // 2)
        yard.add("high", priority=1)
        yard.wait_until(lambda: yard.states()["high"] == "complete")
        yard.wait_until(lambda: yard.states()["low"] == "complete")
    assert server.received == 2 * SIZE


def test_a_pause_keeps_what_got_through_and_ends_the_worker(yard: Yard, server: FakeServer) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    job = yard.add("a")
    with yard.working():
        server.wait_for(SIZE // 2)
        yard.queue.wish(job, Wish.PAUSE)
        yard.wait_until(lambda: yard.states()["a"] == "paused")
    assert not yard.queue.has_work
    server.release.set()
    yard.queue.wish(job, Wish.RUN)
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert server.received == SIZE


def test_a_cancelled_job_is_gone_here_and_there(yard: Yard, server: FakeServer) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    job = yard.add("a")
    with yard.working():
        server.wait_for(SIZE // 2)
        yard.queue.wish(job, Wish.CANCEL)
        yard.wait_until(lambda: yard.states()["a"] == "cancelled")
    assert server.uploads == {}
    assert list(Notebook(yard.state).all()) == []


def test_a_job_that_stopped_is_cancelled_at_the_server_too(yard: Yard, server: FakeServer) -> None:
    job = yard.add("a", limit="4MB")  # so that not all of it is on its way
    with yard.working():
        server.wait_for(1_000_000)
        yard.queue.wish(job, Wish.PAUSE)
        yard.wait_until(lambda: yard.states()["a"] == "paused")
    assert len(server.uploads) == 1
    yard.queue.wish(job, Wish.CANCEL)
    yard.run()
    assert (yard.states(), server.uploads) == ({"a": "cancelled"}, {})
    assert list(Notebook(yard.state).all()) == []


def test_what_may_pass_is_tried_again_later(yard: Yard, server: FakeServer) -> None:
    for _ in range(3):
        server.fail("POST", "status", status=503)
    job = yard.add("a")
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert yard.queue.report(job).attempts == 3


def test_attempts_in_a_row_are_bounded(
    yard: Yard, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.queue_work.ATTEMPTS", 3)
    for _ in range(5):
        server.fail("POST", "status", status=503)
    job = yard.add("a")
    yard.run()
    report = yard.queue.report(job)
    assert (report.state, report.attempts, report.exit_code) == (TransferState.FAILED, 3, 1)
    assert report.error
    assert len(server.faults) == 2


def test_attempts_that_get_something_through_count_anew(
    yard: Yard, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.queue_work.ATTEMPTS", 2)
    for _ in range(4):
        server.fail("PATCH", "cut", at=1_500_000)  # after a block of the client's
    yard.add("a", 8_000_000)
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert server.faults == []


def test_what_cannot_work_fails_at_once_and_the_others_go_on(
    yard: Yard, server: FakeServer
) -> None:
    job = yard.add("gone")
    (yard.files / "gone").unlink()
    yard.add("there")
    yard.run()
    assert yard.states() == {"gone": "failed", "there": "complete"}
    report = yard.queue.report(job)
    assert (report.code, "no file" in report.error) == ("not-found", True)


def test_a_worker_that_is_told_to_stop_leaves_its_jobs_for_the_next(
    yard: Yard, server: FakeServer
) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    yard.add("a")
    with yard.working():
        server.wait_for(SIZE // 2)
    assert yard.states() == {"a": "queued"}
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert server.received == SIZE


def test_a_restart_is_made_once(yard: Yard, server: FakeServer) -> None:
    server.fail("PATCH", "hold", at=SIZE // 2)
    job = yard.add("a", restart=True)
    with yard.working():
        server.wait_for(SIZE // 2)
        yard.wait_until(lambda: yard.queue.report(job).begun)
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert server.received == SIZE


def test_those_who_were_queued_together_share_a_limit(yard: Yard, server: FakeServer) -> None:
    for name in ("a", "b", "c"):
        yard.add(name, size=600_000, batch="one", limit="3MB")
    began = time.monotonic()
    yard.run()
    assert time.monotonic() - began > 0.4


def test_all_jobs_together_have_as_many_connections_as_one_client(
    yard: Yard, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.queue_work.MOST", 1)
    for name in ("a", "b", "c"):
        yard.add(name, size=600_000, limit="2MB")
    yard.run()
    assert set(yard.states().values()) == {"complete"}
    asked = [(method, path) for method, path, _ in server.requests if method in ("POST", "PATCH")]
    assert [method for method, _ in asked] == ["POST", "PATCH"] * 3  # one after the other


def killed_at_its_end(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker carry a job, and die before it can tell."""
    tell = Queue.tell

    def die(queue: Queue, report: Report, *, durable: bool = True) -> None:
        if report.state is TransferState.COMPLETE:
            raise OSError("killed")
        tell(queue, report, durable=durable)

    with monkeypatch.context() as patched:
        patched.setattr(Queue, "tell", die)
        with pytest.raises(OSError, match="killed"):
            yard.run()
    yard.clients.pop().close()  # a process would be gone
    assert set(yard.states().values()) == {"running"}


def test_a_worker_that_is_killed_before_it_tells_of_the_end_has_nothing_sent_again(
    yard: Yard, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.add("a", size=1_000_000)
    killed_at_its_end(yard, monkeypatch)
    yard.run()
    assert yard.states() == {"a": "complete"}
    assert (server.received, len(server.uploads)) == (1_000_000, 1)
    assert not list(yard.state.rglob("*.note"))


@pytest.mark.parametrize("how", [{"compress": True}, {"delta": True, "on_conflict": "replace"}])
def test_the_same_holds_for_what_is_coded_or_sent_as_changes(
    yard: Yard, house: House, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    served = house.get("direct")
    name = f"queue-{'-'.join(how)}"
    yard.url = f"{served.url}/"
    yard.add(name, size=3_000_000, chunk_size=1 << 20, **how)
    killed_at_its_end(yard, monkeypatch)
    yard.run()
    assert set(yard.states().values()) == {"complete"}
    with Client(served.url, state_dir=yard.state / "reader") as reader:
        assert [found.path for found in reader.names(name)] == [name]
    assert list(Notebook(yard.state).all()) == []
    assert not list(yard.state.rglob("*.chunks"))


def test_what_the_server_has_by_then_is_not_sent(yard: Yard, server: FakeServer) -> None:
    yard.add("a", size=1000)
    job = yard.add("b", size=1000, checksum=True)
    yard.run(known=lambda _, job: f"{job.name} (2)" if job.name == "b" else "")
    assert yard.states() == {"a": "complete", "b": "complete"}
    assert created(server) == ["a"]
    report = yard.queue.report(job)
    assert (report.name, report.verified, report.transferred_bytes) == ("b (2)", True, 1000)


@pytest.mark.parametrize(
    ("wish", "state"), [(Wish.PAUSE, "paused"), (Wish.CANCEL, "cancelled"), (Wish.RUN, "complete")]
)
def test_a_job_can_be_stopped_while_it_is_looked_for_at_the_server(
    yard: Yard, server: FakeServer, wish: Wish, state: str
) -> None:
    looks, go_on = threading.Event(), threading.Event()

    def look(_client: Client, job: Job) -> str:
        looks.set()
        assert job.name == "other" or go_on.wait(20)
        return ""

    job = yard.add("a", size=1000)
    with yard.working(known=look):
        assert looks.wait(20)
        yard.add("other", size=1000)
        yard.wait_until(lambda: yard.states()["other"] == "complete")
        yard.queue.wish(job, wish)
        if wish is Wish.RUN:
            go_on.set()
        yard.wait_until(lambda: yard.states()["a"] == state)
        go_on.set()
    assert sorted(created(server)) == (["a", "other"] if wish is Wish.RUN else ["other"])


def test_a_server_that_cannot_be_looked_at_is_asked_again_later(
    yard: Yard, server: FakeServer
) -> None:
    failures = iter([ServerUnreachable("Nobody answers.")])

    def look(_client: Client, _job: Job) -> str:
        for failure in failures:
            raise failure
        return ""

    job = yard.add("a", size=1000)
    yard.run(known=look)
    assert (yard.states(), yard.queue.report(job).attempts) == ({"a": "complete"}, 1)


def test_a_job_that_fails_while_it_is_cancelled_is_cancelled(
    yard: Yard, server: FakeServer
) -> None:
    def look(_client: Client, job: Job) -> str:
        yard.queue.wish(job, Wish.CANCEL)
        raise NotFound("There is no file.")

    yard.add("a", size=1000)
    yard.run(known=look)
    assert yard.states() == {"a": "cancelled"}
