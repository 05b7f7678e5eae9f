"""rclone, which reads over plain HTTP. It has no way to write so: that takes WebDAV."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.conftest import digest
from tests.interop.cutting import cutting
from tests.web.running import Served
from tests.web.talk import Tus

RCLONE = Path(sys.executable).with_name("rclone")
PATIENCE = 25.0


@pytest.mark.parametrize("threads", [1, 4])
def test_a_download_that_is_cut_goes_on_by_itself(
    server: Served, large: Path, tmp_path: Path, threads: int
) -> None:
    content = large.read_bytes()
    key = Tus(server).put(content).rpartition("/")[2]
    with cutting(server.address, down=len(content) // 2) as cutter:
        words = ["copyto", f":http:{key}", str(tmp_path / "got")]
        how = ["--http-url", f"{cutter.url}/files/", "--retries", "1"]
        many = ["--multi-thread-streams", str(threads), "--multi-thread-cutoff", "1M"]
        done = subprocess.run(
            [RCLONE, "--config", "/dev/null", *words, *how, *many],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert cutter.cuts == 1
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256((tmp_path / "got").read_bytes()).digest() == digest(large)
