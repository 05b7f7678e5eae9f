"""Who waits in a line of commits is answered, whatever happens to those before."""

import threading
from collections.abc import Sequence

import pytest

from towpath.errors import LedgerError
from towpath.ledger import group as group_module
from towpath.ledger.group import GroupCommit, Ticket


class Book:
    """Performs groups by writing down how many came together."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.fail: BaseException | None = None

    def perform(self, group: Sequence[Ticket]) -> None:
        self.groups.append(len(group))
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure


def test_those_in_the_line_are_done_as_one_group() -> None:
    book = Book()
    line = GroupCommit(book.perform)
    tickets = [line.join([]) for _ in range(10)]
    for ticket in tickets:
        line.wait(ticket)
    assert book.groups == [10]


def test_a_group_has_a_largest_size_and_the_next_one_is_led_by_its_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_module, "LARGEST_GROUP", 4)
    book = Book()
    line = GroupCommit(book.perform)
    tickets = [line.join([]) for _ in range(10)]
    for ticket in tickets:
        line.wait(ticket)
    assert book.groups == [4, 4, 2]


def test_the_line_is_never_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "LONGEST_LINE", 3)
    book = Book()
    line = GroupCommit(book.perform)

    def commit_much() -> None:
        for _ in range(50):
            line.commit([])

    threads = [threading.Thread(target=commit_much) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(book.groups) == 600
    assert max(book.groups) <= 3


def test_what_breaks_the_leader_is_told_to_everyone_in_its_group_and_the_line_goes_on() -> None:
    book = Book()
    line = GroupCommit(book.perform)
    book.fail = RuntimeError("a mistake")
    tickets = [line.join([]) for _ in range(3)]
    for ticket in tickets:
        with pytest.raises(LedgerError, match="RuntimeError: a mistake"):
            line.wait(ticket)
    line.commit([])
    assert book.groups == [3, 1]


def test_an_interrupt_of_the_leader_is_raised_by_it_and_answered_to_the_others() -> None:
    book = Book()
    line = GroupCommit(book.perform)
    book.fail = KeyboardInterrupt()
    first, second = line.join([]), line.join([])
    with pytest.raises(KeyboardInterrupt):
        line.wait(first)
    with pytest.raises(LedgerError, match="KeyboardInterrupt"):
        line.wait(second)
    line.commit([])
    line.close()


class Interrupted:
    """A lock whose waiter is interrupted."""

    def acquire(self) -> None:
        raise KeyboardInterrupt

    def release(self) -> None:
        """Nobody waits any more."""


def test_who_is_interrupted_while_it_waits_leaves_the_line() -> None:
    book = Book()
    line = GroupCommit(book.perform)
    leader, gone, last = line.join([]), line.join([]), line.join([])
    gone.called = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        line.wait(gone)
    line.wait(leader)
    line.wait(last)
    assert book.groups == [2]
    line.close()


def test_a_line_that_is_closed_takes_nobody_and_may_be_closed_again() -> None:
    line = GroupCommit(Book().perform)
    line.commit([])
    line.close()
    line.close()
    with pytest.raises(LedgerError, match="closed"):
        line.commit([])
