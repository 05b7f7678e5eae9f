"""What tests of coded uploads share: ways to code, files, what is left behind."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from towpath.codec.keys import KeyFile
from towpath.uds3 import OperationStatus, StreamingManager

MIB = 1 << 20
WORDS = "your-key-here"
KEY = KeyFile(bytes(range(32)))
ZIP: dict[str, Any] = {"compress_chunks": True, "compression_level": 6}
SEAL: dict[str, Any] = {"encrypt_chunks": True, "encryption_key": WORDS}
WAYS: dict[str, dict[str, Any]] = {"compressed": ZIP, "encrypted": SEAL, "both": {**ZIP, **SEAL}}


def mixed(path: Path, count: int) -> Path:
    """A file of so many MiB and a bit, a third of which compresses well."""
    with path.open("wb") as file:
        for number in range(count):
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


def remains(tmp_path: Path) -> list[Path]:
    """What operations left that came to nothing."""
    patterns = ("data/uploads/*/*", "data/operations/*")
    return [path for pattern in patterns for path in tmp_path.glob(pattern)]


def paused(manager: StreamingManager, path: Path, destination: str) -> str:
    """Begin an upload, and pause it after some chunks: its id."""

    def pause(progress: Any) -> None:
        if progress.transferred_bytes >= 6 * MIB and not progress.is_complete:
            manager.pause_operation(progress.operation_id)

    key = manager.upload_file(path, destination, pause)
    (operation,) = manager.wait_for_operations([key])
    assert operation.status is OperationStatus.PAUSED
    return key
