"""A disk whose power can be cut: a file system in an image, mounted by loop.

Rules: a cut is a copy of the image while the writer stands still: what the file system still held
in memory is not in the copy, and what was synced is; everything is unmounted and removed at the
end, also on failure. Wants Linux, root, loop devices and mkfs; `why_not` says what is missing.

    with Disk(directory, "ext4") as disk:      # disk.root is mounted
        ... write, stop the writer ...
        with disk.cut() as after:              # after.root is what a power cut would leave
            ...
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

SIZE = 512 * 1024 * 1024  # bytes; xfs wants 300 MiB
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
# The copy of an xfs has the identity of the original, which may still be mounted.
OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid"}


def why_not(kind: str) -> str:
    """What is missing here for a disk of this kind; empty if nothing is."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root may mount an image"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    if shutil.which(MAKE[kind][0]) is None:
        return f"there is no {MAKE[kind][0]}"
    return ""


def _do(*words: str | Path) -> None:
    done = subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise OSError(f"{words} ended with {done.returncode}: {done.stderr.strip()}")


class Disk:
    """An image and where it is mounted."""

    def __init__(self, directory: Path, kind: str, *, source: Path | None = None) -> None:
        """A new file system of this kind, or the copy of the image `source`."""
        self.kind = kind
        self.directory = directory
        self.source = source
        name = "disk" if source is None else source.stem + "-after"
        self.image = directory / f"{name}.img"
        self.root = directory / name
        self._mounted = False

    def __enter__(self) -> Self:
        """Make it and mount it."""
        try:
            self.root.mkdir(parents=True)
            if self.source is None:
                with self.image.open("wb") as file:
                    file.truncate(SIZE)
                _do(*MAKE[self.kind], self.image)
            else:
                _do("cp", "--sparse=always", self.source, self.image)
            _do("mount", "-o", OPTIONS[self.kind], self.image, self.root)
            self._mounted = True
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount and remove it."""
        self._remove()

    def cut(self) -> Disk:
        """What would be left if the power were cut now; enter it to mount it."""
        return Disk(self.directory, self.kind, source=self.image)

    def _remove(self) -> None:
        try:
            if self._mounted:
                _do("umount", self.root)
                self._mounted = False
        except OSError:
            _do("umount", "--lazy", self.root)  # somebody still has a file open: it goes with them
            raise
        finally:
            self.image.unlink(missing_ok=True)
            if self.root.exists() and not self.root.is_mount():
                self.root.rmdir()
