"""Who carries which range, and what becomes of one that fails; `work` is whatever a test needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.client.gates import Gate
from tests.client.links import Steady
from towpath import errors
from towpath.client.control import Control, Stop, Stopped
from towpath.client.parallel import Attempt, Crew, TooWide
from towpath.client.progress import Direction, Meter, Progress
from towpath.client.retry import Patience
from towpath.client.tuning import SMALLEST, Tuner
from towpath.core.ranges import Extent, Span

MIB = 1024 * 1024
LENGTH = 20 * MIB


class Books:
    """What a crew reports, and what it has been told to keep."""

    def __init__(self) -> None:
        self.values: list[Progress] = []
        self.meter = Meter("t", Direction.UPLOAD, self.values.append)
        self.meter.total = LENGTH
        self.kept: list[Extent] = []
        self.lock = threading.Lock()
        self.attempts: list[Attempt] = []
        self.at_once = self.most_at_once = 0

    def carry(self, attempt: Attempt, crc: int = 0) -> None:
        """Work that succeeds at once."""
        with self.lock:
            self.attempts.append(attempt)
        attempt.moved += attempt.end - attempt.start
        attempt.safe.append(Span(attempt.start, attempt.end, crc))

    def __enter__(self) -> None:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def __exit__(self, *failure: object) -> None:
        with self.lock:
            self.at_once -= 1


def crew_of(
    work: Callable[[Attempt], None],
    *,
    connections: int = 4,
    retries: int = 3,
    control: Control | None = None,
    unkept: int | None = None,
    tuner: Tuner | None = None,
) -> Crew:
    return Crew(
        work,
        [(0, LENGTH)],
        extent=Extent(),
        tuner=tuner or Steady(connections, largest=8 * MIB),
        most=connections,
        patience=Patience(retries),
        control=control or Control(),
        unkept=unkept,
    )


def test_every_byte_is_carried_once_and_kept() -> None:
    books = Books()
    crew = crew_of(books.carry)
    crew.run(books.meter, books.kept.append)
    assert crew.extent.offset == LENGTH
    assert books.kept[-1] == crew.extent
    assert sum(each.end - each.start for each in books.attempts) == LENGTH
    assert books.meter.transferred == books.meter.sent == LENGTH


def test_no_more_connections_than_said_are_under_way() -> None:
    books, three = Books(), Gate(3)

    def work(attempt: Attempt) -> None:
        with books:
            three()
            time.sleep(0.01)  # in which one too many would come
            books.carry(attempt)

    crew_of(work, connections=3).run(books.meter, books.kept.append)
    assert books.most_at_once == 3


def test_what_failed_is_tried_again_and_only_what_is_not_safe() -> None:
    books = Books()
    failed: list[Attempt] = []

    def work(attempt: Attempt) -> None:
        if attempt.start == 0 and not failed:
            failed.append(attempt)
            attempt.safe.append(Span(0, 1000, 7))
            raise errors.Cut("The connection was lost.")
        books.carry(attempt)

    crew = crew_of(work)
    crew.run(books.meter, books.kept.append)
    again = min(books.attempts, key=lambda attempt: attempt.start)
    assert (again.start, again.doubtful) == (1000, True)
    assert crew.extent.offset == LENGTH
    assert books.meter.retries == 1


def test_failures_of_one_moment_count_as_one() -> None:
    books = Books()
    together = threading.Barrier(4)
    failed: set[int] = set()

    def work(attempt: Attempt) -> None:
        if not attempt.doubtful and len(failed) < 4:
            with books.lock:
                failed.add(attempt.start)
            together.wait(10)
            raise errors.ServerUnreachable("Nobody answers.")
        books.carry(attempt)

    crew_of(work, retries=1).run(books.meter, books.kept.append)
    assert books.meter.retries == 4


def test_while_nothing_gets_through_one_tries_for_all() -> None:
    books = Books()
    counts: list[int] = []

    def work(attempt: Attempt) -> None:
        with books:
            counts.append(books.at_once)
            time.sleep(0.005)
            if len(counts) < 14:
                raise errors.ServerUnreachable("Nobody answers.")
            books.carry(attempt)

    crew_of(work, retries=20).run(books.meter, books.kept.append)
    assert set(counts[9:14]) == {1}
    assert "waiting" in {value.state for value in books.values}


def test_after_the_retries_the_failure_is_raised() -> None:
    books = Books()

    def work(attempt: Attempt) -> None:
        raise errors.ServerUnreachable("Nobody answers.")

    with pytest.raises(errors.ServerUnreachable):
        crew_of(work, retries=2).run(books.meter, books.kept.append)


def test_a_refusal_ends_it_and_what_was_safe_is_kept() -> None:
    books = Books()

    def work(attempt: Attempt) -> None:
        if attempt.start >= 4 * MIB:
            raise errors.Forbidden("You may not.")
        books.carry(attempt)

    crew = crew_of(work, connections=1)
    with pytest.raises(errors.Forbidden):
        crew.run(books.meter, books.kept.append)
    assert books.kept[-1].offset == crew.extent.offset >= 4 * MIB


def test_a_server_that_is_busy_gets_fewer_and_no_retry_is_used_up() -> None:
    books, changed = Books(), threading.Condition()
    inside = refused = 0
    counted: list[int] = []

    class Noting(Steady):
        def busy(self, others: int, now: float) -> None:
            super().busy(others, now)
            with changed:
                counted.append(others)
                changed.notify_all()

    def has_heard() -> bool:
        return len(counted) == refused and min(counted, default=4) <= 2  # no refusal is under way

    def work(attempt: Attempt) -> None:
        nonlocal inside, refused
        with changed:
            if inside == 2:
                refused += 1
                raise errors.StoreBusy("Later.")
            inside += 1
            assert changed.wait_for(has_heard, 10)
            inside -= 1
        books.carry(attempt)

    tuner = Noting(4)
    crew_of(work, retries=0, tuner=tuner).run(books.meter, books.kept.append)
    assert tuner.connections <= 2


def test_chunks_that_are_too_wide_for_the_way_get_smaller() -> None:
    books = Books()

    def work(attempt: Attempt) -> None:
        if attempt.end - attempt.start > 500_000:
            raise TooWide(errors.TooLarge("Too large."))
        books.carry(attempt)

    crew_of(work).run(books.meter, books.kept.append)
    assert max(each.end - each.start for each in books.attempts) <= 500_000


def test_a_way_that_is_too_narrow_for_any_chunk_is_an_error() -> None:
    def work(attempt: Attempt) -> None:
        raise TooWide(errors.TooLarge("Too large."))

    books = Books()
    with pytest.raises(errors.TooLarge):
        crew_of(work, tuner=Steady(2, largest=SMALLEST)).run(books.meter, books.kept.append)


@pytest.mark.parametrize("why", list(Stop))
def test_a_wish_to_stop_is_heard_by_all(why: Stop) -> None:
    books, control = Books(), Control()

    def work(attempt: Attempt) -> None:
        control.stop(why)
        while True:
            crew.check()
            time.sleep(0.001)

    crew = crew_of(work, control=control)
    with pytest.raises(Stopped) as stopped:
        crew.run(books.meter, books.kept.append)
    assert stopped.value.why is why


def test_no_more_is_begun_than_may_be_lost() -> None:
    books = Books()
    slow = threading.Event()

    def keep(extent: Extent) -> None:
        assert extent.total - (books.kept[-1].total if books.kept else 0) <= 6 * MIB
        books.kept.append(extent)
        slow.wait(0.05)

    crew_of(books.carry, unkept=2 * MIB, connections=4, tuner=Steady(4, largest=MIB)).run(
        books.meter, keep
    )
    assert books.kept[-1].offset == LENGTH


def test_what_is_safe_of_a_range_is_kept_before_the_range_ends() -> None:
    books, most = Books(), 0

    def work(attempt: Attempt) -> None:
        nonlocal most
        for position in range(attempt.start, attempt.end, MIB):
            attempt.moved += MIB
            attempt.safe[:] = [Span(attempt.start, position + MIB, 0)]
            crew.keep_up()
            most = max(most, position + MIB - (books.kept[-1].offset if books.kept else 0))

    crew = crew_of(work, connections=1, unkept=4 * MIB, tuner=Steady(1, largest=16 * MIB))
    crew.run(books.meter, books.kept.append)
    assert books.kept[-1].offset == LENGTH
    assert any(extent.offset % (16 * MIB) for extent in books.kept[:-1])
    assert most <= 5 * MIB


def test_who_waits_for_what_is_kept_hears_that_it_shall_stop() -> None:
    books, control = Books(), Control()

    def work(attempt: Attempt) -> None:
        attempt.safe[:] = [Span(attempt.start, attempt.end, 0)]
        crew.keep_up()

    def keep(extent: Extent) -> None:
        control.stop(Stop.PAUSE)
        raise Stopped(Stop.PAUSE)

    crew = crew_of(work, control=control, unkept=0)
    with pytest.raises(Stopped):
        crew.run(books.meter, keep)


def test_what_could_not_be_kept_once_is_not_kept_later() -> None:
    books, asked = Books(), 0

    def keep(extent: Extent) -> None:  # a disk tells once that it lost what it was to sync
        nonlocal asked
        asked += 1
        if asked == 1:
            raise errors.TransferError("The disk failed.")
        books.kept.append(extent)

    with pytest.raises(errors.TransferError, match="The disk failed"):
        crew_of(books.carry, unkept=2 * MIB).run(books.meter, keep)
    assert (asked, books.kept) == (1, [])


def test_a_fault_of_our_own_is_not_tried_again() -> None:
    books = Books()

    def work(attempt: Attempt) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew_of(work).run(books.meter, books.kept.append)


def test_a_fault_of_the_bookkeeping_ends_the_transfer_too() -> None:
    books = Books()

    class Broken(Tuner):
        def done(self, size: int, began: float, ended: float, *, tells: bool = True) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew_of(books.carry, tuner=Broken(4)).run(books.meter, books.kept.append)


def in_order(work: Callable[[Attempt], None], parts: list[tuple[int, int]]) -> Crew:
    return Crew(
        work,
        parts,
        extent=Extent(),
        tuner=Steady(4, largest=MIB),
        most=4,
        patience=Patience(3),
        control=Control(),
        in_order=True,
    )


PARTS = [(0, 6 * MIB), (6 * MIB, 12 * MIB), (12 * MIB, LENGTH)]


def test_in_order_each_range_is_carried_by_one_connection_at_a_time() -> None:
    books = Books()
    inside: set[int] = set()

    def work(attempt: Attempt) -> None:
        part = next(start for start, end in PARTS if start <= attempt.start < end)
        with books.lock:
            assert part not in inside
            inside.add(part)
        time.sleep(0.001)
        with books.lock:
            inside.discard(part)
        books.carry(attempt)

    crew = in_order(work, PARTS)
    crew.run(books.meter, books.kept.append)
    assert crew.extent.offset == LENGTH
    for start, end in PARTS:
        begun = [each.start for each in books.attempts if start <= each.start < end]
        assert begun == sorted(begun)
        assert len(begun) > 2


def test_in_order_what_failed_goes_first_and_nothing_overtakes_it() -> None:
    books = Books()
    failed: list[Attempt] = []

    def work(attempt: Attempt) -> None:
        if attempt.start == 0 and not failed:
            failed.append(attempt)
            attempt.safe.append(Span(0, 1000, 7))
            raise errors.Cut("The connection was lost.")
        books.carry(attempt)

    crew = in_order(work, PARTS)
    crew.run(books.meter, books.kept.append)
    first = [each for each in books.attempts if each.start < PARTS[0][1]]
    assert (first[0].start, first[0].doubtful) == (1000, True)
    assert [each.start for each in first[1:]] == [each.end for each in first[:-1]]
    assert sum(each.end - each.start for each in books.attempts) == LENGTH - 1000
    assert books.meter.transferred == LENGTH


@pytest.mark.parametrize("connections", [1, 3])
def test_there_are_no_more_carriers_than_connections_were_wanted(connections: int) -> None:
    books, seen = Books(), set[int]()

    def work(attempt: Attempt) -> None:
        with books.lock:
            seen.add(sum(each.name == "towpath-carrier" for each in threading.enumerate()))
        books.carry(attempt)

    tuner = Steady(8)
    tuner.connections = connections
    crew_of(work, connections=8, tuner=tuner).run(books.meter, books.kept.append)
    assert max(seen) <= connections
    assert books.kept[-1].total == LENGTH
