"""The memory of operations in process does not grow with the file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.uds3.conftest import MIB

SIZE = 256 * MIB

PROGRAM = """
import sys
from pathlib import Path

import psutil

from towpath.uds3 import StreamingManager

def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

small, large, data = sys.argv[1:]
with StreamingManager(data=data) as manager:
    assert manager.upload_large_file(small, "small.bin")
    assert manager.download_large_file("small.bin", small + ".copy")
    before, held = most(), psutil.Process().memory_info().rss
    assert manager.upload_large_file(large, "large.bin")
    held = psutil.Process().memory_info().rss - held
    assert manager.download_large_file("large.bin", large + ".copy")
    print(most() - before, held)
"""


AS_WRITTEN = """
import sys

import psutil

from towpath.uds3 import UnifiedDatabaseStrategy

uds = UnifiedDatabaseStrategy(data=sys.argv[2])
before = psutil.Process().memory_info().rss
result = uds.upload_large_file(file_path=sys.argv[1], destination="storage/documents/x.pdf")
after = psutil.Process().memory_info().rss
assert result["success"], result["error"]
print(after - before)
uds.close()
"""


def test_a_quarter_of_a_gibibyte_takes_less_than_sixteen_mebibytes_and_holds_less_than_a_percent(
    tmp_path: Path,
) -> None:
    (tmp_path / "small").write_bytes(os.urandom(40 * MIB))  # as many chunks as go at once
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SIZE)
    peak, held = measured(PROGRAM, *(tmp_path / each for each in ("small", "large", "data")))
    assert peak < 16 * MIB
    assert held < SIZE // 100  # as psutil has it before and after the upload


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_upload_of_a_process_holds_less_than_a_percent_of_a_large_file(
    tmp_path: Path,
) -> None:
    size = 2048 * MIB  # what an engine takes that is opened, some 16 MiB, is within that percent
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    try:
        (held,) = measured(AS_WRITTEN, tmp_path / "large", tmp_path / "data")
    finally:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
    assert held < size // 100


def measured(program: str, *paths: Path) -> list[int]:
    """The numbers that a program prints, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    return list(map(int, ran.stdout.split()))
