"""What the demos share: a folder that goes away again, sample files, a clock and a scale.

Documents live in that folder, in process; or at the server that TOWPATH_URL names.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from towpath.uds3 import StreamingManager, format_bytes

MB = 1024 * 1024
BLOCK = 1 * MB


def arguments(says: str | None, size: float, **more: Any) -> argparse.Namespace:  # noqa: ANN401 - as argparse takes it
    """Read the command line: `--size` in MB, and what else a demo has."""
    parser = argparse.ArgumentParser(description=says)
    parser.add_argument("--size", type=float, default=size, help=f"MB of a file (default {size:g})")
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    found = parser.parse_args()
    found.size = int(found.size * MB)
    return found


@contextmanager
def place() -> Generator[Path]:
    """A folder until the `with` ends."""
    with tempfile.TemporaryDirectory(prefix="towpath-demo-") as folder:
        yield Path(folder)


def manager(folder: Path, **options: Any) -> StreamingManager:  # noqa: ANN401 - those of StreamingManager
    """A manager that keeps documents in the folder, or at the server of TOWPATH_URL."""
    if "TOWPATH_URL" in os.environ:
        return StreamingManager(state_dir=folder / "state", **options)
    return StreamingManager(data=folder / "data", **options)


def sample(path: Path, size: int) -> Path:
    """A file of so many bytes that do not repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - start)))
    return path


def same(one: Path, other: Path) -> bool:
    """Compare two files, block by block."""
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            block = left.read(BLOCK)
            if block != right.read(BLOCK):
                return False
            if not block:
                return True


def check(*, good: bool, what: str) -> None:
    """Say what holds; end the demo where it does not."""
    if not good:
        sys.exit(f"NOT TRUE: {what}")
    print(f"ok: {what}")


class Watch:
    """Measures the time of a `with` block."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began

    def rate(self, size: int) -> str:
        """So many bytes in that time, for people."""
        return f"{self.seconds:.2f} s, {format_bytes(size / max(self.seconds, 1e-9))}/s"
