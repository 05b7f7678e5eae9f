"""Plain lines of progress: when there is one, and what it says. Time is in the test's hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.seeing import Screen
from towpath.cli.show import Lines, describe
from towpath.client.progress import Direction, Progress, TransferState
from towpath.testing.clock import FakeClock

Snapshot = Callable[[str, str], None]
Said = Callable[..., list[str]]
MIB = 1024 * 1024
TOTAL = 1000 * MIB


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The time that the lines go by."""
    clock = FakeClock()
    monkeypatch.setattr("towpath.cli.show.time", clock)
    return clock


def at(
    count: float,
    state: str = "running",
    *,
    total: int | None = TOTAL,
    speed: float = 0.0,
    left: float | None = None,
) -> Progress:
    """So many MiB of 1000."""
    return Progress(
        transfer_id="x",
        direction=Direction.UPLOAD,
        state=TransferState(state),
        total_bytes=total,
        transferred_bytes=round(count * MIB),
        sent_bytes=0,
        resumed_from=0,
        bytes_per_second=speed * MIB,
        eta_seconds=left,
        retries=0,
        started_at=0.0,
        updated_at=0.0,
    )


@pytest.fixture
def said(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> Said:
    """Let time pass, then tell `a.bin`'s progress; the lines that this makes on stderr."""
    lines = Lines()

    def tell(seconds: float, progress: Progress, label: str = "a.bin") -> list[str]:
        clock.advance(seconds)
        lines.update(label, progress)
        heard = capsys.readouterr()
        assert heard.out == ""
        return heard.err.splitlines()

    return tell


def test_each_ten_percent_make_one_line(said: Said) -> None:
    said(0, at(0))
    told = {tenth: said(0.3, at(tenth)) for tenth in range(1, 1001)}
    assert {tenth: lines for tenth, lines in told.items() if lines} == {
        tenth: [f"a.bin: {tenth // 10:3} %"] for tenth in range(100, 1001, 100)
    }


def test_percents_that_were_leapt_over_make_one_line_together(said: Said) -> None:
    said(0, at(0))
    assert said(3, at(455)) == ["a.bin:  45 %"]
    assert said(3, at(499)) == []
    assert said(3, at(500)) == ["a.bin:  50 %"]


def test_half_a_minute_without_a_line_makes_one(said: Said) -> None:
    said(0, at(0))
    assert said(29.9, at(1)) == []
    assert said(0.1, at(2)) == ["a.bin:   0 %"]
    assert said(29.9, at(3)) == []
    assert said(0.1, at(4)) == ["a.bin:   0 %"]
    assert said(10, at(100)) == ["a.bin:  10 %"]
    assert said(29.9, at(101)) == []  # of the last line, whichever made it
    assert said(0.1, at(101)) == ["a.bin:  10 %"]


def test_what_is_done_within_two_seconds_makes_no_line(said: Said) -> None:
    said(0, at(0))
    assert said(1, at(500)) == []
    assert said(0.9, at(1000, "complete")) == []


def test_the_end_is_a_line_of_its_own_and_the_last_one(said: Said) -> None:
    said(0, at(0))
    assert said(3, at(999)) == ["a.bin:  99 %"]
    assert said(0.1, at(1000, "complete", speed=300)) == ["a.bin: 100 %  300 MiB/s"]
    assert said(0.1, at(0)) == []  # the next one of that name begins anew
    assert said(3, at(100)) == ["a.bin:  10 %"]


@pytest.mark.parametrize("state", ["queued", "paused", "failed", "cancelled"])
def test_who_asks_for_files_hears_of_their_ends_elsewhere(said: Said, state: str) -> None:
    said(0, at(0))
    assert said(60, at(500, state)) == []


def test_trouble_is_said_at_once_and_once(said: Said) -> None:
    said(0, at(0))
    assert said(0.1, at(5, "waiting")) == ["a.bin:   0 %  waiting to try again"]
    assert said(60, at(5, "waiting")) == []
    said(0.1, at(5))
    assert said(0.1, at(7, "waiting")) == ["a.bin:   0 %  waiting to try again"]


def test_files_have_lines_each_by_themselves(said: Said) -> None:
    said(0, at(0), "a.bin")
    said(2, at(0), "b.bin")
    assert said(0, at(100), "a.bin") == ["a.bin:  10 %"]
    assert said(0, at(100), "b.bin") == []  # it is not two seconds old
    assert said(2, at(100), "b.bin") == ["b.bin:  10 %"]


def test_a_name_cannot_make_lines_of_its_own(said: Said) -> None:
    said(0, at(0), "a\n\x1b[2Jb")
    (line,) = said(3, at(100), "a\n\x1b[2Jb")
    assert line.endswith(":  10 %")
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (at(0), "  0 %"),
        (at(999.99), " 99 %"),  # never 100 before it is
        (at(1000, "complete"), "100 %"),
        (at(420, speed=12.5, left=46.4), " 42 %  12.5 MiB/s  46 s left"),
        (at(420, speed=0.25, left=2320), " 42 %  256 KiB/s  38 min 40 s left"),
        (at(999, speed=12.5, left=0.99), " 99 %  12.5 MiB/s"),
        (at(420, left=1.0), " 42 %  1.0 s left"),
        (at(3.5, total=None, speed=2), "3.5 MiB  2.0 MiB/s"),
        (at(420, "waiting", speed=9, left=9), " 42 %  waiting to try again"),
        (at(420, "paused", speed=9, left=9), " 42 %  paused"),
        (at(0, "queued"), "  0 %  queued"),
        (at(420, "failed"), " 42 %  failed"),
        (at(420, "cancelled"), " 42 %  cancelled"),
    ],
)
def test_a_line_says_how_far_how_fast_and_how_long(progress: Progress, text: str) -> None:
    assert describe(progress) == text


def test_plain_lines_look_like_this(
    clock: FakeClock, capsys: pytest.CaptureFixture[str], snapshot: Snapshot
) -> None:
    lines = Lines()
    lines.update("film.mkv", at(0))
    lines.update("small.txt", at(0))
    lines.update("small.txt", at(1000, "complete"))
    for second in range(1, 61):
        clock.advance(1)
        lines.update("film.mkv", at(second * 12.5, speed=12.5, left=80 - second))
    lines.update("film.mkv", at(750, "waiting"))
    clock.advance(5)
    lines.update("film.mkv", at(700, speed=0.5, left=600))
    for _ in range(3):
        clock.advance(15)
        lines.update("film.mkv", at(725, speed=0.5, left=550))
    for tenth in (800, 900):
        clock.advance(10)
        lines.update("film.mkv", at(tenth, speed=10, left=(1000 - tenth) / 10))
    clock.advance(10)
    lines.update("film.mkv", at(1000, "complete", speed=10, left=0))
    lines.close()
    snapshot("lines", capsys.readouterr().err)


@pytest.fixture
def slow(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock takes three seconds, so that nothing is done at once."""

    def later() -> float:
        clock.advance(3)
        return FakeClock.monotonic(clock)

    monkeypatch.setattr(clock, "monotonic", later)


@pytest.mark.usefixtures("run", "slow")
def test_what_a_person_sees_of_an_upload_with_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("dear all\n")
    screen = Screen(tmp_path)
    screen.run("put", "notes.txt", "--progress", "plain")
    screen.run("put", "notes.txt", "again.txt", "--progress", "none")
    screen.run("put", "missing.txt", "--progress", "plain")
    snapshot("put-plain", screen.text())


@pytest.mark.usefixtures("slow")
def test_a_pipe_gets_plain_lines_unless_json_is_asked_for(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear all\n")
    assert "notes.txt: 100 %" in run("put", file).err
    assert "100 %" not in run("put", file, "again.txt", "--json").err
