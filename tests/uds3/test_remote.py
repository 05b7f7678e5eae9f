"""A server that fails on demand: what goes wrong on the way is sent again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake import FakeServer, serving
from tests.uds3.conftest import MIB, same
from towpath.uds3 import ChecksumMismatchError, SagaRollbackRequired, StreamingManager
from towpath.uds3.control import Control


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


@pytest.fixture
def manager(fake: FakeServer, tmp_path: Path) -> Iterator[StreamingManager]:
    with StreamingManager(
        url=fake.url,
        state_dir=tmp_path / "state",
        chunk_size_mb=1,
        max_retries=2,
        retry_delay_seconds=0.01,
    ) as manager:
        yield manager


def test_a_cut_chunk_goes_on_where_it_was_cut(
    fake: FakeServer, manager: StreamingManager, paper: Path
) -> None:
    fake.fail("PATCH", "cut", at=700_000)
    fake.fail("PATCH", "status", status=503)
    key = manager.upload_file(paper, "cut.pdf")
    assert manager.verify_upload(key)
    size = paper.stat().st_size
    assert size <= fake.received < size + MIB  # nothing of what had arrived came twice


def test_bytes_that_arrived_wrong_are_sent_again_by_themselves(
    fake: FakeServer, manager: StreamingManager, paper: Path
) -> None:
    for _ in range(4):  # the file has four chunks; the last answer tells the digest
        fake.fail("PATCH", "wrong-digest")
    key = manager.upload_file(paper, "wrong.pdf")
    assert manager.wait_for_operations([key])[0].status.value == "completed"
    assert manager.verify_upload(key)


def test_bytes_that_stay_wrong_are_rolled_back(
    fake: FakeServer, manager: StreamingManager, paper: Path
) -> None:
    for _ in range(100):
        fake.fail("PATCH", "wrong-digest")
    key = manager.upload_file(paper, "wrong.pdf")
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([key])
    assert isinstance(caught.value.__cause__, ChecksumMismatchError)
    assert fake.uploads == {}


def test_a_download_that_is_cut_goes_on(
    fake: FakeServer, manager: StreamingManager, paper: Path, tmp_path: Path
) -> None:
    assert manager.upload_large_file(paper, "down.pdf")
    fake.fail_download("cut", at=500_000)
    result = manager.download_large_file("down.pdf", tmp_path / "copy")
    assert result, result["error"]
    assert same(paper, tmp_path / "copy")


def test_the_first_look_at_a_download_is_tried_again_too(
    fake: FakeServer, manager: StreamingManager, paper: Path, tmp_path: Path
) -> None:
    assert manager.upload_large_file(paper, "down.pdf")
    fake.fail("GET", "status", status=503)
    fake.fail("GET", "cut")
    result = manager.download_large_file("down.pdf", tmp_path / "copy")
    assert result, result["error"]
    assert same(paper, tmp_path / "copy")


def test_a_download_that_is_not_there_is_not_looked_for_again(
    fake: FakeServer, manager: StreamingManager, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        manager.download_large_file("folder/gone.pdf", tmp_path / "copy")
    asked = [target for method, target, _ in fake.requests if method == "GET"]
    assert len([target for target in asked if "gone.pdf" in target]) == 1


def test_a_server_that_asks_to_wait_is_not_asked_sooner(
    fake: FakeServer, manager: StreamingManager, paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Control, "sleep", lambda self, seconds: waits.append(seconds))
    fake.fail("PATCH", "status", status=503, fields={"Retry-After": "3"})
    assert manager.upload_large_file(paper, "later.pdf")
    assert waits == [3]
