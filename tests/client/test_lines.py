"""The connections of a client: how many there are, and who gets the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.client.gates import Gate
from towpath.client.control import Control, Stop, Stopped
from towpath.client.lines import Lines, Share
from towpath.client.parallel import Attempt, Crew
from towpath.client.progress import Direction, Meter
from towpath.client.retry import Patience
from towpath.client.tuning import Tuner
from towpath.core.ranges import Extent, Span

MIB = 1024 * 1024


def taken(share: Share, most: int = 100) -> int:
    """How many lines it gets when it takes what it can."""
    return sum(share.more() for _ in range(most))


def no_wish() -> None:
    """Nobody asks to stop."""


def test_there_are_never_more_than_said() -> None:
    share = Lines(5).share()
    assert taken(share) == share.held == 5


def test_without_a_number_there_are_as_many_as_are_asked_for() -> None:
    assert taken(Lines().share()) == 100


def test_there_is_at_least_one() -> None:
    assert taken(Lines(0).share()) == 1


def test_who_has_fewest_gets_the_next_one() -> None:
    lines = Lines(6)
    early, late = lines.share(), lines.share()
    assert taken(early) == 6
    assert not late.more()
    early.less()
    assert not early.more()  # it is not its turn
    assert late.more()
    assert (early.held, late.held) == (5, 1)


def test_all_who_want_many_end_with_as_many_as_each_other() -> None:
    lines = Lines(12)
    shares = [lines.share() for _ in range(3)]
    assert taken(shares[0]) == 12
    for _ in range(30):  # chunks end one by one, and everybody wants more
        max(shares, key=lambda share: share.held).less()
        for share in shares:
            share.more()
    assert [share.held for share in shares] == [4, 4, 4]


def test_a_line_that_nobody_else_wants_is_not_left_idle() -> None:
    lines = Lines(4)
    modest, greedy = lines.share(), lines.share()
    assert modest.more()
    assert taken(greedy) == 3
    assert not modest.more()
    greedy.less()
    assert not greedy.more()  # the modest one wants it
    modest.enough()
    assert greedy.more()


def test_a_transfer_waits_for_its_first_line_and_gives_back_all() -> None:
    lines = Lines(2)
    first, second = lines.share(), lines.share()
    begun, go = threading.Event(), threading.Event()

    def carry() -> None:
        with second.first(no_wish):
            begun.set()
            go.wait(10)

    with first.first(no_wish):
        assert first.more()
        waiting = threading.Thread(target=carry)
        waiting.start()
        assert not begun.wait(0.05)
        first.less()
        assert begun.wait(10)
        assert not first.more()
    assert first.held == 0
    go.set()
    waiting.join()
    assert (second.held, taken(lines.share())) == (0, 2)


def test_a_wish_to_stop_ends_the_wait_for_the_first_line() -> None:
    lines, control = Lines(1), Control()
    holder, waiter = lines.share(), lines.share()
    control.stop(Stop.PAUSE)
    with holder.first(no_wish):
        with pytest.raises(Stopped), waiter.first(control.check):
            pass
        assert waiter.held == 0
    assert holder.more()  # who stopped to wait is in nobody's way


# Crews that share the lines of a client; `work` waits at a gate instead of for a time


class Books:
    """A crew, and which of its attempts told the tuner something."""

    def __init__(self, control: Control, pause: Callable[[], None], *, length: int) -> None:
        self.tells: list[bool] = []
        self._pause = pause
        books = self

        class Noting(Tuner):
            def done(self, size: int, began: float, ended: float, *, tells: bool = True) -> None:
                books.tells.append(tells)
                super().done(size, began, ended, tells=tells)

        self.crew = Crew(
            self.work,
            [(0, length)],
            extent=Extent(),
            tuner=Noting(4, largest=MIB),
            most=4,
            patience=Patience(3),
            control=control,
        )
        self.meter = Meter("t", Direction.UPLOAD, lambda _: None)
        self.meter.total = length
        self._control = control

    def work(self, attempt: Attempt) -> None:
        self._pause()
        attempt.moved += attempt.end - attempt.start
        attempt.safe.append(Span(attempt.start, attempt.end, 0))

    def run(self) -> None:
        with self._control.lines.first(self._control.check):
            self.crew.run(self.meter, lambda _: None)


def test_two_files_at_once_have_no_more_connections_than_the_client() -> None:
    lines, gate = Lines(3), Gate(3)
    both = [Books(Control(lines=lines.share()), gate, length=12 * MIB) for _ in range(2)]
    threads = [threading.Thread(target=each.run) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.most == 3
    assert [each.crew.extent.offset for each in both] == [12 * MIB, 12 * MIB]
    assert taken(lines.share()) == 3  # all were given back


def test_a_file_alone_has_all_that_help() -> None:
    gate = Gate(4)
    alone = Books(Control(lines=Lines(4).share()), gate, length=8 * MIB)
    alone.run()
    assert gate.most == 4
    assert all(alone.tells)


def test_while_lines_are_short_nothing_is_learned_of_their_number() -> None:
    refused = threading.Event()

    class Refusing(Share):
        def more(self) -> bool:
            got = super().more()
            if not got:
                refused.set()
            return got

    def until_refused() -> None:
        refused.clear()
        refused.wait(0.5)  # at the end nobody asks for more

    alone = Books(Control(lines=Refusing(Lines(2))), until_refused, length=8 * MIB)
    alone.run()
    assert alone.crew.extent.offset == 8 * MIB
    assert not any(alone.tells[:-2])
