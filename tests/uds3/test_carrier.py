"""When a carrier tries again, and when it gives up."""

from __future__ import annotations

import random

import pytest

from towpath import errors
from towpath.uds3 import ChecksumMismatchError, NetworkError, StreamingTimeoutError
from towpath.uds3.carrier import Rules
from towpath.uds3.errors import kind_of, words_of

DEFAULT = ("NetworkError", "TimeoutError", "ChecksumMismatchError")


def rules(
    *, exponential: bool = True, retry_on: tuple[str, ...] = DEFAULT, tries: int = 3
) -> Rules:
    return Rules(
        max_retries=tries,
        retry_delay=5,
        timeout=300,
        exponential=exponential,
        retry_on=frozenset(retry_on),
        parallel=4,
        operations=8,
    )


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Between what a wait was drawn; each is the longest."""
    bounds: list[tuple[float, float]] = []

    def longest(least: float, most: float) -> float:
        bounds.append((least, most))
        return most

    monkeypatch.setattr(random, "uniform", longest)
    return bounds


def test_the_longest_wait_doubles_or_stays_as_it_is(drawn: list[tuple[float, float]]) -> None:
    cut = errors.Cut("gone")
    assert [rules().wait(cut, n) for n in (1, 2, 3)] == [5, 10, 20]
    assert [rules(exponential=False).wait(cut, n) for n in (1, 2, 3)] == [5, 5, 5]
    assert {least for least, _ in drawn} == {0}


def test_the_longest_wait_has_a_bound() -> None:
    assert rules(tries=5000).wait(errors.Cut("gone"), 5000) == 5 * 2**16


def test_a_wait_is_never_shorter_than_the_server_asked_for() -> None:
    busy = errors.LimitReached("x", retry_after=7)
    assert [rules().wait(busy, n) for n in (1, 2)] == [7, 10]
    with pytest.raises(NetworkError) as caught:
        rules().wait(busy, 4)
    assert caught.value.retry_after == 7


def test_the_fourth_failure_in_a_row_is_raised_under_its_name_here() -> None:
    with pytest.raises(NetworkError) as caught:
        rules().wait(errors.Cut("gone", why="a cable"), 4)
    assert isinstance(caught.value.__cause__, errors.Cut)
    assert caught.value.why == "a cable"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ServerUnreachable("x"), "NetworkError"),
        (errors.LimitReached("x", retry_after=5), "NetworkError"),
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


def test_one_word_alone_is_not_its_letters() -> None:
    assert words_of("NetworkError") == words_of(["NetworkError"]) == {"NetworkError"}
    assert words_of(TimeoutError) == words_of((TimeoutError,)) == {"TimeoutError"}


def test_other_names_may_be_tried_again_too() -> None:
    assert rules(retry_on=("StoreError",)).wait(errors.StoreFull("x"), 1) == 5
    with pytest.raises(ChecksumMismatchError):
        rules(retry_on=("StoreError",)).wait(errors.DigestMismatch("x"), 1)
