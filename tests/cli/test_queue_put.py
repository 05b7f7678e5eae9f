"""What `put --detach` refuses, and how its times are read."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.cli.conftest import Run
from towpath.cli.queue_put import moment

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--priority", "3"], "add --detach"),
        (["--at", "23:00"], "add --detach"),
        (["--detach", "--at", "noon"], "is no time"),
        (["--limit", "fast"], "is no rate"),
        (["--limit", "0"], "write off"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    run: Run, big: Path, args: list[str], says: str
) -> None:
    ran = run("put", big, *args)
    assert (ran.code, says in ran.err) == (2, True)


def test_stdin_cannot_be_queued(run: Run) -> None:
    ran = run("put", "-", "--name", "x", "--detach")
    assert (ran.code, "cannot be read later" in ran.err) == (2, True)


def test_an_option_that_the_queue_does_not_know_is_refused(
    run: Run, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.cli.queue_put._KEPT", {"paths", "url"})
    ran = run("put", big, "--detach", "--no-verify")
    assert (ran.code, "--no-verify does not go with --detach" in ran.err) == (2, True)


def test_a_proxy_with_a_password_is_not_queued(
    run: Run, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_PROXY", "http://me:s3cret@127.0.0.1:1")
    ran = run("put", big, "--detach")
    assert (ran.code, "HTTPS_PROXY" in ran.err, "s3cret" in ran.err) == (2, True, False)
    assert not list(tmp_path.rglob("jobs"))


@pytest.mark.parametrize(
    ("text", "now", "then"),
    [
        ("23:30", "2026-05-04T22:00", "2026-05-04T23:30"),
        ("22:00", "2026-05-04T22:00", "2026-05-05T22:00"),
        ("00:10", "2026-12-31T23:59", "2027-01-01T00:10"),
        ("2026-12-24T18:00", "2026-05-04T22:00", "2026-12-24T18:00"),
    ],
)
def test_a_time_without_a_date_is_the_next_one(text: str, now: str, then: str) -> None:
    local = datetime.fromisoformat(now).astimezone()
    assert moment(text, local) == datetime.fromisoformat(then).timestamp()


def test_a_time_may_name_its_zone() -> None:
    expected = datetime(2026, 12, 24, 18, tzinfo=BERLIN).timestamp()
    assert moment("2026-12-24T18:00+01:00", datetime.now(UTC).astimezone()) == expected


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--passphrase-env", "WORDS"], "Name a file: --passphrase-file"),
        (["--encrypt"], "give --key-file, --recipient or"),
        (["--progress", "bar"], "`towpath transfers` shows"),
        (["--delta", "--compress"], "no --delta"),
    ],
)
def test_what_the_queue_cannot_do_is_refused_with_what_to_do(
    run: Run, big: Path, tmp_path: Path, args: list[str], says: str
) -> None:
    ran = run("put", big, "--detach", *args)
    assert (ran.code, says in ran.err) == (2, True)
    assert not list(tmp_path.rglob("jobs"))


def test_a_dry_run_queues_nothing(run: Run, big: Path, tmp_path: Path) -> None:
    ran = run("put", big, "a/", "--detach", "--dry-run")
    assert (ran.code, ran.out) == (0, f"{big} -> a/big.bin  19.1 MiB\n")
    assert not list(tmp_path.rglob("jobs"))
