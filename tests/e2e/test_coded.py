"""The command line with keys, against a real server, through a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from towpath.client.coded_sending import WORKERS
from towpath.testing.server import Server

SIZE = 64 * 1024 * 1024
CHUNK = 1024 * 1024

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def environment(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TOWPATH_URL": server.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": "src",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "towpath", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    return run


def test_a_killed_encrypted_upload_goes_on_where_it_was(
    run: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    large, key = tmp_path / "large.bin", tmp_path / "key"
    large.write_bytes(Random(3).randbytes(SIZE))
    run("keys", "new", key)
    words = ["put", large, "x", "--compress", "--key-file", key, "--chunk-size", "1MiB"]
    command = [sys.executable, "-m", "towpath", *map(str, words), "--progress", "json"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        lines = (json.loads(line) for line in first.stderr if line.startswith("{"))
        sure = 8 + WORKERS + 1  # chunks: as many as that may be on their way
        next(line for line in lines if line.get("transferred_bytes", 0) > sure * CHUNK)
        first.send_signal(signal.SIGKILL)
    again = run(*words, "--json")
    (result,) = [json.loads(line) for line in again.stdout.splitlines() if '"result"' in line]
    assert result["verified"]
    assert result["resumed_from"] >= 8 * CHUNK
    assert result["resumed_from"] % CHUNK == 0
    assert result["sent_bytes"] < SIZE - result["resumed_from"] + CHUNK
    run("get", "x", tmp_path / "copy", "--key-file", key)
    assert (tmp_path / "copy").read_bytes() == large.read_bytes()


def test_coded_files_are_shown_and_verified_as_the_files_that_they_hold(
    run: Run, tmp_path: Path
) -> None:
    text, key = tmp_path / "text", tmp_path / "key"
    text.write_text("the same words again and again, " * 1000)
    run("keys", "new", key)
    run("put", text, "packed", "--compress")
    run("put", text, "sealed", "--key-file", key)
    for name, opened in (("packed", []), ("sealed", ["--key-file", key])):
        assert run("cat", name, *opened).stdout == text.read_text()
        run("verify", name, text, *opened)
        run("verify", name, "--read", *opened)
    run("verify", "sealed", "--read")  # what is stored, without a key
    assert "is encrypted" in run("cat", "sealed", code=7).stderr
    text.write_text("other words")
    run("verify", "packed", text, code=6)
