"""A failed upload leaves nothing behind, says so, and what was there before stands."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Line, Make, Stalling, line_to, same, write
from tests.web.receiver import receiver as receiving
from tests.web.receiver import write_secrets
from towpath import errors
from towpath.client import Client
from towpath.testing.server import Server
from towpath.uds3 import (
    ChecksumMismatchError,
    NetworkError,
    OperationStatus,
    SagaRollbackRequired,
    StreamingManager,
    StreamingTimeoutError,
    carrier,
    in_process,
    remote,
)
from towpath.uds3.source import FileSource

Patch = pytest.MonkeyPatch


def spoil(patch: Patch, times: int) -> list[FileSource]:
    """Flip a bit of what is read, after it was hashed, in so many tries; return these."""
    honest = FileSource.read_into
    done: list[FileSource] = []

    def read_into(self: FileSource, view: memoryview) -> int:
        count = honest(self, view)
        if count and self not in done and len(done) < times:
            view[0] ^= 1
            done.append(self)
        return count

    patch.setattr(FileSource, "read_into", read_into)
    return done


def remains(data: Path) -> list[str]:
    """What is left of uploads that are no documents."""
    return [path.name for pattern in ("uploads/*/*", "operations/*") for path in data.glob(pattern)]


def test_a_chunk_with_a_wrong_checksum_is_sent_again_by_itself(
    local: Make, paper: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    spoiled = spoil(monkeypatch, 2)
    manager = local(chunk_size_mb=1)
    key = manager.upload_file(paper, "x.pdf")
    (done,) = manager.wait_for_operations([key])
    assert (done.status.value, len(spoiled)) == ("completed", 2)
    assert sum(chunk.retry_count for chunk in manager.get_chunks(key)) == 2
    assert [chunk.chunk_index for chunk in manager.get_chunks(key)] == [0, 1, 2, 3]
    assert all(chunk.uploaded and chunk.checksum for chunk in manager.get_chunks(key))
    assert manager.download_large_file("x.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_a_checksum_that_stays_wrong_rolls_everything_back(
    local: Make, paper: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    manager = local(chunk_size_mb=1, max_retries=2)
    old = write(tmp_path / "old.pdf", 5000)
    manager.wait_for_operations([manager.upload_file(old, "x.pdf")])
    spoil(monkeypatch, 10**6)
    key = manager.upload_file(paper, "x.pdf")
    for ask in (lambda: manager.wait_for_operations([key]), lambda: manager.verify_upload(key)):
        with pytest.raises(SagaRollbackRequired) as caught:
            ask()
        error = caught.value
        assert error.message.endswith("paper.pdf was not uploaded.")
        assert "are not the ones that were announced" in error.reason
        assert (error.retry_count, error.operation_id) == (2, key)
        assert isinstance(error.__cause__, ChecksumMismatchError)
    with pytest.raises(SagaRollbackRequired):
        manager.resume_upload(key)
    assert manager.get_operation(key).status is OperationStatus.FAILED
    assert remains(tmp_path / "data") == []
    monkeypatch.undo()
    assert manager.download_large_file("x.pdf", tmp_path / "copy")
    assert same(old, tmp_path / "copy")
    assert manager.restart_upload(key)
    assert manager.verify_upload(key)


def test_what_is_not_in_the_list_is_not_tried_again(
    local: Make, paper: Path, monkeypatch: Patch
) -> None:
    spoiled = spoil(monkeypatch, 10**6)
    manager = local(chunk_size_mb=10, retry_on_errors=["NetworkError", TimeoutError])
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    assert caught.value.retry_count == 0
    assert spoiled


def test_a_chunk_that_takes_too_long_is_a_timeout(
    local: Make, paper: Path, monkeypatch: Patch
) -> None:
    async def never(self: FileSource) -> None:
        while self.ending is None:  # noqa: ASYNC110 - it stands for a disk
            await asyncio.sleep(0.01)

    monkeypatch.setattr(FileSource, "read_into", lambda self, view: 0)
    monkeypatch.setattr(FileSource, "ready", never)
    manager = local(timeout_seconds=0.05, max_retries=1)
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    assert isinstance(caught.value.__cause__, StreamingTimeoutError)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert caught.value.retry_count == 1


def test_a_source_that_changes_meanwhile_is_never_mixed(local: Make, tmp_path: Path) -> None:
    path, manager = write(tmp_path / "a.bin", 8 * MIB), local(chunk_size_mb=1, parallel_chunks=1)

    def change(progress: Any) -> None:
        if progress.current_chunk == 2:
            with path.open("r+b") as file:
                file.truncate(7 * MIB)

    key = manager.upload_file(path, "a.bin", change)
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([key])
    assert isinstance(caught.value.__cause__, errors.SourceChanged)
    assert remains(tmp_path / "data") == []
    assert manager.restart_upload(key)
    assert manager.verify_upload(key)


def test_a_server_that_is_gone_is_tried_again_and_then_told(paper: Path, tmp_path: Path) -> None:
    manager = StreamingManager(
        url="http://127.0.0.1:9", state_dir=tmp_path, max_retries=2, retry_delay_seconds=0.01
    )
    with manager:
        key = manager.upload_file(paper, "x.pdf")
        with pytest.raises(SagaRollbackRequired) as caught:
            manager.wait_for_operations([key])
        assert caught.value.retry_count == 2
        assert isinstance(caught.value.__cause__, NetworkError | errors.ServerUnreachable)
        result = manager.upload_large_file(paper, "y.pdf")
        assert not result["success"]
        assert result["error"]


def test_an_outage_that_outlasts_the_tries_loses_nothing_of_the_first_interface(
    large: Path, tmp_path: Path
) -> None:
    with (
        Server(tmp_path / "own") as server,
        line_to(server) as line,
        StreamingManager(
            url=line.url,
            state_dir=tmp_path / "state",
            chunk_size_mb=1,
            max_retries=1,
            retry_delay_seconds=0.01,
        ) as manager,
    ):
        killed = list[int]()

        def kill(progress: Any) -> None:
            if progress.transferred_bytes >= 4 * MIB and not killed:
                killed.append(progress.transferred_bytes)
                server.kill()

        with line.stalling("up", 6 * MIB):
            result = manager.upload_large_file(large, "large.bin", progress_callback=kill)
        assert (result["success"], result["status"]) == (False, "failed"), result
        server.start()
        again = manager.resume_upload(
            operation_id=result["operation_id"], file_path=large, destination="large.bin"
        )
        assert again, again["error"]
        assert again["resumed_from_chunk"] >= 1
        assert manager.verify_upload(result["operation_id"])


def test_a_cancel_by_hand_removes_every_part_at_a_server(
    line: Line, large: Path, tmp_path: Path
) -> None:
    manager = StreamingManager(url=line.url, state_dir=tmp_path / "state", chunk_size_mb=1)
    with manager, Client(line.url, state_dir=tmp_path / "other") as client:

        def pause(progress: Any) -> None:
            if progress.transferred_bytes >= MIB and not progress.is_complete:
                manager.pause_operation(progress.operation_id)

        with line.stalling("up", 3 * MIB):
            key = manager.upload_file(large, "byhand.bin", pause)
            manager.wait_for_operations([key])
        assert [each.name for each in client.uploads()] == ["byhand.bin"]
        assert manager.cancel_operation(key, cleanup=True, notify_user=True)
        assert list(client.uploads()) == []
        assert [each.path for each in client.names("byhand")] == []
        assert manager.get_operation(key).status is OperationStatus.CANCELLED


def test_a_cancel_without_cleanup_can_be_taken_back(
    local: Make, large: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1)

    def cancel(progress: Any) -> None:
        if progress.current_chunk == 3:
            manager.cancel_operation(progress.operation_id, cleanup=False)

    key = manager.upload_file(large, "large.bin", cancel)
    assert manager.wait_for_operations([key])[0].status is OperationStatus.CANCELLED
    assert remains(tmp_path / "data") != []
    result = manager.resume_upload(key)
    assert result
    assert result["resumed_from_chunk"] >= 3


@pytest.mark.parametrize("told", [True, False])
def test_a_user_who_is_to_be_told_of_a_cancel_is_told_by_webhook(
    local: Make, large: Path, tmp_path: Path, monkeypatch: Patch, told: bool
) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("TOWPATH_WEBHOOKS", receiver.url)
        monkeypatch.setenv("TOWPATH_SIGNING_SECRETS", str(write_secrets(tmp_path / "secrets")))
        manager = local(chunk_size_mb=1)

        def pause(progress: Any) -> None:
            if progress.current_chunk == 3:
                manager.pause_operation(progress.operation_id)

        key = manager.upload_file(large, "large.bin", pause)
        manager.wait_for_operations([key])
        assert manager.cancel_operation(key, cleanup=True, notify_user=told)
        manager.wait_for_operations([manager.upload_file(write(tmp_path / "b", 9), "b")])
        kinds = sorted(json.loads(receiver.next().body)["type"] for _ in range(1 + told))
        assert kinds == ["upload.cancelled", "upload.completed"][not told :]


def test_a_cancel_that_comes_too_late_says_so(
    make: Make, paper: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    manager, asked = make(chunk_size_mb=1, checksum_algorithm="md5"), list[str]()
    hashing = carrier.checksum_of

    def cancel(path: str, algorithm: str, check: Any) -> str:
        if not asked:
            asked.extend(live.operation_id for live in manager.list_active_operations())
            manager.cancel_operation(asked[0])
        return hashing(path, algorithm, check)

    monkeypatch.setattr(remote, "checksum_of", cancel)
    monkeypatch.setattr(in_process, "checksum_of", cancel)
    key = manager.upload_file(paper, "late.pdf")
    (done,) = manager.wait_for_operations([key])
    assert (asked, done.status) == ([key], OperationStatus.COMPLETED)  # its document is there
    assert manager.download_large_file("late.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_a_pause_after_the_last_byte_sends_nothing_again(
    url: str, paper: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    state = tmp_path / "state"
    with (
        StreamingManager(chunk_size_mb=1, url=url, state_dir=state) as manager,
        Client(url, state_dir=tmp_path / "other") as client,
    ):
        hashing = carrier.checksum_of

        def pause(path: str, algorithm: str, check: Any) -> str:
            (live,) = manager.list_active_operations()
            manager.pause_operation(live.operation_id)
            return hashing(path, algorithm, check)

        with monkeypatch.context() as patch:
            patch.setattr(remote, "checksum_of", pause)
            key = manager.upload_file(paper, "once.pdf")
            assert manager.wait_for_operations([key])[0].status is OperationStatus.PAUSED
        before = client.stat("once.pdf")
        assert manager.resume_upload(key)
        assert client.stat("once.pdf").id == before.id
        assert manager.get_operation(key).checksum is not None


def test_a_file_that_was_changed_under_its_old_time_is_sent_anew(
    make: Make, stalling: Stalling, large: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1)

    def pause(progress: Any) -> None:
        if progress.transferred_bytes >= 4 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    with stalling("up", 6 * MIB):
        key = manager.upload_file(large, "inplace.bin", pause)
        manager.wait_for_operations([key])
    before = large.stat()
    with large.open("r+b") as file:
        file.write(b"something else")
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    try:
        manager.resume_upload(key)
    except SagaRollbackRequired as error:  # a server's client says so, and it begins anew
        assert isinstance(error.__cause__, errors.SourceChanged)
        assert manager.restart_upload(key)
    assert manager.verify_upload(key)
    assert manager.download_large_file("inplace.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")


def test_operations_with_one_target_never_mix_their_bytes(local: Make, tmp_path: Path) -> None:
    manager = local(chunk_size_mb=1)
    files = [write(tmp_path / f"{number}.bin", (4 + number) * MIB) for number in range(4)]
    for file in files:
        assert manager.upload_large_file(file, f"mixed/{file.name}")
    for _ in range(3):
        keys = [manager.download_file(f"mixed/{f.name}", tmp_path / "out" / "x") for f in files]
        keys += [manager.upload_file(f, (tmp_path / "out" / "y").as_uri()) for f in files]
        manager.wait_for_operations(keys)
        for name in ("x", "y"):
            assert any(same(tmp_path / "out" / name, file) for file in files)
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"x", "y"}
