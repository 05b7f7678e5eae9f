"""How long a transfer waits before it tries again: waits that double, are bounded and differ."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from towpath.client.retry import Patience
from towpath.errors import LimitReached, ServerUnreachable

FIRST, LONGEST = 0.5, 30.0  # seconds
BOUNDS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
LOST = ServerUnreachable("x")
DRAWS = 400


@pytest.fixture(autouse=True)
def _no_long_waits() -> None:
    """The waits are as they are in use: none is waited for here."""


def drawn(place: Callable[[float, float], float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another source of chance in the place of `random.uniform`."""
    monkeypatch.setattr("random.uniform", place)


def waits(count: int, error: ServerUnreachable | LimitReached = LOST) -> list[float]:
    """The waits after so many failures in a row."""
    patience = Patience(count)
    return [patience.after(error) for _ in range(count)]


def test_the_longest_wait_doubles_up_to_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(lambda _least, most: most, monkeypatch)
    assert waits(len(BOUNDS)) == BOUNDS
    assert waits(2000)[-1] == LONGEST


def test_the_shortest_wait_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(lambda least, _most: least, monkeypatch)
    assert waits(len(BOUNDS)) == [0.0] * len(BOUNDS)


@pytest.mark.parametrize(("failures", "bound"), [*enumerate(BOUNDS, start=1)])
def test_waits_are_spread_over_all_of_their_range(
    failures: int, bound: float, commit_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(Random(commit_seed).uniform, monkeypatch)
    found = [waits(failures)[-1] for _ in range(DRAWS)]
    assert 0 <= min(found) < bound * 0.1
    assert bound * 0.9 < max(found) <= bound
    assert bound * 0.4 < sum(found) / DRAWS < bound * 0.6
    assert len(set(found)) > DRAWS * 0.9


def test_two_that_fail_together_do_not_try_again_together() -> None:
    assert waits(9) != waits(9)


def test_what_got_through_makes_the_next_wait_a_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(lambda _least, most: most, monkeypatch)
    patience = Patience(9)
    assert [patience.after(LOST) for _ in range(4)] == BOUNDS[:4]
    patience.progress()
    assert patience.after(LOST) == FIRST


def test_no_wait_is_shorter_than_the_server_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = LimitReached("x", retry_after=3)
    drawn(lambda least, _most: least, monkeypatch)
    assert waits(6, asked) == [3.0] * 6
    drawn(lambda _least, most: most, monkeypatch)
    assert waits(6, asked) == [3.0, 3.0, 3.0, 4.0, 8.0, 16.0]
    assert waits(1, LimitReached("x", retry_after=40)) == [40.0]  # longer than any of its own
