"""Operations of which nothing was heard for long: what is forgotten of them, and when."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import Make, write
from towpath import errors
from towpath.uds3 import StreamingManager, crew, live, operations


def test_old_operations_are_cleaned_up(make: Make, tmp_path: Path) -> None:
    manager = make(chunk_size_mb=1, cleanup_completed=False)
    ids = [manager.upload_file(write(tmp_path / f"{n}", 100), f"old/{n}") for n in range(3)]
    manager.wait_for_operations(ids)
    assert manager.cleanup_old_operations(retention_days=7) == 0
    assert manager.cleanup_old_operations(0, delete_checkpoints=False, delete_metadata=False) == 0
    assert len(manager.list_operations()) == 3
    found = manager.cleanup_old_operations(
        retention_days=0, delete_checkpoints=True, delete_metadata=True
    )
    assert found == 3
    assert manager.list_operations() == []


def later(monkeypatch: pytest.MonkeyPatch, **much: float) -> None:
    """Let operations find that so much time has passed."""
    then = operations.now() + timedelta(**much)
    for module in (crew, live):
        monkeypatch.setattr(module, "now", lambda: then)


def test_old_is_what_was_not_heard_of_for_more_than_the_days(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make(chunk_size_mb=1, cleanup_completed=False)
    old = manager.upload_file(write(tmp_path / "a", 100), "aged/old")
    manager.wait_for_operations([old])
    later(monkeypatch, days=6.9)
    young = manager.upload_file(write(tmp_path / "b", 100), "aged/young")
    manager.wait_for_operations([young])
    assert manager.cleanup_old_operations(retention_days=7) == 0
    later(monkeypatch, days=7.1)
    assert manager.cleanup_old_operations(retention_days=7) == 1
    assert [each.operation_id for each in manager.list_operations()] == [young]
    manager.close()
    assert [each.operation_id for each in make().list_operations()] == [young]


@pytest.mark.parametrize("days", [None, 7])
def test_old_operations_are_those_of_seven_days_ago_unless_somebody_says_so(
    local: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int | None
) -> None:
    given = {} if days is None else {"checkpoint_retention_days": days}
    manager = local(chunk_size_mb=1, cleanup_completed=False, **given)
    manager.wait_for_operations([manager.upload_file(write(tmp_path / "a", 100), "aged")])
    later(monkeypatch, days=6.9)
    assert manager.cleanup_old_operations() == 0
    later(monkeypatch, days=7.1)
    assert manager.cleanup_old_operations() == 1


def interrupted(make: Make, large: Path) -> tuple[StreamingManager, str]:
    """A manager, and an upload of it that was paused midway."""
    manager = make(chunk_size_mb=1)

    def pause(progress: Any) -> None:
        if progress.current_chunk >= 2 and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key = manager.upload_file(large, "swept.bin", pause)
    manager.wait_for_operations([key])
    return manager, key


def test_without_its_checkpoint_an_old_operation_is_listed_and_begins_anew(
    local: Make, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = interrupted(local, large)
    later(monkeypatch, days=8)
    assert stored_uploads(tmp_path) != []
    assert manager.cleanup_old_operations(7, delete_metadata=False) == 1
    assert [each.operation_id for each in manager.list_operations()] == [key]
    assert stored_uploads(tmp_path) == []  # parts of it are gone, too
    assert list((tmp_path / "data" / "operations").glob("*.json")) == []
    manager.close()
    with pytest.raises(errors.NotFound):  # it was listed by that manager alone
        local().get_operation(key)


def test_without_its_row_an_old_operation_goes_on_from_its_checkpoint(
    local: Make, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = interrupted(local, large)
    later(monkeypatch, days=8)
    assert manager.cleanup_old_operations(7, delete_checkpoints=False) == 1
    assert stored_uploads(tmp_path) != []
    manager.close()
    again = local(chunk_size_mb=1, checkpoint_retention_days=30)
    assert again.resume_upload(key)["resumed_from_chunk"] >= 2


def test_without_its_row_an_operation_is_listed_again_when_it_goes_on(
    make: Make, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = interrupted(make, large)
    later(monkeypatch, days=6)
    assert manager.cleanup_old_operations(5, delete_checkpoints=False) == 1
    assert manager.cleanup_old_operations(5, delete_checkpoints=False) == 0
    again = make(chunk_size_mb=1, cleanup_completed=False)
    for each in (manager, again):
        assert each.list_operations() == []
        assert each.list_active_operations() == []
        assert each.get_operation(key).status.value == "paused"
    assert again.resume_upload(key)
    assert [each.operation_id for each in again.list_operations()] == [key]


def test_what_is_not_listed_is_removed_when_its_time_is_over(
    local: Make, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = interrupted(local, large)
    later(monkeypatch, days=8)
    assert manager.cleanup_old_operations(5, delete_checkpoints=False) == 1
    assert manager.cleanup_old_operations(7) == 1
    with pytest.raises(errors.NotFound):
        manager.get_operation(key)
    assert stored_uploads(tmp_path) == []


def test_what_is_too_old_is_removed_when_a_manager_begins(
    local: Make, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = interrupted(local, large)
    manager.close()
    assert stored_uploads(tmp_path) != []
    later(monkeypatch, seconds=1)
    with pytest.raises(errors.NotFound):
        local(checkpoint_retention_days=0).get_operation(key)
    assert stored_uploads(tmp_path) == []


def stored_uploads(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.glob("data/uploads/*/*")]
