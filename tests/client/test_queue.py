"""The queue's records: what is kept, who is next, and what is torn."""

import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from towpath import errors
from towpath.client.progress import TransferState
from towpath.client.queue import Job, Queue, Report, Wish
from towpath.client.sealed import seal


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue")


def job(name: str, **rest: Any) -> Job:
    return Job(id=name, batch="b", server="http://x/", path=f"/{name}", name=name, size=1, **rest)


def done(queue: Queue, one: Job, state: TransferState = TransferState.COMPLETE) -> None:
    queue.tell(Report(id=one.id, turn=one.turn, state=state))


def test_a_job_is_read_back_as_it_was_written(queue: Queue) -> None:
    coded = {"compress": True, "key_files": ("/k",), "recipients": ("/r", "/s")}
    wanted = job("a", metadata={"k": "ü"}, limit="1M", chunk_size=5, wish=Wish.PAUSE, **coded)
    queue.add(wanted)
    assert Queue(queue.folder).jobs() == [wanted]
    report = Report(id="a", turn=1, state=TransferState.FAILED, error="no", exit_code=4)
    queue.tell(report)
    assert Queue(queue.folder).report(wanted) == report


def test_turns_go_by_priority_and_then_by_age(queue: Queue) -> None:
    for name, priority, age in (("a", 0, 3.0), ("b", 5, 2.0), ("c", 0, 1.0), ("d", 5, 4.0)):
        queue.add(job(name, priority=priority, created_at=age))
    assert [one.id for one in queue.jobs()] == ["b", "d", "c", "a"]


def test_what_another_process_changes_is_seen(queue: Queue) -> None:
    other = Queue(queue.folder)
    assert queue.jobs() == []
    for name in "abc":
        other.add(job(name))
        assert name in {one.id for one in queue.jobs()}
    for wish in (Wish.PAUSE, Wish.RUN, Wish.CANCEL):
        other.wish(job("b"), wish)
        (seen,) = [one for one in queue.jobs() if one.id == "b"]
        assert seen.wish is wish


def test_a_change_is_seen_long_after_the_last_one(queue: Queue) -> None:
    queue.add(job("a"))
    long_ago = time.time_ns() - 10**11
    os.utime(queue.folder / "jobs", ns=(long_ago, long_ago))
    assert [one.id for one in queue.jobs()] == ["a"]
    assert [one.id for one in queue.jobs()] == ["a"]
    Queue(queue.folder).add(job("b"))
    assert {one.id for one in queue.jobs()} == {"a", "b"}


def test_a_job_is_queued_once_until_it_is_done(queue: Queue) -> None:
    first = queue.add(job("a"))
    with pytest.raises(errors.StateConflict, match="in the queue already"):
        queue.add(job("a"))
    done(queue, first)
    assert queue.state(first) is TransferState.COMPLETE
    again = queue.add(job("a"))
    assert queue.state(again) is TransferState.QUEUED  # the old report is void


def test_a_job_that_failed_can_be_wanted_again(queue: Queue) -> None:
    one = queue.add(job("a", not_before=time.time() + 99))
    done(queue, one, TransferState.FAILED)
    assert not queue.has_work
    queue.again(one)
    (again,) = queue.jobs()
    assert (queue.state(again), again.not_before) == (TransferState.QUEUED, 0.0)
    assert queue.has_work


@pytest.mark.parametrize(
    ("wish", "told", "state", "work"),
    [
        (Wish.RUN, TransferState.QUEUED, TransferState.QUEUED, True),
        (Wish.RUN, TransferState.RUNNING, TransferState.RUNNING, True),
        (Wish.PAUSE, TransferState.QUEUED, TransferState.PAUSED, False),
        (Wish.PAUSE, TransferState.RUNNING, TransferState.RUNNING, True),
        (Wish.CANCEL, TransferState.QUEUED, TransferState.QUEUED, True),
        (Wish.CANCEL, TransferState.CANCELLED, TransferState.CANCELLED, False),
        (Wish.PAUSE, TransferState.COMPLETE, TransferState.COMPLETE, False),
        (Wish.RUN, TransferState.FAILED, TransferState.FAILED, False),
    ],
)
def test_where_a_job_is_follows_from_wish_and_report(
    queue: Queue, wish: Wish, told: TransferState, state: TransferState, work: bool
) -> None:
    one = queue.add(job("a", wish=wish))
    queue.tell(Report(id="a", turn=1, state=told))
    assert (queue.state(one), queue.has_work) == (state, work)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1, "checksum": "0", "body": {}}'])
def test_a_torn_record_is_set_aside_and_the_others_count(queue: Queue, damage: bytes) -> None:
    queue.add(job("a"))
    queue.add(job("b"))
    (queue.folder / "jobs" / "a.json").write_bytes(damage)
    assert [one.id for one in Queue(queue.folder).jobs()] == ["b"]
    assert (queue.folder / "jobs" / "a.damaged").exists()


def test_a_torn_report_makes_the_job_wait_for_its_turn_again(queue: Queue) -> None:
    one = queue.add(job("a"))
    queue.tell(Report(id="a", turn=1, state=TransferState.RUNNING), durable=False)
    (queue.folder / "reports" / "a.json").write_bytes(b"\0" * 100)
    assert queue.state(one) is TransferState.QUEUED


def test_a_record_of_another_version_is_left_alone(queue: Queue) -> None:
    queue.add(job("a"))
    path = queue.folder / "jobs" / "a.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    assert Queue(queue.folder).jobs() == []
    assert path.exists()


def test_only_the_user_may_look_into_the_queue(queue: Queue) -> None:
    queue.add(job("a"))
    for path in (queue.folder, queue.folder / "jobs"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (queue.folder / "jobs" / "a.json").stat().st_mode & 0o777 == 0o600


def test_what_was_done_long_ago_is_forgotten(queue: Queue) -> None:
    for name, state, days in (
        ("new", TransferState.COMPLETE, 0.5),
        ("old", TransferState.COMPLETE, 2),
        ("failed", TransferState.FAILED, 2),
        ("ancient", TransferState.FAILED, 8),
        ("waits", TransferState.QUEUED, 99),
    ):
        one = queue.add(job(name))
        report = Report(id=name, turn=1, state=state)
        queue.tell(replace(report, updated_at=time.time() - days * 86400))
        assert queue.report(one).state is state
    queue.tidy()
    assert {one.id for one in queue.jobs()} == {"new", "failed", "waits"}


def test_one_worker_at_a_time_holds_the_queue(queue: Queue) -> None:
    assert not queue.is_worked_on
    other = Queue(queue.folder)
    with queue.held():
        assert other.is_worked_on
        with pytest.raises(errors.StateConflict), other.held():
            pass
    assert not queue.is_worked_on


def test_the_queue_has_room_for_what_is_done(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.client.queue.MOST", 2)
    first = queue.add(job("a"))
    queue.add(job("b"))
    assert queue.room == 0
    done(queue, first)
    assert queue.room == 1


def test_what_a_killed_command_left_half_written_is_removed(queue: Queue) -> None:
    queue.add(job("a"))
    old, new = (queue.folder / "jobs" / f"{name}.new" for name in ("old", "new"))
    for path in (old, new):
        path.write_text("{")
    long_ago = time.time() - 2 * 3600
    os.utime(old, (long_ago, long_ago))
    queue.tidy()
    assert (old.exists(), new.exists()) == (False, True)
    assert [one.id for one in queue.jobs()] == ["a"]


def test_a_job_of_an_earlier_version_has_the_defaults_of_what_is_new(queue: Queue) -> None:
    plain = asdict(job("a"))
    new = ("delta", "preserve", "link", "compress", "key_files", "recipients", "passphrase_file")
    seal(queue.folder / "jobs" / "a.json", 1, {k: v for k, v in plain.items() if k not in new})
    assert queue.jobs() == [job("a", created_at=plain["created_at"])]


def test_rows_of_a_coded_file_wait_with_its_note(queue: Queue) -> None:
    notebook, state = queue.notebook, queue.folder.parent
    one = queue.add(job("a"))
    for name in ("a.json", "a.chunks"):
        (state / name).write_text(name)
    notebook.remove("a")
    assert not list(state.glob("a.*"))
    notebook.restore("a")
    assert {path.name: path.read_text() for path in state.glob("a.*")} == {
        "a.json": "a.json",
        "a.chunks": "a.chunks",
    }
    notebook.remove("a")
    done(queue, one)
    assert [path.name for path in (queue.folder / "reports").iterdir()] == ["a.json"]


def test_a_job_of_a_later_version_is_left_alone(queue: Queue) -> None:
    path = queue.folder / "jobs" / "a.json"
    seal(path, 1, {**asdict(job("a")), "of_tomorrow": True})
    assert (queue.jobs(), queue.has_work, path.exists()) == ([], False, True)
