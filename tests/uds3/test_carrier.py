"""When a carrier tries again, and when it gives up."""

from __future__ import annotations

import pytest

from towpath import errors
from towpath.uds3 import ChecksumMismatchError, NetworkError, StreamingTimeoutError
from towpath.uds3.carrier import Rules
from towpath.uds3.errors import kind_of

DEFAULT = ("NetworkError", "TimeoutError", "ChecksumMismatchError")


def rules(*, exponential: bool = True, retry_on: tuple[str, ...] = DEFAULT) -> Rules:
    return Rules(
        max_retries=3,
        retry_delay=5,
        timeout=300,
        exponential=exponential,
        retry_on=frozenset(retry_on),
        parallel=4,
        operations=8,
    )


def test_waits_double_or_stay_as_they_are() -> None:
    cut = errors.Cut("gone")
    assert [rules().wait(cut, n) for n in (1, 2, 3)] == [5, 10, 20]
    assert [rules(exponential=False).wait(cut, n) for n in (1, 2, 3)] == [5, 5, 5]


def test_the_fourth_failure_in_a_row_is_raised_under_its_name_here() -> None:
    with pytest.raises(NetworkError) as caught:
        rules().wait(errors.Cut("gone", why="a cable"), 4)
    assert isinstance(caught.value.__cause__, errors.Cut)
    assert caught.value.why == "a cable"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ServerUnreachable("x"), "NetworkError"),
        (errors.LimitReached("x"), "NetworkError"),
        (ConnectionResetError("x"), "NetworkError"),
        (StreamingTimeoutError("x"), "TimeoutError"),
        (TimeoutError("x"), "TimeoutError"),
        (errors.DigestMismatch("x"), "ChecksumMismatchError"),
        (errors.StoreFull("x"), "StoreFull"),
        (errors.SourceChanged("x"), "SourceChanged"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_an_error_goes_by_a_word(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind
    if kind in DEFAULT:
        assert rules().wait(error, 1) == 5
    else:
        with pytest.raises(type(error)):
            rules().wait(error, 1)


def test_other_names_may_be_tried_again_too() -> None:
    assert rules(retry_on=("StoreError",)).wait(errors.StoreFull("x"), 1) == 5
    with pytest.raises(ChecksumMismatchError):
        rules(retry_on=("StoreError",)).wait(errors.DigestMismatch("x"), 1)
