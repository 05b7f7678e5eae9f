"""A token bucket: what it hands out over time, and to whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.bucket import LARGEST, SMALLEST, Bucket, Flow, Ticket, grain

MB = 1_000_000


class Hall:
    """A bucket, a clock, and flows that ask anew as soon as they are served."""

    def __init__(self, rate: int | None, askers: list[Flow]) -> None:
        self.now = 0.0
        self.bucket = Bucket(rate, self.now)
        self.served = dict.fromkeys(askers, 0)
        self.waiting: dict[Ticket, Flow] = {}
        for flow in askers:
            self.ask(flow)

    def ask(self, flow: Flow, wanted: int = MB) -> Ticket:
        ticket = self.bucket.ask(flow, wanted)
        self.waiting[ticket] = flow
        return ticket

    def live(self, seconds: float) -> int:
        """Let time pass from turn to turn; return how many bytes were handed out."""
        end, before = self.now + seconds, sum(self.served.values())
        while self.now < end:
            for ticket in self.bucket.grant(self.now):
                flow = self.waiting.pop(ticket)
                self.served[flow] += ticket.granted
                self.ask(flow)
            self.now += min(max(self.bucket.due_in(self.now), 1e-6), max(end - self.now, 1e-6))
        return sum(self.served.values()) - before


@pytest.mark.parametrize("rate", [1_000, 50_000, 512 * 1024, 20 * MB, 1_000 * MB])
def test_ten_seconds_of_a_rate_are_ten_times_the_rate(rate: int) -> None:
    hall = Hall(rate, [Flow()])
    assert hall.live(10) == pytest.approx(10 * rate, abs=grain(rate) + rate * 0.001)


@given(st.integers(1, 10**10))
def test_a_turn_is_never_more_than_a_second_nor_out_of_its_bounds(rate: int) -> None:
    assert min(rate, 64 * 1024) <= grain(rate) <= min(rate, 256 * 1024)
    assert (SMALLEST, LARGEST) == (64 * 1024, 256 * 1024)


def test_a_pause_is_followed_by_no_flood() -> None:
    hall = Hall(MB, [Flow()])
    hall.live(1)
    hall.now += 3600
    assert hall.live(1) <= 1.1 * MB + 2 * grain(MB)


def test_without_a_rate_all_is_handed_out_at_once() -> None:
    bucket, flow = Bucket(None, 0.0), Flow()
    tickets = [bucket.ask(flow, 10 * MB) for _ in range(3)]
    assert bucket.grant(0.0) == tickets
    assert [ticket.granted for ticket in tickets] == [10 * MB] * 3


def test_flows_share_alike_whatever_the_number_of_their_askers() -> None:
    many, one = Flow(), Flow()
    hall = Hall(20 * MB, [many] * 8 + [one])
    for _ in range(7):
        hall.ask(many)
    hall.live(10)
    assert hall.served[many] == pytest.approx(100 * MB, rel=0.01)
    assert hall.served[one] == pytest.approx(100 * MB, rel=0.01)


def test_a_flow_that_comes_late_catches_nothing_up() -> None:
    old, new = Flow(), Flow()
    hall = Hall(10 * MB, [old])
    hall.live(60)
    before = hall.served[old]
    hall.served[new] = 0
    hall.ask(new)
    hall.live(10)
    assert hall.served[new] == pytest.approx(50 * MB, rel=0.02)
    assert hall.served[old] - before == pytest.approx(50 * MB, rel=0.02)


def test_those_who_go_away_leave_their_turns_to_others() -> None:
    gone, there = Flow(), Flow()
    hall = Hall(MB, [there])
    for _ in range(100):
        hall.bucket.withdraw(hall.ask(gone))
    assert hall.live(10) == pytest.approx(10 * MB, rel=0.02)
    assert hall.served[there] == pytest.approx(10 * MB, rel=0.02)


@pytest.mark.parametrize(
    ("before", "after"), [(1_000, 20 * MB), (20 * MB, 100_000), (20 * MB, None), (None, MB)]
)
def test_a_new_rate_holds_at_once_for_those_who_wait(before: int | None, after: int | None) -> None:
    flow = Flow()
    bucket = Bucket(before, 0.0)
    bucket.ask(flow, MB)
    bucket.grant(0.0)  # the first one leaves a debt
    waiting = bucket.ask(flow, MB)
    bucket.set_rate(after, 0.001)
    if after is not None:
        assert bucket.due_in(0.001) <= 1.0
    bucket.grant(0.001 + bucket.due_in(0.001))
    assert 0 < waiting.granted <= (MB if after is None else grain(after))


def test_the_second_after_a_change_has_the_new_rate() -> None:
    hall = Hall(20 * MB, [Flow()])
    hall.live(2)
    hall.bucket.set_rate(2 * MB, hall.now)
    assert hall.live(1) == pytest.approx(2 * MB, abs=2 * LARGEST)
    hall.bucket.set_rate(50 * MB, hall.now)
    assert hall.live(1) == pytest.approx(50 * MB, abs=2 * LARGEST)


def test_what_is_given_back_is_handed_out_again() -> None:
    bucket, flow = Bucket(MB, 0.0), Flow()
    first = bucket.ask(flow, MB)
    bucket.grant(0.0)
    assert bucket.due_in(0.0) > 0
    bucket.give_back(flow, first.granted)
    assert bucket.due_in(0.0) == 0.0


def test_giving_back_what_no_rate_counted_saves_nothing_up() -> None:
    bucket, flow = Bucket(None, 0.0), Flow()
    bucket.ask(flow, 100 * MB)
    bucket.grant(0.0)
    bucket.set_rate(MB, 0.0)
    bucket.give_back(flow, 100 * MB)
    hall = Hall(MB, [flow])
    hall.bucket = bucket
    hall.waiting = {}
    hall.ask(flow)
    assert hall.live(1) <= 1.1 * MB + 2 * grain(MB)
