"""kill -9 at every system call that changes the disk, made by strace."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.store.local import LocalStore
from towpath.testing.store_words import KEY, RECORD, content, fetch

_CALLS = ("mkdir", "mkdirat", "fcntl", "pwrite64", "fallocate", "fdatasync", "fsync", "ftruncate",
          "write", "rename", "renameat", "renameat2", "unlinkat")  # fmt: skip

_CARRIER = """
import os, sys
from pathlib import Path
from towpath.store.local import LocalStore
from towpath.testing.store_words import KEY, RECORD, blocks, content
data, settled = content(300_000), int(sys.argv[2])
def promise(line):
    os.write(1, f"{line}\\n".encode())
store = LocalStore(Path(sys.argv[1]))
handle = f"uploads/{KEY}"
if settled < len(data):
    store.create(KEY, None)
    for start in range(settled, len(data), 100_000):
        store.write(handle, 1, start, blocks(data[start : start + 100_000], 50_000))
        store.settle(handle)
        promise(start + 100_000)
store.seal(handle, len(data), RECORD)
promise("sealed")
store.close()
"""


def _carry(root: Path, settled: int, *, trace: tuple[str, ...] = ()) -> tuple[list[str], int]:
    """Run the carrier; return its promises and its exit code."""
    command = [*trace, sys.executable, "-S", "-c", _CARRIER, str(root), str(settled)]
    environment = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode in (0, -9, 137), ended.stderr
    return ended.stdout.split(), ended.returncode


@pytest.mark.skipif(
    shutil.which("strace") is None,
    reason="LOUD: without strace no process is killed inside its system calls; test_local_crash"
    " ends it in between only",
)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("call", _CALLS)
def test_a_kill_at_any_call_breaks_no_promise(tmp_path: Path, call: str) -> None:
    data = content(300_000)
    for nth in itertools.count(1):
        root = tmp_path / f"{nth}"
        trace = ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={nth}")  # fmt: skip
        promises, code = _carry(root, 0, trace=trace)
        settled = max((int(line) for line in promises if line != "sealed"), default=0)
        store = LocalStore(root)  # the kernel let go of the lock
        found = {item.at: item for item in store.list()}
        store.close()
        if f"objects/{KEY}" not in found and settled:
            kept = (root / "uploads/ch" / KEY).read_bytes()
            assert kept[:settled] == data[:settled]
        assert "sealed" not in promises or found[f"objects/{KEY}"].manifest == RECORD
        assert _carry(root, settled)[0][-1] == "sealed"
        store = LocalStore(root)
        assert fetch(store, f"objects/{KEY}", 0, len(data)) == data
        assert [item.manifest for item in store.list()] == [RECORD]
        store.close()
        shutil.rmtree(root)
        if code == 0:
            return
