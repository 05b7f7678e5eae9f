"""What only a store in a local directory does: its layout, its lock, its descriptors."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from towpath.errors import NotFound, StoreBusy, StoreError, StoreFull, StoreLost
from towpath.store import disk, prealloc
from towpath.store.base import Manifest
from towpath.store.local import LocalStore
from towpath.testing.clock import FakeClock
from towpath.testing.store_words import KEY, RECORD, blocks, content, fetch, raising, sealed

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    opened = LocalStore(root)
    yield opened
    opened.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# Layout


def test_files_lie_where_the_layout_says_and_only_their_owner_may_read_them(
    store: LocalStore, root: Path
) -> None:
    store.create("ab345678", 1)
    sealed(store, b"x", "cd345678")
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {
        "lock",
        "uploads/ab/ab345678",
        "objects/cd/cd345678",
        "objects/cd/cd345678.manifest",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in (root, *root.rglob("*")))


def test_what_strangers_left_in_the_directory_is_not_listed(store: LocalStore, root: Path) -> None:
    address = sealed(store, b"x", "cd345678")
    (root / "objects/cd/README").write_text("not ours")
    (root / "objects/cd/zz999999").write_text("a key in the folder of another")
    (root / "objects/cd/cdfolder1").mkdir()
    (root / "objects/note").write_text("no folder")
    (root / "objects/zz").write_text("no folder either")
    assert [found.at for found in store.list()] == [address]


def test_what_is_kept_lies_in_lost_and_found(store: LocalStore, root: Path) -> None:
    handle = store.create("ab345678", 5)
    store.write(handle, 1, 0, blocks(b"bytes"))
    store.remove(handle, keep=True)
    store.remove(sealed(store, b"object", "cd345678"), keep=True)
    lost = {path.name: path.read_bytes() for path in (root / "lost+found").iterdir()}
    assert lost.pop("cd345678.manifest").startswith(b'{"format":1,')
    assert lost == {"ab345678.upload": b"bytes", "cd345678.object": b"object"}


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda text: text[:-1],
    "changed": lambda text: text.replace(b"true", b"null"),
    "longer": lambda text: text + b"more\n",
    "empty": lambda _: b"",
    "no-text": lambda _: b"\xff\xfe\n" * 3,
    "endless": lambda text: text + b" " * (2 * MIB),
}


@pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES)
def test_an_object_with_a_damaged_manifest_is_listed_without_one(
    store: LocalStore, root: Path, damage: Callable[[bytes], bytes]
) -> None:
    store.seal(store.create("cd345678", 0), 0, Manifest(record={"clean": True}))
    path = root / "objects/cd/cd345678.manifest"
    path.write_bytes(damage(path.read_bytes()))
    assert [(found.size, found.manifest) for found in store.list()] == [(0, None)]


def test_a_manifest_can_be_checked_by_hand(store: LocalStore, root: Path) -> None:
    sealed(store, b"x", "cd345678")
    by_hand = "head -1 cd345678.manifest | sha256sum; tail -1 cd345678.manifest"
    printed = subprocess.run(
        ["sh", "-c", by_hand], cwd=root / "objects/cd", capture_output=True, text=True, check=True
    ).stdout.split()
    assert printed[2] == f"sha256:{printed[0]}"


# Links and pipes


def test_a_link_planted_for_an_upload_leads_nowhere(
    store: LocalStore, root: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (root / "uploads/ab").mkdir()
    (root / "uploads/ab/ab345678").symlink_to(victim)
    for use in (
        lambda: store.create("ab345678", 1),
        lambda: store.write("uploads/ab345678", 1, 0, blocks(b"evil")),
        lambda: store.extent("uploads/ab345678"),
        lambda: store.seal("uploads/ab345678", 0, RECORD),
    ):
        with raising(StoreError, NotFound):
            use()
    assert store.list() == []
    store.remove("uploads/ab345678")
    assert victim.read_text() == "precious"


def test_a_link_planted_for_a_folder_leads_nowhere(
    store: LocalStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for kind in ("uploads", "objects"):
        (root / kind / "ab").symlink_to(tmp_path / "elsewhere")
    with raising(StoreError):
        store.create("ab345678", 1)
    with raising(StoreError):
        store.read("objects/ab345678", 0, 0)
    assert store.list() == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_planted_for_a_manifest_is_not_followed(
    store: LocalStore, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").write_text("precious")
    (root / "objects/ab").mkdir()
    (root / "objects/ab/ab345678.manifest.draft").symlink_to(tmp_path / "victim")
    with raising(StoreError):
        store.seal(store.create("ab345678", 0), 0, RECORD)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_pipe_planted_for_an_object_hangs_nobody(store: LocalStore, root: Path) -> None:
    (root / "objects/ab").mkdir()
    os.mkfifo(root / "objects/ab/ab345678")
    with raising(NotFound):
        store.read("objects/ab345678", 0, 0)


# The lock

_HOLDER = """
import sys
from pathlib import Path
from typing import Literal
from towpath.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_directory(root: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreBusy, match=f"pid {holder.pid} on {os.uname().nodename}"):
            LocalStore(root)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        LocalStore(root).close()  # the kernel let go with the process


def test_the_same_process_cannot_open_a_directory_twice(root: Path) -> None:
    clock = FakeClock(now=123_000)
    store = LocalStore(root, clock=clock)
    before = _open_files()
    for _ in range(3):
        with pytest.raises(StoreBusy, match="since 1970-01-01T00:02:03"):
            LocalStore(root)
    assert _open_files() == before
    store.close()
    LocalStore(root).close()


# Space


def test_an_upload_that_would_eat_what_must_stay_free_is_refused(root: Path) -> None:
    store = LocalStore(root, min_free=1 << 60)
    for size in (1, None):
        with pytest.raises(StoreFull):
            store.create(KEY, size)
    assert store.space().free == 0
    store.close()


def test_a_write_stops_before_it_eats_what_must_stay_free(root: Path) -> None:
    store = LocalStore(root)
    handle = store.create(KEY, None)
    store.close()
    store = LocalStore(root, min_free=1 << 60)
    with pytest.raises(StoreFull) as caught:
        store.write(handle, 1, 0, blocks(b"bytes"))
    assert caught.value.written == 0
    store.close()


def _reserved(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_disk_is_reserved_ahead_but_never_beyond_the_announced_size(
    store: LocalStore, root: Path
) -> None:
    handle = store.create(KEY, 3 * MIB)
    store.write(handle, 1, 0, blocks(content(MIB), MIB))
    if not _reserved(root / "uploads/ch" / KEY) > MIB:
        pytest.skip("LOUD: this file system does not preallocate, so nothing was tested")
    assert store.extent(handle) == MIB
    assert _reserved(root / "uploads/ch" / KEY) < 4 * MIB


def test_what_was_reserved_ahead_is_given_back_when_sealed(store: LocalStore, root: Path) -> None:
    handle = store.create(KEY, None)
    store.write(handle, 1, 0, blocks(content(MIB), MIB))
    if not _reserved(root / "uploads/ch" / KEY) > MIB:
        pytest.skip("LOUD: this file system does not preallocate, so nothing was tested")
    store.seal(handle, MIB, RECORD)
    assert _reserved(root / "objects/ch" / KEY) <= MIB + 65_536


def test_a_file_system_that_cannot_preallocate_is_asked_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []

    def refuse(*request: int) -> int:
        asked.append(request)
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    monkeypatch.setattr(prealloc, "_fallocate", refuse)
    store = LocalStore(root, window=65_536)
    data = content(100_000)
    assert fetch(store, sealed(store, data), 0, len(data)) == data
    assert len(asked) == 1
    store.close()


# Descriptors


def test_many_slow_uploads_share_a_few_descriptors(root: Path) -> None:
    store = LocalStore(root, idle_files=16, durability="relaxed")
    before = _open_files()
    handles = [store.create(f"upload{n:06}", 3) for n in range(1000)]
    for at in range(3):
        for handle in handles:
            store.write(handle, 1, at, blocks(b"x"))
        assert _open_files() <= before + 16
    assert all(store.extent(handle) == 3 for handle in handles)
    store.close()
    assert _open_files() < before


def test_a_descriptor_in_use_is_not_closed_under_its_writer(root: Path) -> None:
    store = LocalStore(root, idle_files=1)
    handle = store.create(KEY, 6)

    def slow() -> Iterator[memoryview]:
        yield memoryview(b"old")
        for n in range(20):
            store.write(store.create(f"upload{n:06}", 9), 1, 0, blocks(b"other"))
        yield memoryview(b"new")

    store.write(handle, 1, 0, slow())
    assert fetch(store, store.seal(handle, 6, RECORD), 0, 6) == b"oldnew"
    store.close()


def test_an_unsettled_upload_is_settled_before_its_descriptor_is_closed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(root, idle_files=2)
    synced: list[str] = []
    sync = os.fdatasync

    def watch(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", watch)
    for n in range(4):
        store.write(store.create(f"upload{n:06}", 1), 1, 0, blocks(b"x"))
    assert synced == ["upload000000", "upload000001"]
    store.close()


def test_close_cuts_off_who_still_writes(root: Path) -> None:
    store = LocalStore(root)
    handle = store.create(KEY, 6)

    def late() -> Iterator[memoryview]:
        yield memoryview(b"before")
        store.close()
        yield memoryview(b"after")

    before = _open_files()
    with raising(Exception):
        store.write(handle, 1, 0, late())
    assert _open_files() < before
    store = LocalStore(root)
    assert store.extent(handle) == 6
    store.close()


# Reading


@pytest.mark.parametrize("mapped", [False, True])
def test_an_object_that_became_shorter_is_noticed_while_it_is_read(
    store: LocalStore, root: Path, mapped: bool
) -> None:
    address = sealed(store, content(3 * MIB))
    reading = store.read(address, 0, 3 * MIB, mapped=mapped)
    os.truncate(root / "objects/ch" / KEY, MIB)
    with pytest.raises(StoreLost):
        list(reading)
    reading.close()
    assert reading.file is None


@pytest.mark.parametrize(("durability", "begun"), [("strict", [(0, 4), (4, 8)]), ("relaxed", [])])
def test_the_disk_begins_with_every_few_mebibytes_where_somebody_will_wait_for_it(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: Literal["strict", "relaxed"],
    begun: list[tuple[int, int]],
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "towpath.store.local.begin_sync", lambda _, start, end: told.append((start, end))
    )
    with closing(LocalStore(root, durability=durability)) as store:
        handle = store.create(KEY, 10 * MIB)
        store.write(handle, 1, 0, [memoryview(bytes(MIB))] * 10)
        store.settle(handle)
        assert told == [(start * MIB, end * MIB) for start, end in begun]


@pytest.mark.parametrize("can", [True, False])
def test_a_system_that_cannot_begin_early_is_none_the_worse(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    monkeypatch.setattr(disk, "_sync_file_range", (lambda *_: -1) if can else None)
    data = content(5 * MIB)
    assert fetch(store, sealed(store, data), 0, len(data)) == data


def test_linux_can_begin_early() -> None:
    assert (disk._sync_file_range is not None) == sys.platform.startswith("linux")
