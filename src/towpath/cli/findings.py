"""What `towpath doctor` finds: one thing each, with why it is so and what to do.

Rules: a finding is about one check; `fine` is a finding too, so that people see what was looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from towpath.cli.amounts import size
from towpath.cli.exits import ERROR, LIMIT

FINE, NOTE, WARNING, TROUBLE = "fine", "note", "warning", "trouble"
MARKS = {FINE: "+", NOTE: "i", WARNING: "!", TROUBLE: "-"}

_LITTLE, _TOO_LITTLE = 1 << 30, 64 << 20  # free bytes of a disk
_FEW = 1000  # free inodes


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `code`: what the process exits with if it is the first trouble."""

    check: str
    level: str
    what: str
    why: str = ""
    todo: str = ""
    code: int = ERROR


def disks(places: Iterable[tuple[str, Path]]) -> Iterator[Finding]:
    """Space and inodes of the disks where these folders are, or would be."""
    seen = set()
    for purpose, folder in places:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        yield _space(purpose, there, shutil.disk_usage(there).free)
        yield from _inodes(there)


def _space(purpose: str, folder: Path, free: int) -> Finding:
    if free >= _LITTLE:
        return Finding("disk", FINE, f"{size(free)} are free in {folder}, for {purpose}")
    return Finding(
        "disk",
        TROUBLE if free < _TOO_LITTLE else WARNING,
        f"Only {size(free)} are free in {folder}.",
        why=f"It is for {purpose}.",
        todo="Make space there, or use another disk.",
        code=LIMIT,
    )


def _inodes(folder: Path) -> Iterator[Finding]:
    """File systems that make inodes as they need them say nothing here."""
    look = getattr(os, "statvfs", None)
    if look is None:
        return
    found = look(folder)
    if found.f_files and found.f_favail < _FEW:
        yield Finding(
            "disk",
            TROUBLE if not found.f_favail else WARNING,
            f"Only {found.f_favail} more files can be made in {folder}.",
            why=f"The file system has {found.f_files} inodes, and nearly all are in use.",
            todo="Remove files that are not needed; small ones count as much as large ones.",
            code=LIMIT,
        )
