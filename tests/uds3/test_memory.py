"""The memory of operations in process does not grow with the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_quarter_of_a_gibibyte_takes_less_than_sixteen_mebibytes_and_holds_less_than_a_percent(
    tmp_path: Path,
) -> None:
    (tmp_path / "small").write_bytes(os.urandom(40 * MIB))  # as many chunks as go at once
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SIZE)
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            *(str(tmp_path / each) for each in ("small", "large", "data")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    peak, held = map(int, ran.stdout.split())
    assert peak < 16 * MIB
    assert held < SIZE // 100  # as psutil has it before and after the upload
