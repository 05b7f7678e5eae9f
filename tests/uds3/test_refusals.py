"""A call that is refused changes nothing; what cannot be removed stops nothing else."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Make, same, write
from towpath import errors
from towpath.uds3 import OperationStatus, SagaRollbackRequired, StreamingManager


class Held:
    """A callback that holds its operation after so many chunks, until it is told to go on."""

    def __init__(self, chunks: int = 2) -> None:
        self._chunks = chunks
        self._there, self._free = threading.Event(), threading.Event()

    def __call__(self, progress: Any) -> None:
        if progress.current_chunk >= self._chunks and not self._there.is_set():
            self._there.set()
            assert self._free.wait(20)

    def let_go(self) -> None:
        self._free.set()

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        assert self._there.wait(20)
        try:
            yield
        finally:
            self._free.set()


def paused(manager: StreamingManager, verb: str, *where: Any) -> str:
    """The id of an operation that was paused on its way."""

    def pause(progress: Any) -> None:
        if progress.current_chunk >= 2 and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key: str = getattr(manager, verb)(*where, pause)
    assert manager.wait_for_operations([key])[0].status is OperationStatus.PAUSED
    return key


def remains(data: Path) -> list[str]:
    """What is left of uploads that are no documents, and of objects without a name."""
    kinds = ("uploads/*/*", "operations/*", "objects/*/*")
    return [path.name for kind in kinds for path in data.glob(kind)]


def test_a_restart_that_is_refused_leaves_the_look_at_the_source(local: Make, large: Path) -> None:
    manager, held = local(chunk_size_mb=1, parallel_chunks=1), Held()
    key = manager.upload_file(large, "x.bin", held)
    with held.meanwhile():
        with large.open("r+b") as file:
            file.write(bytes(10 * MIB))
        os.utime(large, ns=(1, 1))
        with pytest.raises(errors.StateConflict):
            manager.restart_upload(key)
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([key])
    assert isinstance(caught.value.__cause__, errors.SourceChanged)


def test_a_resume_that_is_refused_leaves_the_path(local: Make, large: Path, tmp_path: Path) -> None:
    manager, held = local(chunk_size_mb=1), Held()
    key = manager.upload_file(large, "x.bin", held)
    with held.meanwhile():
        other = write(tmp_path / "other.bin", 10 * MIB)
        assert not manager.resume_upload(key, other, "x.bin")
        assert manager.get_operation(key).file_name == "large.bin"
    assert manager.wait_for_operations([key])[0].file_name == "large.bin"


def test_a_download_is_never_resumed_as_an_upload(local: Make, large: Path, tmp_path: Path) -> None:
    manager = local(chunk_size_mb=1)
    assert manager.upload_large_file(large, "x.bin")
    key = paused(manager, "download_file", "x.bin", tmp_path / "copy")
    mine = write(tmp_path / "mine.bin", 99)
    assert "is another one" in manager.resume_upload(key, mine, "x.bin")["error"]
    assert same(mine, write(tmp_path / "mine.bin", 99))


def test_an_upload_is_resumed_to_the_place_it_knows(local: Make, large: Path) -> None:
    manager = local(chunk_size_mb=1)
    key = paused(manager, "upload_file", large, "known/")
    result = manager.resume_upload(key, large)
    assert result, result["error"]
    assert result["resumed_from_chunk"] >= 2
    again = manager.resume_upload(key, large)
    assert (bool(again), again["destination"]) == (True, "known/large.bin")
    assert "There is no operation" in manager.resume_upload("0" * 32, large)["error"]
    with pytest.raises(FileNotFoundError):
        manager.resume_upload(key, large.with_name("none"))


def test_a_part_whose_folder_became_a_file_counts_as_gone(
    local: Make, large: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1)
    assert manager.upload_large_file(large, "x.bin")
    key = paused(manager, "download_file", "x.bin", tmp_path / "out" / "x.bin")
    manager.close()
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").write_bytes(b"a file now")
    manager = local(checkpoint_retention_days=0)
    assert manager.list_operations() == []
    with pytest.raises(errors.NotFound):
        manager.get_operation(key)


def test_what_cannot_be_removed_keeps_no_other_operation(
    local: Make, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = local(chunk_size_mb=1)
    assert manager.upload_large_file(large, "x.bin")
    keys = [paused(manager, "download_file", "x.bin", tmp_path / name) for name in ("a", "b")]
    manager.close()
    honest = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == f"a.{keys[0][:12]}.part":
            raise PermissionError(13, "Permission denied", str(self))
        honest(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    manager = local(checkpoint_retention_days=0)
    assert [each.operation_id for each in manager.list_operations("paused")] == [keys[0]]


def test_a_file_is_refused_as_a_folder_at_the_start(
    local: Make, paper: Path, tmp_path: Path
) -> None:
    manager, below = local(), f"{paper.as_uri()}/q"
    with pytest.raises(errors.Malformed, match=r"paper\.pdf is a file, not a folder"):
        manager.upload_file(paper, below)
    assert "is a file, not a folder" in manager.upload_large_file(paper, below)["error"]
    assert "is a file, not a folder" in manager.download_large_file("x", paper / "q")["error"]
    assert remains(tmp_path / "data") == []


@pytest.mark.parametrize("coded", [{}, {"encrypt_chunks": True, "encryption_key": "kk"}])
@pytest.mark.parametrize("became", ["target is a folder", "folder is a file"])
def test_a_place_that_is_taken_at_the_end_is_rolled_back(
    local: Make, large: Path, tmp_path: Path, coded: dict[str, Any], became: str
) -> None:
    manager, held, folder = local(chunk_size_mb=1, **coded), Held(), tmp_path / "out"
    key = manager.upload_file(large, (folder / "y.bin").as_uri(), held)
    with held.meanwhile():
        if became == "target is a folder":
            (folder / "y.bin" / "z").mkdir(parents=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.write_bytes(b"a file now")
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([key])
    assert caught.value.message.endswith("large.bin was not uploaded.")
    assert remains(tmp_path / "data") == []
    left = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    assert left == ["y.bin"] * (became == "target is a folder")


def test_a_failure_that_was_rolled_back_cannot_be_cancelled(local: Make, large: Path) -> None:
    manager, held = local(chunk_size_mb=1, parallel_chunks=1), Held()
    key = manager.upload_file(large, "x.bin", held)
    with held.meanwhile():
        os.truncate(large, 9 * MIB)
    with pytest.raises(SagaRollbackRequired):
        manager.wait_for_operations([key])
    assert not manager.cancel_operation(key, cleanup=True)
    with pytest.raises(SagaRollbackRequired):
        manager.wait_for_operations([key])


def test_a_failure_whose_remains_are_there_can_be_cancelled(
    local: Make, large: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manager, held = local(chunk_size_mb=1, parallel_chunks=1), Held()
    key = manager.upload_file(large, "x.bin", held)
    with held.meanwhile(), monkeypatch.context() as patch:
        os.truncate(large, 9 * MIB)

        def undo(*_: Any, **__: Any) -> None:
            raise errors.StoreError("The disk does not answer.")

        patch.setattr("towpath.uds3.in_process.EngineCarrier.undo", undo)
        held.let_go()
        with pytest.raises(SagaRollbackRequired, match="could not be removed"):
            manager.wait_for_operations([key])
    assert not manager.cancel_operation(key, cleanup=False)
    assert manager.get_operation(key).status is OperationStatus.FAILED
    assert manager.cancel_operation(key, cleanup=True)
    assert remains(tmp_path / "data") == []


def test_a_folder_where_the_file_shall_be_is_refused_at_the_start(
    make: Make, paper: Path, tmp_path: Path
) -> None:
    manager, folder = make(chunk_size_mb=1), tmp_path / "dir2"
    (folder / "x.pdf").mkdir(parents=True)
    assert manager.upload_large_file(paper, "taken/x.pdf")
    result = manager.download_large_file("taken/x.pdf", folder)
    assert not result
    assert "x.pdf is a folder" in result["error"]
    with pytest.raises(errors.Malformed):
        manager.download_file("taken/x.pdf", folder)
    assert [path.name for path in folder.rglob("*")] == ["x.pdf"]


@pytest.mark.parametrize(
    "given",
    [
        {"chunk_size_mb": 0},
        {"chunk_size_mb": "10"},
        {"chunk_size_mb": math.nan},
        {"max_retries": -1},
        {"timeout_seconds": 0},
        {"timeout_seconds": None},
        {"retry_delay_seconds": -1},
        {"checkpoint_retention_days": -1},
        {"parallel_chunks": 0},
    ],
    ids=str,
)
def test_a_number_that_cannot_be_is_refused_by_its_name(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(errors.SettingsError, match=name.removesuffix("_mb")):
        StreamingManager(**given)


def test_a_horizon_beyond_all_time_keeps_everything_and_one_ahead_of_it_is_refused(
    local: Make, paper: Path
) -> None:
    manager = local(checkpoint_retention_days=math.inf)
    assert manager.upload_large_file(paper, "kept.pdf")
    assert manager.cleanup_old_operations(10**9) == 0
    with pytest.raises(errors.SettingsError, match="retention_days cannot be -1"):
        manager.cleanup_old_operations(-1)
    assert len(manager.list_operations()) == 1
