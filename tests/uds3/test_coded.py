"""Compressed and encrypted uploads as callers make them: the same bytes come back, or none do."""

from __future__ import annotations

import hashlib
import urllib.request
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Make, same, write
from towpath import errors
from towpath.client import Client
from towpath.codec.keys import Identity, KeyFile, Passphrase
from towpath.testing.server import Server
from towpath.uds3 import (
    ChecksumMismatchError,
    OperationStatus,
    SagaRollbackRequired,
    StreamingManager,
    coding,
)
from towpath.uds3.records import read
from towpath.uds3.records import write as record_text
from towpath.uds3.source import BytesSource

WORDS = "your-key-here"
ZIP: dict[str, Any] = {"compress_chunks": True, "compression_level": 6}
SEAL: dict[str, Any] = {"encrypt_chunks": True, "encryption_key": WORDS}
WAYS = {"compressed": ZIP, "encrypted": SEAL, "both": {**ZIP, **SEAL}}
KEY_FILE = KeyFile(bytes(range(32))).text()


@pytest.fixture(autouse=True)
def _quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch as little as a record allows, so that tests are quick."""
    monkeypatch.setattr(coding, "Secret", partial(coding.Secret, work=12))


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How chunks are coded: the arguments that say so."""
    return dict(request.param)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A file of 24 MiB and a bit, a third of which compresses well."""
    path = tmp_path / "mixed.bin"
    with path.open("wb") as file:
        for number in range(24):
            text = (b"%020d" % number) * (MIB // 20) + b"." * (MIB % 20)
            file.write(text if number % 3 == 0 else Random(number).randbytes(MIB))
        file.write(b"the end")
    return path


def stored(tmp_path: Path) -> list[Path]:
    """Bytes of a data folder, unfinished or not."""
    return [
        each
        for pattern in ("data/objects/**/*", "data/uploads/**/*")
        for each in tmp_path.glob(pattern)
        if each.is_file()
    ]


def remains(tmp_path: Path) -> list[str]:
    """What operations left that came to nothing."""
    patterns = ("data/uploads/*/*", "data/operations/*")
    return [path.name for pattern in patterns for path in tmp_path.glob(pattern)]


def paused(manager: StreamingManager, path: Path, destination: str, **rest: Any) -> str:
    """Begin an upload, and pause it after some chunks: its id."""

    def pause(progress: Any) -> None:
        if progress.transferred_bytes >= 6 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key = manager.upload_file(path, destination, pause, **rest)
    (operation,) = manager.wait_for_operations([key])
    assert operation.status is OperationStatus.PAUSED
    return key


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
    assert (done.chunks_completed, done.chunks_total) == (25, 25)
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
    make: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    first = make(chunk_size_mb=1, checkpoint_interval=1, **way)
    name = f"{tmp_path.name}.bin"
    key = paused(first, mixed, name)
    first.close()
    second = make(chunk_size_mb=2, encryption_key=way.get("encryption_key"))
    result = second.resume_upload(key)
    assert result["resumed_from_chunk"] >= 2
    assert second.get_operation(key).chunk_size_bytes == MIB
    assert second.verify_upload(key)
    assert second.download_large_file(name, tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")


def test_without_its_key_an_upload_stays_where_it_was(make: Make, mixed: Path) -> None:
    first = make(chunk_size_mb=1, **SEAL)
    key = paused(first, mixed, "keyless.bin")
    first.close()
    for wrong in (None, "another"):
        manager = make(encryption_key=wrong)
        with pytest.raises(errors.WrongKey, match="encryption_key"):
            manager.resume_upload(key)
        manager.close()
    result = make(encryption_key=WORDS).resume_upload(key)
    assert result["resumed_from_chunk"] >= 2


def test_a_cancel_removes_every_part_and_row(
    make: Make, place: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = make(chunk_size_mb=1, **WAYS["both"])
    key = paused(manager, mixed, "cancelled/mixed.bin")
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


def test_a_server_and_a_data_folder_write_the_same_format(
    local: Make, mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, encryption_key=KEY_FILE, **ZIP)
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
        client.download("shut.bin", tmp_path / "shut", keys=[KeyFile(bytes(range(32)))]).result()
        client.upload(mixed, "back.bin", encrypt=[Passphrase(WORDS, work=12)]).result()
    assert same(mixed, tmp_path / "shut")
    assert local(encryption_key=WORDS).download_large_file("back.bin", tmp_path / "back")
    assert same(mixed, tmp_path / "back")


# --- in process ---------------------------------------------------------------------------------


def spoil(patch: pytest.MonkeyPatch, times: int) -> list[BytesSource]:
    """Flip a bit of what is sent in so many tries; return these."""
    honest, done = BytesSource.read_into, list[BytesSource]()

    def read_into(self: BytesSource, view: memoryview) -> int:
        count = honest(self, view)
        if self.length > 100_000 and self not in done and len(done) < times:
            view[0] ^= 1
            done.append(self)
        return count

    patch.setattr(BytesSource, "read_into", read_into)
    return done


def test_a_coded_chunk_that_is_wrong_is_sent_again_by_itself(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = spoil(monkeypatch, 2)
    manager = local(chunk_size_mb=1, **way)
    key = manager.upload_file(paper, "x.pdf", parallel=True)
    manager.wait_for_operations([key])
    chunks = manager.get_chunks(key)
    assert (len(spoiled), sum(chunk.retry_count for chunk in chunks)) == (2, 2)
    data = paper.read_bytes()
    assert [chunk.checksum for chunk in chunks] == [
        hashlib.sha256(data[at : at + MIB]).hexdigest() for at in range(0, len(data), MIB)
    ]
    assert manager.download_large_file("x.pdf", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


def test_what_stays_wrong_is_rolled_back_with_its_keys(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = local(chunk_size_mb=1, max_retries=1, **way)
    spoil(monkeypatch, 10**6)
    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    assert isinstance(caught.value.__cause__, ChecksumMismatchError)
    assert [*remains(tmp_path), *stored(tmp_path)] == []


def test_a_source_that_changes_is_never_mixed_into_coded_chunks(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, parallel_chunks=1, **way)

    def change(progress: Any) -> None:
        if progress.current_chunk == 2:
            with mixed.open("ab") as file:
                file.write(b"more")

    with pytest.raises(SagaRollbackRequired) as caught:
        manager.wait_for_operations([manager.upload_file(mixed, "x.bin", change)])
    assert isinstance(caught.value.__cause__, errors.SourceChanged)
    assert [*remains(tmp_path), *stored(tmp_path)] == []


def test_what_nobody_can_tell_of_any_more_is_sent_anew(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    first = local(chunk_size_mb=1, **way)
    key = paused(first, mixed, "x.bin")
    first.close()
    (rows,) = (tmp_path / "data" / "operations").glob("*.chunks")
    rows.unlink()
    second = local(**way)
    result = second.resume_upload(key)
    assert result["resumed_from_bytes"] == 0
    assert second.verify_upload(key)
    assert second.download_large_file("x.bin", tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")
    assert not list((tmp_path / "data").glob("uploads/*/*"))


@pytest.mark.parametrize("at", [MIB // 2, -60], ids=["a chunk", "the table"])
def test_bytes_that_were_changed_are_refused(
    local: Make, way: dict[str, Any], paper: Path, tmp_path: Path, at: int
) -> None:
    manager = local(chunk_size_mb=1, **way)
    key = manager.upload_file(paper, "x.pdf")
    manager.wait_for_operations([key])
    largest = max(stored(tmp_path), key=lambda each: each.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(at % largest.stat().st_size)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert manager.verify_upload(key) is False
    down = manager.download_file("x.pdf", tmp_path / "copy")
    with pytest.raises(ChecksumMismatchError):
        manager.wait_for_operations([down])
    assert not list(tmp_path.glob("copy*"))


def test_a_file_of_this_machine_is_coded_with_its_keys_beside_it(
    local: Make, way: dict[str, Any], mixed: Path, tmp_path: Path
) -> None:
    manager = local(chunk_size_mb=1, **way)
    target = tmp_path / "archive" / "x.bin"
    result = manager.upload_large_file(mixed, target.as_uri())
    assert result, result["error"]
    assert not same(mixed, target)
    assert manager.verify_upload(result["operation_id"])
    assert manager.download_large_file(target.as_uri(), tmp_path / "copy")
    assert same(mixed, tmp_path / "copy")
    names = sorted(each.name for each in target.parent.iterdir())
    keys = [name for name in names if name.endswith(".keys")]
    assert len(keys) == ("encryption_key" in way)
    assert set(names) == {"x.bin", *keys}
    assert stored(tmp_path) == []
    key = paused(manager, mixed, f"{target.parent}/y.bin")
    assert manager.cancel_operation(key)
    assert sorted(each.name for each in target.parent.iterdir()) == names
    assert remains(tmp_path) == []


@pytest.mark.parametrize("destination", ["x.pdf", "archive"])
def test_the_keys_of_a_file_that_stands_are_never_removed(
    local: Make, paper: Path, tmp_path: Path, destination: str
) -> None:
    first = local(chunk_size_mb=1, cleanup_completed=False, **SEAL)
    where = destination if destination == "x.pdf" else (tmp_path / "archive" / "x.pdf").as_uri()
    key = first.upload_large_file(paper, where)["operation_id"]
    first.close()
    (file,) = (tmp_path / "data" / "operations").glob("*.json")
    record = read(file.read_bytes(), key)
    record.status = OperationStatus.IN_PROGRESS  # as if the process had been killed at the end
    file.write_bytes(record_text(record))
    second = local(encryption_key=WORDS)
    second.cancel_operation(key, cleanup=True)
    assert second.download_large_file(where, tmp_path / "copy")
    assert same(paper, tmp_path / "copy")


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encrypt_chunks": True}, "encrypt_chunks needs an encryption_key"),
        ({"encrypt_chunks": True, "encryption_key": ""}, "encrypt_chunks needs an encryption_key"),
        ({"encryption_key": Identity.new().text()}, "cannot be a recipient or an identity"),
        ({"encryption_key": Identity.new().recipient.text()}, "cannot be a recipient"),
        ({"compression_level": 0}, "compression_level cannot be 0"),
    ],
)
def test_a_key_that_is_of_no_use_is_refused_at_once(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(errors.SettingsError, match=said):
        StreamingManager(data=tmp_path, **given)


def test_a_key_is_nowhere_to_be_seen(local: Make, paper: Path, tmp_path: Path) -> None:
    manager = local(chunk_size_mb=1, cleanup_completed=False, **SEAL)
    manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    written = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert WORDS.encode() not in written
    codec = coding.codec_of(compress=False, level=6, encrypt=True, key=WORDS)
    assert WORDS not in repr(codec) + repr(codec.keys)


def test_a_passphrase_is_stretched_once_for_each_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    stretched: list[bytes] = []
    scrypt = hashlib.scrypt

    def counting(words: bytes, **rest: Any) -> bytes:
        stretched.append(words)
        return scrypt(words, **rest)

    monkeypatch.setattr(hashlib, "scrypt", counting)
    (secret,) = coding.codec_of(compress=False, level=6, encrypt=True, key=WORDS).keys
    wrap = secret.wrap(bytes(32), bytes(16))
    assert [secret.unwrap(wrap, bytes(16)) for _ in range(3)] == [bytes(32)] * 3
    assert secret.unwrap(secret.wrap(bytes(32), bytes(16)), bytes(16)) == bytes(32)
    assert stretched == [WORDS.encode()] * 2
