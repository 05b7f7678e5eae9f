"""The runner of the slow tests forgets nothing that passed and ends what hangs."""

from pathlib import Path

import pytest

from tests import slow


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the running of a test; one whose id ends in `bad` fails."""
    seen: list[str] = []

    def run_one(_root: Path, test: str, _limit: float) -> bool:
        seen.append(test)
        return not test.endswith("bad")

    monkeypatch.setattr(slow, "run_one", run_one)
    return seen


def test_a_second_run_goes_on_where_the_first_failed(tmp_path: Path, ran: list[str]) -> None:
    state = tmp_path / "build" / "slow.json"
    tests = ["a::one", "a::bad", "a::two"]

    assert slow.run(tests, slow.Progress.load(state, "c1"), limit=1, stop_after=9) == 1
    assert slow.run(tests, slow.Progress.load(state, "c1"), limit=1, stop_after=9) == 1

    assert ran == ["a::one", "a::bad", "a::two", "a::bad"]


def test_changed_code_runs_everything_again(tmp_path: Path, ran: list[str]) -> None:
    state = tmp_path / "slow.json"

    assert slow.run(["a::one"], slow.Progress.load(state, "c1"), limit=1, stop_after=9) == 0
    assert slow.run(["a::one"], slow.Progress.load(state, "c2"), limit=1, stop_after=9) == 0

    assert ran == ["a::one", "a::one"]


def test_time_that_is_up_leaves_the_rest_for_later(tmp_path: Path, ran: list[str]) -> None:
    progress = slow.Progress.load(tmp_path / "slow.json", "c1")

    assert slow.run(["a::one"], progress, limit=1, stop_after=-1) == slow.LEFT_OVER

    assert ran == []


def test_a_test_that_hangs_is_ended(tmp_path: Path) -> None:
    hanging = tmp_path / "test_hanging.py"
    hanging.write_text(
        "import time, pytest\n"
        "@pytest.mark.slow\n"
        "def test_hangs_for_very_long():\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")

    assert not slow.run_one(tmp_path, f"{hanging}::test_hangs_for_very_long", limit=2)


def test_a_test_that_passes_is_told_from_one_that_fails(tmp_path: Path) -> None:
    both = tmp_path / "test_both.py"
    both.write_text(
        "import pytest\n"
        "@pytest.mark.slow\n"
        "def test_passes_at_once_always():\n"
        "    pass\n"
        "@pytest.mark.slow\n"
        "def test_fails_at_once_always():\n"
        "    assert False\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")

    assert slow.run_one(tmp_path, f"{both}::test_passes_at_once_always", limit=20)
    assert not slow.run_one(tmp_path, f"{both}::test_fails_at_once_always", limit=20)
