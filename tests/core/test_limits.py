"""The formula for memory."""

from __future__ import annotations

import pytest

from towpath.core.limits import MIB, Limits


@pytest.mark.parametrize(
    ("limits", "uploads", "waiting", "bound"),
    [
        (Limits(), 0, 0, 16 * MIB),
        (Limits(), 1_000, 0, 16 * MIB),
        (Limits(), 100, MIB, 116 * MIB),
        (Limits(), 1_000, MIB, 256 * MIB),
        (Limits(memory=4 * MIB), 1, 0, 4 * MIB),
        (Limits(workers=1, block_largest=64), 3, 10, 94),
    ],
)
def test_memory_is_bounded_by_the_budget_and_by_what_workers_hold(
    limits: Limits, uploads: int, waiting: int, bound: int
) -> None:
    assert limits.memory_bound(uploads, waiting) == bound


@pytest.mark.parametrize("settle_bytes", [1, 2, 3, 8 * MIB, 8 * MIB + 1])
def test_two_settle_points_fit_into_what_may_be_at_risk(settle_bytes: int) -> None:
    points = Limits(settle_bytes=settle_bytes).settle_points
    assert points >= 1
    assert 2 * points <= max(settle_bytes, 2)
