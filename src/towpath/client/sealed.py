"""A JSON object in a file: replaced whole, versioned, checksummed.

Rules: what is read is what was once written, or nothing; with `durable`, also after a power cut. A
file that is torn is set aside, so that nobody trips over it twice. Only its owner may read it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def seal(path: Path, version: int, body: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write `body` in the place of what was there. Makes the folder if there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = _text(version, body)
    beside = path.parent / f"{path.stem}.{os.urandom(6).hex()}.new"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def jot(path: Path, version: int, body: Mapping[str, Any]) -> None:
    """Write `body` in a folder that is there: for what may be torn while nothing depends on it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, _text(version, body).encode())
    finally:
        os.close(handle)


def unseal(path: Path, version: int) -> dict[str, Any] | None:
    """What was written there; None if there is nothing, or nothing that can be read."""
    found = unsealed(path)
    if found is not None and found[0] != version:
        _log.warning("%s was written by another version of Towpath; it is left alone.", path)
        return None
    return None if found is None else found[1]


def unsealed(path: Path) -> tuple[int, dict[str, Any]] | None:
    """What was written there, and its version; None if there is nothing, or it is torn."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    # notes of transfers had a word of their own for what is sealed, up to their version 2
    body = found.get("body", found.get("note")) if isinstance(found, dict) else None
    version = found.get("version") if isinstance(found, dict) else None
    if (
        not isinstance(body, dict)
        or not isinstance(version, int)
        or found.get("checksum") != _checksum(body)
    ):
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        _log.warning("A record was damaged; it lies at %s now.", aside)
        return None
    return version, body


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last, where the system knows how."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _text(version: int, body: Mapping[str, Any]) -> str:
    return json.dumps({"version": version, "checksum": _checksum(body), "body": body})


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
