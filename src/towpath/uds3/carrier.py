"""What carries the bytes of an operation, and what it is told about how.

Rules: a carrier is called in the thread of the operation and waits there; it changes the record as
bytes become durable, says so by `Job.moved`, and looks at `Job.control` before every block. It
raises Stopped when it was asked to stop, and else what went wrong, after the tries it may make.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from towpath.errors import SettingsError
from towpath.uds3.control import Control
from towpath.uds3.errors import kind_of, named
from towpath.uds3.records import Checkpoints, Record

_BLOCK = 1 << 20
_DOUBLINGS = 16  # of a delay; more would be days


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How long to wait, how often to try, what to check. Times in seconds."""

    max_retries: int
    retry_delay: float
    timeout: float
    exponential: bool
    retry_on: frozenset[str]
    parallel: int  # chunks of one operation at once
    operations: int  # at once

    def wait(self, error: BaseException, failures: int) -> float:
        """Seconds until the next try; raises the error when there shall be none.

        `failures`: how often in a row it has failed, this time included. A wait is drawn from 0
        to the delay, so that not all come back at once; never less than the server asked for.
        """
        words = {kind_of(error), *(kind.__name__ for kind in type(error).__mro__)}
        if failures > self.max_retries or not words & self.retry_on:
            raise named(error)
        doublings = min(failures - 1, _DOUBLINGS) if self.exponential else 0
        drawn = random.uniform(0, self.retry_delay * 2**doublings)  # noqa: S311 - spreads load
        return max(drawn, getattr(error, "retry_after", None) or 0.0)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One operation to be carried."""

    record: Record
    control: Control
    parallel: int
    save: Callable[[], None]  # make the record last
    moved: Callable[[], None]  # bytes became durable: the record says which
    restart: bool = False  # forget what arrived before


class Carrier(Protocol):
    """Brings files to where documents live, and back."""

    @property
    def checkpoints(self) -> Checkpoints:
        """A place for records beside the documents."""
        ...

    @property
    def folder(self) -> Path:
        """The folder of this machine for records."""
        ...

    def upload(self, job: Job) -> None:
        """Bring the file there, whole and checked. Raises TowpathError, OSError, Stopped."""
        ...

    def download(self, job: Job) -> None:
        """Bring the document here, whole and checked. Raises TowpathError, OSError, Stopped."""
        ...

    def undo(self, record: Record, *, tell: bool) -> None:
        """Remove what an unfinished operation left; what was there before it stands again.

        `tell`: those who are told of uploads are told of this one's end, too. Raises
        StateConflict when the upload is complete.
        """
        ...

    def verify(self, record: Record) -> bool:
        """Tell whether what is stored is what was sent."""
        ...

    def before_exit(self, call: Callable[[], None]) -> None:
        """Have the bound method called before the interpreter ends, if that must be."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


ALGORITHMS = ("sha256", "sha512", "sha1", "md5")
"""Checksums, by their names here."""


def check_algorithm(name: str) -> str:
    """The name in lower case. Raises SettingsError for an unknown one."""
    known = name.lower().replace("-", "")
    if known not in ALGORITHMS:
        raise SettingsError(
            f"There is no checksum {name!r} here.",
            why=f"There are {', '.join(ALGORITHMS)}.",
            todo="Choose one of these.",
        )
    return known


def checksum_of(path: str | Path, algorithm: str, check: Callable[[], None]) -> str:
    """The checksum of a file, in hex. `check` is called before every block."""
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    block = bytearray(_BLOCK)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered, into one block
        check()
        while count := file.readinto(block):
            hasher.update(memoryview(block)[:count])
            check()
    return hasher.hexdigest()
