"""The controller of connections and chunk sizes, over modelled links in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest

from tests.client.links import LINKS, MIB, Fixed, Link, Ride, Settings, Steady, by_itself
from towpath.client.tuning import LARGEST, MOST, SMALLEST, SWIFT, Tuner

SIZES = [SMALLEST << doublings for doublings in range(9)]  # bytes: up to the largest, 64 MiB
SEED = 4
SLIGHT = 1.002  # times: what can't be better by more is not tried


def takes(link: Link, settings: Callable[[], Settings], enough: float = math.inf) -> float:
    """Seconds over the link, the mean of four rides if luck plays a part; over `enough`: many."""
    seeds = range(SEED, SEED + 4) if link.loss else [SEED]
    took = 0.0
    for seed in seeds:
        took += Ride(link, settings(), seed).seconds(enough * len(seeds) - took)
    return took / len(seeds)


def at_least(link: Link, connections: int, size: int) -> float:
    """Seconds that so many connections need for chunks of that size even without any loss."""
    chunk = link.round_trip + link.answer + size * link.round_trip / link.window
    return max(link.length / size / connections * chunk, link.length / link.shared)


def best_fixed(link: Link) -> float:
    """Seconds by the best setting that never changes."""
    most = MOST if link.limit is None else min(MOST, 2 * link.limit)  # more is only refused more
    best = math.inf
    for size in reversed(SIZES):
        for connections in range(most, 0, -1):
            if at_least(link, connections, size) * SLIGHT < best:
                best = min(best, takes(link, partial(Fixed, connections, size), best))
    return best


def test_the_settings_that_it_is_held_against_go_as_far_as_its_own() -> None:
    assert (SIZES[0], SIZES[-1]) == (SMALLEST, LARGEST)


@pytest.mark.parametrize("name", LINKS)
def test_it_is_within_15_percent_of_the_best_fixed_setting(name: str) -> None:
    link = LINKS[name]
    assert takes(link, by_itself) <= 1.15 * best_fixed(link) / SLIGHT


def settled(link: Link) -> Tuner:
    """The controller as it is at the end of a transfer."""
    tuner = Tuner()
    Ride(link, tuner, SEED).seconds()
    return tuner


def test_connections_that_bring_nothing_are_given_up() -> None:
    assert settled(LINKS["a gigabit at home"]).connections <= 2


def test_connections_that_bring_something_are_all_used() -> None:
    assert settled(LINKS["far with small windows"]).connections >= 6


def test_a_server_that_takes_few_at_once_is_seldom_asked_for_more() -> None:
    refused = []

    class Counting(Tuner):
        def busy(self, others: int, now: float) -> None:
            refused.append(now)
            super().busy(others, now)

    tuner = Counting()
    Ride(LINKS["three at once"], tuner, SEED).seconds()
    assert tuner.connections <= 4
    assert 1 <= len(refused) <= 10


def test_a_link_that_gets_faster_gets_more_connections() -> None:
    tuner = Tuner()
    slow = Link(round_trip=0.1, window=MIB, shared=5e6, seconds=300)
    Ride(slow, tuner, SEED).seconds()
    before = tuner.connections
    assert before <= 2
    assert Ride(LINKS["over an ocean"], Later(tuner, 1000.0), SEED).seconds() < 70
    assert tuner.connections >= 6


def test_a_link_that_gets_faster_soon_after_a_try_is_not_waited_out() -> None:
    tuner = Tuner()
    slow = Link(round_trip=0.1, window=MIB, shared=5e6, seconds=300)
    end = Ride(slow, tuner, SEED).seconds()
    assert Ride(LINKS["over an ocean"], Later(tuner, end), SEED).seconds() < 70


class Later:
    """A controller whose clock is ahead of the ride's."""

    def __init__(self, tuner: Tuner, by: float) -> None:
        self._tuner = tuner
        self._by = by

    @property
    def connections(self) -> int:
        return self._tuner.connections

    def answered(self, seconds: float) -> None:
        self._tuner.answered(seconds)

    def chunk(self, left: int) -> int:
        return self._tuner.chunk(left)

    def done(self, size: int, began: float, ended: float) -> None:
        self._tuner.done(size, began + self._by, ended + self._by)

    def busy(self, others: int, now: float) -> None:
        self._tuner.busy(others, now + self._by)


@pytest.mark.parametrize(("rate", "size"), [(50_000, SMALLEST), (600_000, 2 * MIB), (1e9, LARGEST)])
def test_a_chunk_takes_up_to_four_seconds_within_bounds(rate: float, size: int) -> None:
    tuner = Steady(4)
    for _ in range(12):
        chunk = tuner.chunk(1 << 40)
        tuner.done(chunk, 0, chunk / rate)
    assert tuner.chunk(1 << 40) == size
    if size not in (SMALLEST, LARGEST):
        assert 1 < size / rate <= 4


@pytest.mark.parametrize(
    ("rate", "size"), [(200 * MIB, LARGEST), (600 * MIB, 128 * MIB), (5e9, SWIFT)]
)
def test_a_chunk_that_is_over_in_a_moment_may_be_larger(rate: float, size: int) -> None:
    tuner = Steady(4, swift=SWIFT)
    for _ in range(12):
        chunk = tuner.chunk(1 << 40)
        tuner.done(chunk, 0, chunk / rate)
    assert tuner.chunk(1 << 40) == size
    assert size == LARGEST or size / rate <= 0.25
    assert tuner.narrow(size)
    tuner.done(MIB, 0, MIB / rate)
    assert tuner.chunk(1 << 40) == size // 2


@pytest.mark.parametrize(
    ("answered", "took", "connections"),
    [(0.004, 0.01, 1), (0.004, 0.2, 4), (0.2, 0.01, 4)],
)
def test_one_connection_goes_on_alone_where_the_server_is_near_and_its_chunk_over_at_once(
    answered: float, took: float, connections: int
) -> None:
    tuner = Tuner(swift=SWIFT)
    tuner.answered(answered)
    assert tuner.connections == (1 if answered < 0.1 else 4)
    tuner.done(tuner.chunk(1 << 40), 0, took)
    assert tuner.connections == connections


def test_who_goes_on_alone_takes_chunks_of_four_seconds() -> None:
    tuner = Tuner(swift=SWIFT)
    tuner.answered(0.004)
    tuner.done(4 * MIB, 0, 0.02)
    assert tuner.chunk(1 << 40) == 512 * MIB  # 200 MiB/s
    tuner.done(512 * MIB, 0.02, 0.5)
    assert tuner.chunk(1 << 40) == SWIFT


@pytest.mark.parametrize(("took", "chunk"), [(0.01, 256 * MIB), (0.08, 32 * MIB), (0.2, 4 * MIB)])
def test_several_to_a_near_server_take_long_chunks_if_together_they_are_swift(
    took: float, chunk: int
) -> None:
    tuner = Tuner(swift=SWIFT, near=4)
    tuner.answered(0.004)
    assert (tuner.connections, tuner.chunk(1 << 40)) == (4, MIB)
    tuner.done(MIB, 0, took)
    assert tuner.connections == 4
    assert tuner.chunk(1 << 40) == chunk


def test_of_a_file_of_a_few_chunks_each_of_several_gets_its_share() -> None:
    tuner = Tuner(swift=SWIFT, near=4)
    tuner.answered(0.004)
    tuner.done(MIB, 0, 0.005)
    left, given = 1008 * MIB, []
    while left:
        given.append(tuner.chunk(left))
        left -= given[-1]
    assert max(given) == 252 * MIB
    assert len(given) <= 8


def test_no_more_begin_than_are_allowed_however_near_the_server() -> None:
    tuner = Tuner(2, swift=SWIFT, near=4)
    tuner.answered(0.004)
    assert tuner.connections == 2


def test_a_failure_of_the_first_chunk_lets_all_begin() -> None:
    tuner = Tuner(swift=SWIFT)
    tuner.answered(0.004)
    tuner.done(0, 0, 0.01)
    assert tuner.connections == 4


def test_small_answers_tell_nothing_once_chunks_have() -> None:
    tuner = Tuner(swift=SWIFT)
    tuner.done(MIB, 0, 0.2)
    tuner.answered(0.004)
    assert tuner.connections == 4


def test_chunks_that_may_not_be_long_go_by_many_connections_however_near_the_server() -> None:
    tuner = Tuner(largest=MIB)
    tuner.answered(0.004)
    assert (tuner.connections, tuner.chunk(1 << 40)) == (4, MIB)


def test_who_went_alone_looks_for_a_second_later() -> None:
    tuner = Tuner(swift=SWIFT)
    tuner.answered(0.004)
    tuner.done(tuner.chunk(1 << 40), 0, 0.01)
    now = 0.01
    while tuner.connections == 1 and now < 30:
        tuner.done(64 * MIB, now, now + 0.1)
        now += 0.1
    assert tuner.connections == 2
    assert 5 <= now < 6


def test_the_end_is_shared_among_the_connections() -> None:
    tuner = Steady(8, largest=8 * MIB)
    tuner.done(MIB, 0, 0.001)
    assert tuner.chunk(1 << 40) == 8 * MIB
    assert tuner.chunk(40 * MIB) == 5 * MIB
    assert tuner.chunk(16 * MIB) == 4 * MIB
    assert tuner.chunk(1000) == 1000


def test_what_lies_on_the_way_can_make_chunks_smaller() -> None:
    tuner = Steady(2, largest=8 * MIB)
    tuner.done(MIB, 0, 0.001)
    assert tuner.narrow(8 * MIB)
    assert tuner.chunk(1 << 40) == 4 * MIB
    assert tuner.narrow(4 * MIB)
    tuner.done(2 * MIB, 0, 0.001)
    assert tuner.chunk(1 << 40) == 2 * MIB
    assert not tuner.narrow(SMALLEST)


@pytest.mark.parametrize("most", [1, 3, 6])
def test_no_more_connections_are_asked_for_than_said(most: int) -> None:
    asked = set()

    class Noting(Tuner):
        def chunk(self, left: int) -> int:
            asked.add(self.connections)
            return super().chunk(left)

    Ride(LINKS["far with small windows"], Noting(most), SEED).seconds()
    assert max(asked) == most


def test_fewer_connections_are_used_than_said_where_more_bring_nothing() -> None:
    tuner = Tuner(12)
    Ride(LINKS["a gigabit at home"], tuner, SEED).seconds()
    assert tuner.connections <= 2


def test_what_says_nothing_of_the_connections_changes_only_chunks() -> None:
    tuner = Tuner()
    before = tuner.connections
    for at in range(100):
        tuner.done(8 * MIB, at, at + 1, tells=False)
    assert tuner.connections == before
    assert tuner.chunk(1 << 40) == 8 * MIB
