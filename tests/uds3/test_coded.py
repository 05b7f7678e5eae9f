"""Compressed and encrypted uploads as callers make them: the same bytes come back, or none do."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.uds3 import coded
from tests.uds3.coded import KEY, SEAL, WAYS, WORDS, ZIP, paused, remains, stored
from tests.uds3.conftest import MIB, Make, same, write
from towpath import errors
from towpath.client import Client
from towpath.codec.keys import Passphrase
from towpath.testing.server import Server
from towpath.uds3 import OperationStatus


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return coded.mixed(tmp_path / "mixed.bin", 6)


@pytest.fixture
def large_mixed(tmp_path: Path) -> Path:
    """One that takes long enough to be paused."""
    return coded.mixed(tmp_path / "large.bin", 24)


def test_the_same_bytes_come_back(
    make: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, **way)
    shown: list[float] = []
    key = manager.upload_file(
        file_path=str(mixed),
        destination="documents/2024/",
        progress_callback=lambda p: shown.append(float(p)),
        parallel=True,
        encrypt="encryption_key" in way,
    )
    (done,) = manager.wait_for_operations([key])
    assert (done.chunks_completed, done.chunks_total) == (7, 7)
    assert done.checksum == hashlib.sha256(mixed.read_bytes()).hexdigest()
    assert shown[-1] == 100.0
    assert manager.verify_upload(key)
    down = manager.download_file("documents/2024/mixed.bin", tmp_path / "copy")
    manager.wait_for_operations([down])
    assert same(mixed, tmp_path / "copy")


def test_what_the_data_folder_holds_is_less_and_cannot_be_read(local: Make, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(b"a secret that repeats itself, " * 100_000)
    for name, way in WAYS.items():
        manager = local(chunk_size_mb=1, data=tmp_path / name / "data", **way)
        manager.wait_for_operations([manager.upload_file(text, "text.txt")])
        found = [each.read_bytes() for each in stored(tmp_path / name)]
        packed = sum(map(len, found)) < text.stat().st_size / 10
        assert packed is ("compress_chunks" in way)
        assert not any(b"a secret that repeats itself, a secret" in data for data in found)


def test_one_file_of_many_can_be_encrypted(make: Make, paper: Path, tmp_path: Path) -> None:
    manager = make(chunk_size_mb=1, encryption_key=WORDS)
    ids = [
        manager.upload_file(paper, "one/plain.pdf"),
        manager.upload_file(paper, "one/sealed.pdf", encrypt=True),
    ]
    manager.wait_for_operations(ids)
    assert [manager.verify_upload(each) for each in ids] == [True, True]
    for name in ("plain", "sealed"):
        assert manager.download_large_file(f"one/{name}.pdf", tmp_path / name)
        assert same(paper, tmp_path / name)
    stranger = make()
    assert stranger.download_large_file("one/plain.pdf", tmp_path / "read")
    result = stranger.download_large_file("one/sealed.pdf", tmp_path / "unread")
    assert "This file is encrypted." in result["error"]
    assert "encryption_key" in result["error"]
    assert not list(tmp_path.glob("unread*"))


def test_the_wrong_key_opens_nothing(make: Make, paper: Path, tmp_path: Path) -> None:
    manager = make(chunk_size_mb=1, **SEAL)
    key = manager.upload_file(paper, "wrong/sealed.pdf")
    manager.wait_for_operations([key])
    other = make(encryption_key="another")
    down = other.download_file("wrong/sealed.pdf", tmp_path / "unread")
    with pytest.raises(errors.WrongKey, match="None of the keys opens this file") as caught:
        other.wait_for_operations([down])
    assert "encryption_key" in caught.value.todo
    assert not list(tmp_path.glob("unread*"))


def test_a_check_needs_the_key(make: Make, paper: Path) -> None:
    first = make(chunk_size_mb=1, cleanup_completed=False, **SEAL)
    key = first.upload_file(paper, "checked.pdf")
    assert first.verify_upload(key)
    first.close()
    with pytest.raises(errors.WrongKey, match="encryption_key"):
        make().verify_upload(key)
    assert make(encryption_key=WORDS).verify_upload(key)


def test_an_upload_that_was_paused_goes_on_as_it_began(
    make: Make, large_mixed: Path, tmp_path: Path
) -> None:
    first = make(chunk_size_mb=1, checkpoint_interval=1, **WAYS["both"])
    name = f"{tmp_path.name}.bin"
    key = paused(first, large_mixed, name)
    first.close()
    second = make(chunk_size_mb=2, encryption_key=WORDS)
    result = second.resume_upload(key)
    assert result["resumed_from_chunk"] >= 2
    assert second.get_operation(key).chunk_size_bytes == MIB
    assert second.download_large_file(name, tmp_path / "copy")
    assert same(large_mixed, tmp_path / "copy")


def test_without_its_key_an_upload_stays_where_it_was(make: Make, large_mixed: Path) -> None:
    first = make(chunk_size_mb=1, **SEAL)
    key = paused(first, large_mixed, "keyless.bin")
    first.close()
    for wrong in (None, "another"):
        manager = make(encryption_key=wrong)
        with pytest.raises(errors.WrongKey, match="encryption_key"):
            manager.resume_upload(key)
        manager.close()
    result = make(encryption_key=WORDS).resume_upload(key)
    assert result["resumed_from_chunk"] >= 2


def test_a_cancel_removes_every_part_and_row(
    make: Make, place: dict[str, Any], large_mixed: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, **WAYS["both"])
    key = paused(manager, large_mixed, "cancelled/mixed.bin")
    assert manager.cancel_operation(key, cleanup=True, notify_user=True)
    assert manager.get_operation(key).status is OperationStatus.CANCELLED
    if "url" in place:
        state = tmp_path / "state"
        assert [*state.glob("*.json"), *state.glob("*.chunks")] == []
        with Client(place["url"], state_dir=tmp_path / "other") as client:
            assert [each.name for each in client.uploads()] == []
            assert [each.path for each in client.names("cancelled/")] == []
    else:
        assert remains(tmp_path) == []
        assert stored(tmp_path) == []


def test_an_upload_is_sent_anew_with_new_keys(make: Make, paper: Path, tmp_path: Path) -> None:
    manager = make(chunk_size_mb=1, **WAYS["both"])
    key = manager.upload_file(paper, "anew.pdf")
    assert manager.verify_upload(key)
    write(paper, 2 * MIB + 5)
    assert manager.restart_upload(key) is True
    assert manager.verify_upload(key)
    assert manager.download_large_file("anew.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_an_empty_file_is_coded_too(make: Make, way: dict[str, Any], tmp_path: Path) -> None:
    manager = make(**way)
    (tmp_path / "empty").touch()
    result = manager.upload_large_file(tmp_path / "empty", "empty/coded.txt")
    assert result, result["error"]
    assert manager.verify_upload(result["operation_id"])
    assert manager.download_large_file("empty/coded.txt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b""


def test_chunks_are_whole_though_nobody_asked_for_checksums(
    make: Make, mixed: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, verify_checksums=False, **WAYS["both"])
    result = manager.upload_large_file(mixed, "unchecked/coded.bin")
    assert result, result["error"]
    assert result["checksum"] is None
    assert manager.verify_upload(result["operation_id"])
    assert manager.download_large_file("unchecked/coded.bin", tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")


def test_a_server_and_a_data_folder_write_the_same_format(
    local: Make, mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, encryption_key=KEY.text(), **ZIP)
    ids = [
        manager.upload_file(mixed, "open.bin"),
        manager.upload_file(mixed, "shut.bin", encrypt=True),
    ]
    manager.wait_for_operations(ids)
    manager.close()
    with (
        Server(tmp_path / "data") as server,
        Client(server.url, state_dir=tmp_path / "state") as client,
    ):
        with urllib.request.urlopen(f"{server.url}/names/open.bin") as answer:
            assert answer.read() == mixed.read_bytes()  # the server undoes it
        client.download("shut.bin", tmp_path / "shut", keys=[KEY]).result()
        client.upload(mixed, "back.bin", encrypt=[Passphrase(WORDS, work=12)]).result()
    assert same(mixed, tmp_path / "shut")
    assert local(encryption_key=WORDS).download_large_file("back.bin", tmp_path / "back")
    assert same(mixed, tmp_path / "back")
