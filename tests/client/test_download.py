"""Downloads: the final name never stands for bytes that were not verified."""

from pathlib import Path

import pytest

from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors

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


def test_a_wrong_digest_leaves_no_file(
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


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "down"
    folder.mkdir(exist_ok=True)
    return folder
