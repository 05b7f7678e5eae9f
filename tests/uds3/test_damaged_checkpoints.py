"""A checkpoint that is damaged is said to be, and can be removed with what it told of."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import Make, same, write
from towpath import errors
from towpath.uds3 import ChunkMetadataCorruptError, StreamingManager, crew, operations
from towpath.uds3.records import name_of


def paused(make: Make, large: Path, name: str, **options: Any) -> tuple[StreamingManager, str]:
    """A manager, and an upload of it that was paused midway."""
    manager = make(chunk_size_mb=1, **options)

    def pause(progress: Any) -> None:
        if progress.current_chunk >= 2 and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key = manager.upload_file(large, name, pause)
    manager.wait_for_operations([key])
    manager.close()
    return manager, key


def damage(tmp_path: Path, key: str) -> Path:
    """Change a byte of a checkpoint in a folder."""
    (file,) = tmp_path.glob(f"**/operations/**/{key}.json")
    file.write_bytes(file.read_bytes().replace(b'"kind"', b'"mind"', 1))
    return file


def stored(tmp_path: Path) -> list[str]:
    """What there is of uploads that are not complete, and of the rows of coded ones."""
    found = [*tmp_path.glob("data/uploads/*/*"), *tmp_path.glob("**/*.chunks")]
    return [path.name for path in found]


@pytest.mark.parametrize("options", [{}, {"compress_chunks": True}], ids=["plain", "compressed"])
@pytest.mark.parametrize("to", ["documents/x.bin", "file"])
def test_a_damaged_checkpoint_is_cancelled_with_all_that_arrived(
    local: Make, large: Path, tmp_path: Path, to: str, options: dict[str, Any]
) -> None:
    to = (tmp_path / "placed.bin").as_uri() if to == "file" else to
    _, key = paused(local, large, to, **options)
    assert stored(tmp_path) != []
    damage(tmp_path, key)
    manager = local(chunk_size_mb=1)
    with pytest.raises(ChunkMetadataCorruptError, match=f"cancel_operation.'{key}'."):
        manager.resume_upload(key)
    assert manager.cancel_operation(key)
    assert stored(tmp_path) == []
    with pytest.raises(errors.NotFound):
        manager.get_operation(key)
    with pytest.raises(errors.NotFound):
        manager.cancel_operation(key)
    assert manager.upload_large_file(large, to)


def test_without_cleanup_only_the_checkpoint_goes(local: Make, large: Path, tmp_path: Path) -> None:
    _, key = paused(local, large, "x.bin")
    file = damage(tmp_path, key)
    assert local().cancel_operation(key, cleanup=False)
    assert not file.exists()
    assert stored(tmp_path) != []


def test_a_damaged_checkpoint_of_what_is_complete_costs_no_document(
    make: Make, paper: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, cleanup_completed=False)
    key = manager.upload_file(paper, "whole.pdf")
    manager.wait_for_operations([key])
    manager.close()
    file = damage(tmp_path, key)
    again = make()
    assert again.cancel_operation(key)
    assert not file.exists()
    assert again.download_large_file("whole.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_old_damaged_checkpoints_are_cleaned_up(local: Make, large: Path, tmp_path: Path) -> None:
    _, old = paused(local, large, "old.bin")
    file = damage(tmp_path, old)
    parts = stored(tmp_path)
    _, young = paused(local, large, "young.bin")
    spared = damage(tmp_path, young)
    manager = local()
    assert manager.cleanup_old_operations(7) == 0
    then = (datetime.now().astimezone() - timedelta(days=8)).timestamp()
    os.utime(file, (then, then))
    assert manager.cleanup_old_operations(7, delete_checkpoints=False) == 0
    assert manager.cleanup_old_operations(7) == 1
    assert (file.exists(), spared.exists()) == (False, True)
    assert not set(parts) & set(stored(tmp_path))


def test_old_damaged_checkpoints_beside_documents_are_cleaned_up(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager, key = make(checkpoint_storage="database"), "0123456789abcdef"
    assert manager.upload_large_file(write(tmp_path / "damaged", 100), name_of(key))
    assert manager.cleanup_completed_operations() == 1
    with pytest.raises(ChunkMetadataCorruptError):
        manager.get_operation(key)
    assert manager.cleanup_old_operations(7) == 0
    then = operations.now() + timedelta(days=7, seconds=5)
    monkeypatch.setattr(crew, "now", lambda: then)
    assert manager.cleanup_old_operations(7) == 1
    with pytest.raises(errors.NotFound):
        manager.get_operation(key)
