"""What is read from the server's answers, and what is not believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.fake_facts import digest
from towpath import errors
from towpath.client import retry, words
from towpath.client.progress import Direction, Meter, Progress
from towpath.client.retry import Patience


def problem(status: int, code: str = "", **fields: str) -> errors.TowpathError:
    body = {"title": "It is so", "detail": "Because.", "todo": "Do.", "code": code}
    known = {"content-type": "application/problem+json", **fields}
    return words.refusal(status, known, json.dumps(body).encode())


@pytest.mark.parametrize("kind", [*words.kinds_below(errors.TowpathError)][1:])
def test_every_error_of_the_server_comes_back_as_itself(kind: type[errors.TowpathError]) -> None:
    error = problem(400, kind.code, **{"upload-offset": "1"})
    assert type(error) is kind
    assert str(error) == "It is so. Because. Do."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Malformed),
        (401, errors.Unauthenticated),
        (404, errors.NotFound),
        (410, errors.Expired),
        (413, errors.TooLarge),
        (418, errors.BadAnswer),
        (503, errors.TransferError),
        (507, errors.StoreFull),
    ],
)
def test_a_status_alone_says_enough(status: int, kind: type[errors.TowpathError]) -> None:
    error = words.refusal(status, {}, b"<html>")
    assert type(error) is kind
    assert f"answered {status}" in str(error)


def test_what_may_pass_is_known_from_what_stays() -> None:
    assert retry.may_pass(words.refusal(502, {}, b""))
    assert retry.may_pass(problem(409, "taken-over"))
    assert retry.may_pass(words.refusal(409, {"upload-offset": "7"}, b""))
    assert not retry.may_pass(words.refusal(403, {}, b""))
    assert not retry.may_pass(problem(507, "store-full"))
    assert not retry.may_pass(words.refusal(418, {}, b""))


@pytest.mark.parametrize("code", ["unanswered", "limit-reached", "store-busy", "ledger-error"])
def test_whatever_may_pass_waits_as_long_as_the_server_asked_to(code: str) -> None:
    error = problem(503, code, **{"retry-after": "40"})
    assert error.code == code
    assert error.retry_after == 40
    assert Patience(1).after(error) == 40
    with pytest.raises(type(error)):
        Patience(1, deadline=10).after(error)


def test_the_true_offset_is_taken_from_a_conflict() -> None:
    error = problem(409, "offset-conflict", **{"upload-offset": "12"})
    assert isinstance(error, errors.OffsetConflict)
    assert error.offset == 12


def test_text_from_a_stranger_cannot_steer_a_terminal() -> None:
    body = json.dumps({"title": "\x1b[2Jgone"}).encode()
    error = words.refusal(400, {"content-type": "application/json"}, body)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("text", ["-1", "1_0", "\u0665", " 5", "5.0", "", "9" * 20])
def test_what_is_no_offset_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(errors.BadAnswer):
        words.standing({"upload-offset": text})


def test_an_answer_without_offset_is_bad() -> None:
    with pytest.raises(errors.BadAnswer):
        words.standing({})


@given(st.integers(0, 2**64 - 1))
def test_a_digest_is_read_as_it_was_written(crc: int) -> None:
    assert words.crc_of({"repr-digest": digest(crc)}) == crc
    assert words.crc_of({}) is None


def test_a_digest_that_cannot_be_read_is_bad() -> None:
    with pytest.raises(errors.BadAnswer):
        words.crc_of({"repr-digest": "crc64nvme=:AAAA:"})


def test_a_wait_is_read_from_seconds_and_from_dates() -> None:
    assert words.seconds_to_wait({"retry-after": "7"}) == 7
    assert words.seconds_to_wait({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0
    assert words.seconds_to_wait({"retry-after": "soon"}) is None
    assert words.seconds_to_wait({}) is None


def test_patience_ends_and_is_renewed_by_progress() -> None:
    patience, error = Patience(2), errors.ServerUnreachable("x")
    assert patience.after(error) <= 30
    patience.after(error)
    patience.progress()
    patience.after(error)
    patience.after(error)
    with pytest.raises(errors.ServerUnreachable):
        patience.after(error)


def test_patience_waits_as_long_as_it_was_asked_to_but_not_past_its_deadline() -> None:
    assert Patience(1).after(errors.LimitReached("x", retry_after=40)) == 40
    with pytest.raises(errors.LimitReached):
        Patience(1, deadline=10).after(errors.LimitReached("x", retry_after=40))


def test_patience_has_none_for_a_refusal() -> None:
    with pytest.raises(errors.Forbidden):
        Patience(9).after(errors.Forbidden("x"))


def test_progress_says_nothing_that_nobody_knows() -> None:
    seen: list[Progress] = []
    meter = Meter("x", Direction.UPLOAD, seen.append)
    meter.begin(5)
    assert (seen[-1].percent, seen[-1].eta_seconds, seen[-1].total_bytes) == (0.0, None, None)
    meter.total = 10
    assert meter.snapshot().percent == 50
    found = json.loads(json.dumps(meter.snapshot().to_dict()))
    assert (found["state"], found["direction"], found["percent"]) == ("running", "upload", 50)
    assert found["started_at"].endswith("Z")


def test_being_offline_is_waited_out_and_is_no_failure() -> None:
    offline, silent = errors.ServerUnreachable("x"), errors.ServerUnreachable("x")
    offline.offline = True
    patience = Patience(2)
    assert all(patience.after(offline) <= 30 for _ in range(100))
    patience.after(silent)
    patience.after(silent)
    with pytest.raises(errors.ServerUnreachable):
        patience.after(silent)
    with pytest.raises(errors.ServerUnreachable):
        Patience(0).after(offline)  # who does not try again does not wait, either
    with pytest.raises(errors.ServerUnreachable):
        Patience(2, deadline=-1).after(offline)
