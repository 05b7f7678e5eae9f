"""A power cut: the image of a mounted disk is copied while the store runs, and the copy mounted.

What the store wrote but did not sync is not in the image, so the copy is what a disk holds after
the power went.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from towpath.store.local import LocalStore
from towpath.testing.store_words import KEY, OTHER, RECORD, blocks, content, fetch, sealed

MIB = 1 << 20

pytestmark = pytest.mark.loopmount


@contextmanager
def _mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    done = subprocess.run(
        ["mount", "-o", "loop", str(image), str(at)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"LOUD: no image can be mounted, so no power was cut: {done.stderr}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("LOUD: only root with mkfs.ext4 can cut the power, so nothing was tested")
    path = tmp_path / "image"
    path.touch()
    os.truncate(path, 64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)
    return path


def test_what_is_settled_or_sealed_lives_through_a_power_cut(image: Path, tmp_path: Path) -> None:
    data = content(5 * MIB)
    with ExitStack() as stack:
        disk = stack.enter_context(_mounted(image, tmp_path / "disk"))
        store = LocalStore(disk / "data")
        stack.callback(store.close)
        address = sealed(store, data[:MIB], OTHER)
        handle = store.create(KEY, None)
        store.write(handle, 1, 3 * MIB, blocks(data[3 * MIB : 4 * MIB], MIB))
        store.write(handle, 1, 0, blocks(data[: 2 * MIB], MIB))
        store.settle(handle)
        store.write(handle, 1, 4 * MIB, blocks(data[4 * MIB :], MIB))  # never settled
        shutil.copyfile(image, tmp_path / "cut")
    with ExitStack() as stack:
        disk = stack.enter_context(_mounted(tmp_path / "cut", tmp_path / "after"))
        store = LocalStore(disk / "data")
        stack.callback(store.close)
        assert fetch(store, address, 0, MIB) == data[:MIB]
        assert {item.at: item.manifest for item in store.list()} == {address: RECORD, handle: None}
        assert store.extent(handle) == 4 * MIB  # the unsettled tail is gone: the cut was real
        store.write(handle, 1, 2 * MIB, blocks(data[2 * MIB : 3 * MIB], MIB))
        store.write(handle, 1, 4 * MIB, blocks(data[4 * MIB :], MIB))
        assert fetch(store, store.seal(handle, 5 * MIB, RECORD), 0, 5 * MIB) == data


def test_relaxed_lives_through_less(image: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(_mounted(image, tmp_path / "disk"))
        store = LocalStore(disk / "data", durability="relaxed")
        stack.callback(store.close)
        sealed(store, content(MIB))
        shutil.copyfile(image, tmp_path / "cut")
    with ExitStack() as stack:
        disk = stack.enter_context(_mounted(tmp_path / "cut", tmp_path / "after"))
        store = LocalStore(disk / "data", durability="relaxed")
        stack.callback(store.close)
        assert store.list() == []  # why `strict` is the default
