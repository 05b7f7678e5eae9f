"""Fail, or end the process, at every single system call of a local store's life, one by one.

The calls are those that Python makes; what a kill from outside leaves is in test_local_kill, what
a power cut leaves in test_local_power.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.errors import TowpathError
from towpath.store.local import LocalStore
from towpath.testing.faults import Crash
from towpath.testing.store_words import KEY, OTHER, RECORD, blocks, content, fetch, sealed

_CALLS = ("open", "pwrite", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "mkdir", "stat",
          "fstat", "close", "listdir", "fstatvfs")  # fmt: skip
_DATA = content(30_000)


class _Carrier:
    """Carries one upload through and remembers what it was promised, as the ledger does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settled = 0
        self.sealing = False
        self.address: str | None = None

    def carry(self) -> None:
        """Go on from what was promised; the store is let go in any case."""
        store = LocalStore(self.root)
        try:
            if not self.sealing:
                handle = store.create(KEY, len(_DATA))
                for start in range(self.settled, len(_DATA), 10_000):
                    store.write(handle, 1, start, blocks(_DATA[start : start + 10_000]))
                    store.settle(handle)
                    self.settled = start + 10_000
            self.sealing = True
            self.address = store.seal(f"uploads/{KEY}", len(_DATA), RECORD)
            for at in (f"objects/{OTHER}", f"uploads/{OTHER}"):
                store.remove(at)
            store.remove(sealed(store, b"other", OTHER))
        finally:
            store.close()

    def check_promises(self) -> None:
        """What was promised is there, whatever happened."""
        store = LocalStore(self.root)
        found = {item.at: item for item in store.list()}
        upload, made = found.get(f"uploads/{KEY}"), found.get(f"objects/{KEY}")
        if self.settled and made is None:
            assert upload is not None
            assert upload.size >= self.settled
            kept = (self.root / "uploads/ch" / KEY).read_bytes()
            assert kept[: self.settled] == _DATA[: self.settled]
        if made is not None:  # an object is whole from its first moment
            assert made.manifest == RECORD
            assert fetch(store, made.at, 0, len(_DATA)) == _DATA
        assert self.address is None or made is not None
        store.close()


Fault = Callable[[str, Callable[[], Any]], Any]
"""Gets the name of the call and the call itself."""


def _plant(monkeypatch: pytest.MonkeyPatch, fault: Fault, nth: int) -> list[str]:
    """Let `fault` stand in for the n-th of all calls; what it stood in for is listed."""
    numbers, planted = itertools.count(1), list[str]()

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) != nth:
                return real(*args, **kwargs)
            planted.append(name)
            return fault(name, lambda: real(*args, **kwargs))

        return call

    for name in _CALLS:
        monkeypatch.setattr(os, name, wrap(name, getattr(os, name)))
    return planted


def _refuse(name: str, real: Callable[[], Any]) -> Any:
    if name == "close":  # the kernel closes, whatever it says
        real()
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _crash_before(_name: str, _real: Callable[[], Any]) -> Any:
    raise Crash


def _crash_after(_name: str, real: Callable[[], Any]) -> Any:
    real()
    raise Crash


def _open_below(root: Path) -> list[int]:
    """The descriptors of this process that lie in the directory."""
    found = []
    for link in list(Path("/proc/self/fd").iterdir()):
        try:
            target = link.readlink()
        except FileNotFoundError:  # the one that listed them
            continue
        if target.is_relative_to(root):
            found.append(int(link.name))
    return found


@pytest.mark.parametrize("fault", [_refuse, _crash_before, _crash_after])
def test_every_promise_holds_and_the_upload_can_end_whichever_call_fails(
    tmp_path: Path, fault: Fault
) -> None:
    for nth in itertools.count(1):
        carrier = _Carrier(tmp_path / f"{nth}")
        with pytest.MonkeyPatch.context() as patch:
            planted = _plant(patch, fault, nth)
            try:
                carrier.carry()
            except (Crash, TowpathError):
                pass
            except OSError as error:
                raise AssertionError(f"{planted}: an error of the kernel came through") from error
        left_open = _open_below(carrier.root)
        assert fault is not _refuse or not left_open, f"{planted} leaves a descriptor open"
        for descriptor in left_open:  # as the kernel does for a process that ended
            os.close(descriptor)
        carrier.check_promises()
        carrier.carry()
        carrier.check_promises()
        left = {path.name for path in carrier.root.rglob("*") if path.is_file()}
        assert left == {"lock", KEY, f"{KEY}.manifest"}, f"{nth}: {planted}"
        if not planted:
            assert nth > 60
            return
