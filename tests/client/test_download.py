"""Downloads: the final name never stands for bytes that were not verified."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import Client
from towpath.client.resume import Marker

DATA = sample(5_000_001)


@pytest.fixture
def there(server: FakeServer) -> FakeServer:
    server.add("docs/big.bin", DATA)
    return server


def test_a_download_arrives_whole_and_is_verified(
    carry: Carry, there: FakeServer, tmp_path: Path, state: Path
) -> None:
    result = carry("download", "docs/big.bin", f"{tmp_path}/")
    assert (tmp_path / "big.bin").read_bytes() == DATA
    assert (result.path, result.verified) == (str(tmp_path / "big.bin"), True)
    assert not (tmp_path / "big.bin.part").exists()
    assert list(state.iterdir()) == []


def test_an_address_works_as_well_as_a_name(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    assert carry("download", f"{there.url}files/u0", tmp_path / "x").verified
    assert (tmp_path / "x").read_bytes() == DATA


def test_an_empty_object_becomes_an_empty_file(
    carry: Carry, server: FakeServer, tmp_path: Path
) -> None:
    server.add("empty", b"")
    assert carry("download", "empty", tmp_path / "x").verified
    assert (tmp_path / "x").read_bytes() == b""


@pytest.mark.parametrize("at", [0, 1, 1_048_576, 5_000_000])
def test_after_a_cut_only_the_rest_is_asked_for(
    carry: Carry, there: FakeServer, tmp_path: Path, at: int
) -> None:
    there.fail_download("cut", at=at)
    result = carry("download", "docs/big.bin", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert (result.received_bytes <= len(DATA), result.verified) == (True, True)
    last = [fields for method, target, fields in there.requests if "/files/" in target][-1]
    assert last.get("range") == (f"bytes={at}-" if at else None)


def test_the_same_call_goes_on_where_it_stopped(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    there.fail_download("cut", at=3_000_000)
    there.fail_download("status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("download", "docs/big.bin", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    result = carry("download", "docs/big.bin", tmp_path / "x")
    assert (result.resumed_from, result.received_bytes) == (3_000_000, 2_000_001)
    assert (tmp_path / "x").read_bytes() == DATA


def test_an_object_that_was_replaced_meanwhile_is_not_mixed(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    there.fail_download("cut", at=3_000_000)
    there.fail_download("status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("download", "docs/big.bin", tmp_path / "x")
    del there.uploads["u0"]
    there.uploads["other"] = there.add("docs/big.bin", DATA[::-1])
    result = carry("download", "docs/big.bin", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA[::-1]
    assert (result.resumed_from, result.verified) == (0, True)


@pytest.mark.usefixtures("open_parts_stay")
def test_a_wrong_digest_leaves_no_file_also_where_an_open_one_stays(
    carry: Carry, there: FakeServer, tmp_path: Path, state: Path
) -> None:
    there.fail_download("wrong-digest")
    with pytest.raises(errors.DigestMismatch, match="They were removed"):
        carry("download", "docs/big.bin", _folder(tmp_path) / "x")
    assert list((tmp_path / "down").iterdir()) == []
    assert list(state.iterdir()) == []


def test_an_existing_file_is_replaced_only_on_request(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(errors.NameConflict, match="exists"):
        carry("download", "docs/big.bin", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"mine"
    carry("download", "docs/big.bin", tmp_path / "x", overwrite=True)
    assert (tmp_path / "x").read_bytes() == DATA


def test_a_part_that_is_not_ours_is_not_touched(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(b"mine")
    with pytest.raises(errors.NameConflict, match="not from a download"):
        carry("download", "docs/big.bin", tmp_path / "x")
    assert (tmp_path / "x.part").read_bytes() == b"mine"
    assert carry("download", "docs/big.bin", tmp_path / "x", restart=True).verified


def test_a_file_that_came_up_meanwhile_is_not_replaced(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    there.fail_download("create", body=str(tmp_path / "x").encode())
    with pytest.raises(errors.NameConflict, match="exists now"):
        carry("download", "docs/big.bin", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b""
    assert (tmp_path / "x.part").read_bytes() == DATA


@pytest.mark.usefixtures("open_parts_stay")
def test_an_unknown_name_leaves_nothing_behind(
    carry: Carry, server: FakeServer, tmp_path: Path, state: Path
) -> None:
    with pytest.raises(errors.NotFound):
        carry("download", "nothing", _folder(tmp_path) / "x")
    assert list((tmp_path / "down").iterdir()) == []
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("name", ["a/..", "a/.", "..", "/"])
def test_a_name_that_is_no_file_name_needs_a_path(carry: Carry, tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.Malformed):
        carry("download", name, f"{tmp_path}/")


def test_what_a_power_cut_took_is_not_taken_for_verified(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    there.fail_download("cut", at=3_000_000)
    there.fail_download("status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("download", "docs/big.bin", tmp_path / "x")
    with (tmp_path / "x.part").open("r+b") as file:
        file.write(bytes(1_000_000))  # as some systems leave it: the length, and not the bytes
    with pytest.raises(errors.DigestMismatch, match="They were removed"):
        carry("download", "docs/big.bin", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert carry("download", "docs/big.bin", tmp_path / "x").verified


def test_a_server_that_heeds_no_condition_is_seen_through(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    there.heeds = there.digests = False
    address = f"{there.url}files/u0"
    there.fail_download("cut", at=3_000_000)
    there.fail_download("status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("download", address, tmp_path / "x")
    there.uploads["u0"].data[:] = DATA[::-1]
    there.uploads["u0"].crc ^= 1  # another ETag
    there.fail("HEAD", "status", status=405)
    assert carry("download", address, tmp_path / "x").resumed_from == 0
    assert (tmp_path / "x").read_bytes() == DATA[::-1]


def test_a_file_that_was_put_in_the_place_of_the_part_is_noticed(
    there: FakeServer, tmp_path: Path, state: Path
) -> None:
    (tmp_path / "other").write_bytes(b"of another download")
    there.fail_download("hold", at=1_000_000)
    with Client(there.url, state_dir=state) as client:
        transfer = client.download("docs/big.bin", tmp_path / "x", overwrite=True)
        there.wait_for(1_000_000)
        (tmp_path / "other").replace(tmp_path / "x.part")
        there.release.set()
        with pytest.raises(errors.TransferError, match="not the file that was downloaded"):
            transfer.result()
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "x.part").read_bytes() == b"of another download"
    assert list(state.iterdir()) == []


def test_what_is_no_regular_file_is_not_replaced(
    carry: Carry, there: FakeServer, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(errors.NameConflict, match="no regular file"):
        carry("download", "docs/big.bin", tmp_path / "x", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_disk_that_is_full_is_told_as_such_and_gone_on_with(
    carry: Carry, there: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, begin, room = os.pwrite, Marker.begin, [2, 1]

    def take(kind: int) -> None:
        room[kind] -= 1
        if room[kind] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write_some(handle: int, data: memoryview, offset: int) -> int:
        take(0)
        return write(handle, data, offset)

    def note_once(marker: Marker, *standing: Any) -> None:
        take(1)
        begin(marker, *standing)

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", write_some)
        patch.setattr(Marker, "begin", note_once)
        with pytest.raises(errors.StoreFull, match="Make space"):
            carry("download", "docs/big.bin", tmp_path / "x")
    result = carry("download", "docs/big.bin", tmp_path / "x")
    assert (result.resumed_from > 0, result.verified) == (True, True)


def test_what_cannot_be_remembered_is_an_error_of_ours(
    carry: Carry, there: FakeServer, tmp_path: Path, state: Path
) -> None:
    state.write_bytes(b"no folder")
    with pytest.raises(errors.TransferError, match="state cannot be used"):
        carry("download", "docs/big.bin", tmp_path / "x")


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "down"
    folder.mkdir(exist_ok=True)
    return folder


def test_a_part_that_cannot_be_emptied_is_closed_and_told(
    carry: Carry, there: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[io.FileIO] = []

    class Broken(io.FileIO):
        def truncate(self, size: int | None = None) -> int:
            made.append(self)
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Broken)
        with pytest.raises(errors.TransferError, match=r"x\.part cannot be written.*Input/output"):
            carry("download", "docs/big.bin", tmp_path / "x")
    assert [file.closed for file in made] == [True]
