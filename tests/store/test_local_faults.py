"""A local store on a disk that is full, read-only, broken, or refuses to make bytes durable."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.errors import StoreError, StoreFull, StoreReadOnly
from towpath.store import reading
from towpath.store.local import LocalStore
from towpath.testing.store_words import KEY, OTHER, RECORD, blocks, content, fetch, sealed

KIB = 1 << 10


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("LOUD: only root can mount a tiny disk, so a really full disk is untested")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("LOUD: tmpfs cannot be mounted here, so a really full disk is untested")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _failing(error: int, real: Callable[..., Any], nth: int | None = None) -> Callable[..., Any]:
    """The real function, except that the n-th call fails, or every call."""
    calls = itertools.count(1)

    def fail(*args: Any, **kwargs: Any) -> Any:
        if nth in (None, next(calls)):
            raise OSError(error, os.strerror(error))
        return real(*args, **kwargs)

    return fail


# Full


@pytest.mark.parametrize("window", [0, 64 * KIB, 16 << 20])
def test_a_full_disk_keeps_every_byte_it_took_and_says_how_many(
    tiny_disk: Path, window: int
) -> None:
    store = LocalStore(tiny_disk / "data", window=window)
    data = content(2048 * KIB)
    handle = store.create(KEY, None)
    with pytest.raises(StoreFull) as caught:
        store.write(handle, 1, 0, blocks(data, 100_001))
    written = caught.value.written
    assert written is not None
    assert 512 * KIB < written < 1024 * KIB
    store.settle(handle)
    assert store.extent(handle) == written
    assert store.space().free == 0
    os.truncate(tiny_disk / "data/uploads/ch" / KEY, 600 * KIB)  # somebody makes room
    assert fetch(store, store.seal(handle, 600 * KIB, RECORD), 0, 600 * KIB) == data[: 600 * KIB]
    store.close()


def test_an_upload_that_does_not_fit_the_disk_is_not_created(tiny_disk: Path) -> None:
    store = LocalStore(tiny_disk / "data", min_free=512 * KIB)
    with pytest.raises(StoreFull):
        store.create(KEY, 600 * KIB)
    assert store.create(KEY, 300 * KIB)
    store.close()


def test_a_disk_without_room_for_the_manifest_leaves_an_upload_that_can_be_sealed_later(
    tiny_disk: Path,
) -> None:
    store = LocalStore(tiny_disk / "data")
    handle = store.create(KEY, 5)
    store.write(handle, 1, 0, blocks(b"bytes"))
    filler = store.create(OTHER, None)
    with pytest.raises(StoreFull):
        store.write(filler, 1, 0, blocks(content(2048 * KIB)))
    with pytest.raises(StoreFull):
        store.seal(handle, 5, RECORD)
    assert store.extent(handle) == 5
    store.remove(filler)
    assert fetch(store, store.seal(handle, 5, RECORD), 0, 5) == b"bytes"
    store.close()


def test_a_file_that_may_not_grow_is_full(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "data")
    handle = store.create(KEY, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * KIB, hard))
    try:
        with pytest.raises(StoreFull) as caught:
            store.write(handle, 1, 0, blocks(content(2048 * KIB), 100_001))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.written == store.extent(handle) == 1024 * KIB
    assert store.write(handle, 1, 1024 * KIB, blocks(b"more")) == 1024 * KIB + 4
    store.close()


# Broken


def test_a_disk_that_takes_a_part_of_a_block_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = LocalStore(tmp_path / "data"), os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda fd, block, at: real(fd, block[: max(1, len(block) // 2)], at)
    )
    data = content(50_000)
    assert fetch(store, sealed(store, data), 0, len(data)) == data
    store.close()


def test_a_broken_disk_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "data")
    handle = store.create(KEY, None)
    monkeypatch.setattr(os, "pwrite", _failing(errno.EIO, os.pwrite, 3))
    with pytest.raises(StoreError, match="EIO") as caught:
        store.write(handle, 1, 0, blocks(content(10_000), 1000))
    assert caught.value.written == 2000
    assert str(tmp_path) not in str(caught.value)
    store.close()


def test_bytes_that_cannot_be_read_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "data")
    address = sealed(store, b"bytes")
    monkeypatch.setattr(os, "preadv", _failing(errno.EIO, os.preadv))
    with pytest.raises(StoreError, match="EIO"):
        fetch(store, address, 0, 5)
    store.close()


# Read-only


def test_bytes_that_cannot_be_fetched_for_a_mapping_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(mmap.mmap):
        def madvise(self, *_: int) -> None:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))

    store = LocalStore(tmp_path)
    address = sealed(store, b"bytes")
    monkeypatch.setattr(mmap, "mmap", Failing)
    with pytest.raises(StoreError, match="EFAULT"):
        fetch(store, address, 0, 5, mapped=True)
    store.close()


def test_a_kernel_that_cannot_fetch_what_it_maps_has_it_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    address = sealed(store, b"bytes")
    monkeypatch.setattr(reading, "_POPULATE_READ", 9999)  # no kernel knows this advice
    reads: list[int] = []
    preadv = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        reads.append(offset)
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    assert fetch(store, address, 1, 5, mapped=True) == b"ytes"
    assert reads == [1]
    store.close()


def test_a_disk_mounted_read_only_is_refused_as_such(tiny_disk: Path) -> None:
    LocalStore(tiny_disk / "data").close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StoreReadOnly):
        LocalStore(tiny_disk / "data")


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_after_a_refused_sync_the_store_takes_no_writes_until_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = LocalStore(tmp_path / "data")
    address = sealed(store, b"before", OTHER)
    handle = store.create(KEY, 9)
    store.write(handle, 1, 0, blocks(b"forgotten"))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, _failing(errno.EIO, getattr(os, call)))
        with pytest.raises(StoreReadOnly):
            store.settle(handle)
    uses: tuple[Callable[[], object], ...] = (
        lambda: store.settle(handle),  # the disk works again, and yet: never tried again
        lambda: store.write(handle, 1, 0, blocks(b"x")),
        lambda: store.create("checked00003", 1),
        lambda: store.seal(handle, 9, RECORD),
        lambda: store.remove(address),
    )
    for use in uses:
        with pytest.raises(StoreReadOnly, match="Input/output error"):
            use()
    assert "Input/output error" in store.space().read_only
    assert fetch(store, address, 0, 6) == b"before"
    store.close()
    store = LocalStore(tmp_path / "data")
    assert store.space().read_only == ""
    store.settle(handle)
    store.close()


def test_a_refused_sync_is_asked_for_once_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "data")
    handle = store.create(KEY, 1)
    asked: list[int] = []

    def refuse(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fdatasync", refuse)
    for _ in range(5):
        with pytest.raises(StoreReadOnly):
            store.settle(handle)
    assert len(asked) == 1
    store.close()


def test_a_relaxed_store_never_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, call, _failing(errno.EIO, getattr(os, call)))
    store = LocalStore(tmp_path / "data", durability="relaxed")
    handle = store.create(KEY, 5)
    store.write(handle, 1, 0, blocks(b"bytes"))
    store.settle(handle)
    assert fetch(store, store.seal(handle, 5, RECORD), 0, 5) == b"bytes"
    store.remove(f"objects/{KEY}", keep=True)
    assert store.properties.durable == "kill"
    store.close()


def test_the_folder_is_synced_with_the_first_settle_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = LocalStore(tmp_path / "data"), os.fsync
    handle = store.create(KEY, 2)
    synced: list[Path] = []

    def watch(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    for at in range(2):
        store.write(handle, 1, at, blocks(b"x"))
        store.settle(handle)
    folder = tmp_path / "data/uploads"
    assert synced == [folder / "ch", folder]
    store.close()
