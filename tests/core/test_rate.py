"""How fast bytes move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.rate import Rate


@given(st.floats(1, 1e9), st.lists(st.floats(0.01, 5), min_size=1, max_size=50))
def test_a_steady_rate_is_measured_as_it_is(speed: float, steps: list[float]) -> None:
    rate = Rate()
    for seconds in steps:
        rate.add(int(speed * seconds * 1000), seconds)
    assert rate.per_second == pytest.approx(speed * 1000, rel=0.2)


def test_a_rate_forgets_what_was_long_ago() -> None:
    rate = Rate()
    rate.add(1_000_000, 1.0)
    rate.add(0, 100.0)
    assert rate.per_second < 100


def test_nothing_measured_is_a_rate_of_nothing() -> None:
    rate = Rate()
    rate.add(100, 0.0)
    assert (rate.per_second, rate.seconds) == (0.0, 0.0)
