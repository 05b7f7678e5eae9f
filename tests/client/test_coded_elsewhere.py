"""Coded uploads of another machine: what is only compressed goes on, the rest begins anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.client.awaited import Either
from tests.client.coding import CHUNK, KEY, ME, MIXED, WORDS, another, stopped
from towpath import errors
from towpath.client import Client, UploadResult, coded, coded_elsewhere, elsewhere
from towpath.client.elsewhere import FINGERPRINT
from towpath.client.records import UploadRecord
from towpath.testing.server import Server

PACKED: dict[str, Any] = {"compress": "auto"}


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded_elsewhere, "PARALLEL_FROM", len(MIXED))
    monkeypatch.setattr(elsewhere, "_LEFT_ALONE", -3600.0)


@pytest.fixture
def either() -> Either:
    """One is enough: what is found at the server does not depend on who asks."""
    return Client


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """What the first machine remembers."""
    return tmp_path / "first"


@pytest.fixture
def other(tmp_path: Path, mixed: Path) -> Path:
    """The same file on the other machine: in another place, with another time."""
    path = tmp_path / "other" / "copy"
    path.parent.mkdir()
    path.write_bytes(mixed.read_bytes())
    return path


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"left/{tmp_path.name}"


def sent(server: Server, state: Path, path: Path, name: str, **how: Any) -> UploadResult:
    with another(server, state) as client:
        return client.upload(path, name, **how).result()


def unfinished(client: Client, name: str) -> list[UploadRecord]:
    return [each for each in client.uploads() if each.name == name]


def content(client: Client, name: str, path: Path, **keys: Any) -> bytes:
    client.download(name, path, overwrite=True, **keys).result()
    return path.read_bytes()


@pytest.mark.parametrize("compress", ["auto", "9"])
def test_what_one_machine_left_another_one_goes_on_with(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str, compress: str
) -> None:
    before = stopped(real, first, mixed, name, compress=compress)
    up = client.upload(other, name, compress=compress).result()
    assert (up.resumed_from, up.verified, up.name) == (4 * CHUNK, True, name)
    assert sum(before) + up.sent_bytes == client.stat(name).length
    assert content(client, name, other) == MIXED
    assert unfinished(client, name) == []


def with_a_gap(server: Server, state: Path, path: Path, name: str, count: int) -> None:
    """A run of which so many chunks got through, but not the first one."""
    real_send, others = coded.send_chunk, threading.Semaphore(0)

    def send(*args: Any, **rest: Any) -> Any:
        if args[2]["Content-Range"].startswith("bytes 0-"):
            for _ in range(count):
                assert others.acquire(timeout=10)
            raise errors.Forbidden("The first one does not get through.")
        reply = real_send(*args, **rest)
        others.release()
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coded, "send_chunk", send)
        with pytest.raises(errors.Forbidden):
            sent(server, state, path, name, **PACKED)


def test_a_gap_that_was_left_is_filled_in_its_place(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    with_a_gap(real, first, mixed, name, 2)
    (left,) = unfinished(client, name)
    assert left.offset == 0
    up = client.upload(other, name, **PACKED).result()
    assert up.resumed_from >= 2 * CHUNK
    assert up.sent_bytes < client.stat(name).length
    assert content(client, name, other) == MIXED


def test_the_first_machine_sees_that_another_one_has_ended_it(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    stopped(real, first, mixed, name, **PACKED)
    client.upload(other, name, **PACKED).result()
    up = sent(real, first, mixed, name, **PACKED)
    assert (up.name, up.sent_bytes, up.verified) == (name, 0, True)
    assert [each.path for each in client.names(name)] == [name]


def test_the_first_machine_goes_on_where_another_one_stopped(
    real: Server, client: Client, state: Path, first: Path, mixed: Path, other: Path, name: str
) -> None:
    before = stopped(real, first, mixed, name, **PACKED)
    before += stopped(real, state, other, name, **PACKED)
    up = sent(real, first, mixed, name, **PACKED)
    assert 7 * CHUNK < up.resumed_from <= 8 * CHUNK  # the last one, which is short, may be there
    assert sum(before) + up.sent_bytes == client.stat(name).length
    assert content(client, name, other) == MIXED


def test_what_another_one_ended_with_other_bytes_is_not_touched(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    """The other's file differs where no fingerprint looks, and in nothing that was sent before."""
    stopped(real, first, mixed, name, **PACKED)
    change(other, 470_000, b"another")
    client.upload(other, name, **PACKED).result()
    up = sent(real, first, mixed, name, **PACKED)
    assert (up.name, up.resumed_from) == (f"{name} (2)", 0)
    copy = other.with_suffix(".b")
    assert content(client, name, copy) == other.read_bytes()
    assert content(client, up.name, copy) == MIXED


def change(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_difference_that_no_fingerprint_sees_is_found_before_a_byte_leaves(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    stopped(real, first, mixed, name, 10, **PACKED)  # all but the table
    (left,) = unfinished(client, name)
    change(other, 470_000, b"another")
    up = client.upload(other, name, **PACKED).result()
    assert (up.resumed_from, up.name, up.verified) == (0, name, True)
    assert [(each.id, each.offset) for each in unfinished(client, name)] == [(left.id, left.offset)]
    assert content(client, name, other.with_suffix(".b")) == other.read_bytes()


def test_a_difference_behind_a_gap_is_found_at_the_end(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    with_a_gap(real, first, mixed, name, 9)
    change(other, 470_000, b"another")
    with pytest.raises(errors.DigestMismatch, match="send it again"):
        client.upload(other, name, **PACKED).result()
    assert [each.path for each in client.names(name)] == []
    up = client.upload(other, name, **PACKED).result()
    assert (up.resumed_from, up.name) == (0, name)


def test_what_was_cut_otherwise_is_left_to_who_began_it(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    (left,) = begun(real, client, first, mixed, name)
    change(other, 70_000, Random(1).randbytes(5_000))
    up = client.upload(other, name, **PACKED).result()
    assert (up.resumed_from, up.verified) == (0, True)
    assert [each.id for each in unfinished(client, name)] == [left.id]
    assert content(client, name, other.with_suffix(".b")) == other.read_bytes()


def begun(
    real: Server, client: Client, first: Path, mixed: Path, name: str, **how: Any
) -> list[UploadRecord]:
    stopped(real, first, mixed, name, **(how or PACKED))
    return unfinished(client, name)


def as_another_zstd(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(coded_elsewhere, "made_by", lambda: "another")


def as_if_carried(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(elsewhere, "_LEFT_ALONE", 60.0)


def as_it_is(_: pytest.MonkeyPatch) -> None:
    """Nothing is different."""


@pytest.mark.parametrize(
    "differs",
    [
        ({"compress": "6"}, as_it_is),
        ({**PACKED, "on_conflict": "replace"}, as_it_is),
        ({**PACKED, "metadata": {"case": "1"}}, as_it_is),
        ({**PACKED, "restart": True}, as_it_is),
        (PACKED, as_another_zstd),
        (PACKED, as_if_carried),
    ],
    ids=["level", "rule", "metadata", "restart", "zstd", "carried"],
)
def test_what_was_wanted_or_made_in_another_way_begins_anew(
    real: Server,
    client: Client,
    first: Path,
    mixed: Path,
    other: Path,
    name: str,
    differs: tuple[dict[str, Any], Callable[[pytest.MonkeyPatch], None]],
) -> None:
    (left,) = begun(real, client, first, mixed, name)
    how, differently = differs
    with pytest.MonkeyPatch.context() as patch:
        differently(patch)
        transfer = client.upload(other, name, **how)
        assert (transfer.result().resumed_from, transfer.progress.begun_anew) == (0, False)
    assert [each.id for each in unfinished(client, name)] == [left.id]


def test_chunks_of_another_size_begin_anew(
    real: Server, state: Path, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    begun(real, client, first, mixed, name)
    with Client(real.url, state_dir=state, chunk_size=2 * CHUNK) as larger:
        assert larger.upload(other, name, **PACKED).result().resumed_from == 0
    assert len(unfinished(client, name)) == 1


@pytest.mark.parametrize("locks", [[KEY], [WORDS], [ME.recipient]], ids=["key", "words", "others"])
def test_what_is_encrypted_begins_anew_and_says_so(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str, locks: Any
) -> None:
    (left,) = begun(real, client, first, mixed, name, encrypt=locks)
    transfer = client.upload(other, name, encrypt=locks)
    assert (transfer.result().resumed_from, transfer.progress.begun_anew) == (0, True)
    assert [each.id for each in unfinished(client, name)] == [left.id]
    up = sent(real, first, mixed, name, encrypt=locks)
    assert (up.resumed_from, up.name) == (4 * CHUNK, f"{name} (2)")
    keys = [ME] if locks == [ME.recipient] else locks
    for each in (name, up.name):
        assert content(client, each, other, keys=keys) == MIXED


def test_of_what_is_encrypted_no_fingerprint_is_told(
    real: Server, client: Client, first: Path, mixed: Path, name: str
) -> None:
    (packed,) = begun(real, client, first, mixed, name)
    (sealed,) = begun(real, client, first, mixed, f"{name}.sealed", encrypt=[KEY])
    assert FINGERPRINT in packed.metadata
    assert FINGERPRINT not in sealed.metadata


def test_who_sends_something_small_does_not_look(
    real: Server, client: Client, first: Path, mixed: Path, other: Path, name: str
) -> None:
    begun(real, client, first, mixed, name, encrypt=[KEY])
    other.write_bytes(MIXED[1:])
    transfer = client.upload(other, name, encrypt=[KEY])
    transfer.result()
    assert not transfer.progress.begun_anew


def test_a_first_upload_has_nothing_to_say(client: Client, mixed: Path, name: str) -> None:
    transfer = client.upload(mixed, name, encrypt=[KEY])
    transfer.result()
    assert not transfer.progress.begun_anew
