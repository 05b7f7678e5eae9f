"""A killed process loses nothing: another one goes on, and sends no acknowledged byte again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.conftest import MIB, Make, same, write
from towpath.codec.keys import KeyFile
from towpath.uds3 import StreamingManager, files
from towpath.uds3.source import FileSource

SIZE = 24 * MIB + 77

PROGRAM = """
import json, sys, time
from towpath.codec.keys import KeyFile
from towpath.uds3 import StreamingManager

def say(what):
    sys.stdout.write(json.dumps(what) + "\\n")  # in one piece: two threads say something
    sys.stdout.flush()

def told(progress, operation):
    done = [operation.operation_id, progress.transferred_bytes]
    say(done)
    if STOPS_AT and progress.transferred_bytes >= STOPS_AT:  # nothing moves on before the kill
        time.sleep(60)

options, verb, one, other, STOPS_AT = json.loads(sys.argv[1])
manager = StreamingManager(**{"chunk_size_mb": 1, "checkpoint_interval": 2, **options})
say([getattr(manager, verb)(one, other, progress_callback=told), 0])
time.sleep(60)
"""


def kill_midway(
    options: dict[str, Any], verb: str, one: str, other: str, stops_at: int
) -> tuple[str, int]:
    """Run an operation in a process, and kill it once bytes moved: its id, and what it was told."""
    said = json.dumps([options, verb, one, other, stops_at], default=str)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, said], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            key, count = json.loads(line)
            if count >= (stops_at or 2 * MIB):
                process.send_signal(signal.SIGKILL)
                return key, count
    pytest.fail("it was over too soon")


@pytest.mark.parametrize("chunks", [2, 20])
def test_a_killed_upload_in_process_goes_on_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    options: dict[str, Any] = {"data": tmp_path / "data"}
    key, acknowledged = kill_midway(options, "upload_file", str(large), "documents/", chunks * MIB)
    read, honest = 0, FileSource.read_into

    def counting(self: FileSource, view: memoryview) -> int:
        nonlocal read
        count = honest(self, view)
        read += count
        return count

    monkeypatch.setattr(FileSource, "read_into", counting)
    with StreamingManager(chunk_size_mb=1, **options) as manager:
        (operation,) = manager.list_active_operations()
        assert (operation.operation_id, operation.status.value) == (key, "paused")
        result = manager.resume_upload(key)
        assert result
        assert result["resumed_from_chunk"] >= chunks
        assert acknowledged <= result["resumed_from_bytes"] == SIZE - read
        assert manager.verify_upload(key)
        assert manager.download_large_file("documents/large.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")


def test_a_killed_upload_to_a_server_goes_on_in_another_process(url: str, tmp_path: Path) -> None:
    large = write(tmp_path / "killed.bin", SIZE)
    options: dict[str, Any] = {"url": url, "state_dir": tmp_path / "state"}
    key, acknowledged = kill_midway(options, "upload_file", str(large), "killed.bin", 0)
    with StreamingManager(chunk_size_mb=1, **options) as manager:
        (operation,) = manager.list_active_operations()
        assert operation.operation_id == key
        result = manager.resume_upload(key)
        assert result
        assert result["resumed_from_bytes"] >= acknowledged - MIB  # of the last, the answer was due
        assert manager.verify_upload(key)
        assert manager.download_large_file("killed.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")


CODED: dict[str, Any] = {
    "compress_chunks": True,
    "encrypt_chunks": True,
    "encryption_key": KeyFile(bytes(range(32))).text(),
}


@pytest.mark.parametrize("where", ["in process", "server"])
def test_a_killed_coded_upload_goes_on_in_another_process(
    request: pytest.FixtureRequest, tmp_path: Path, where: str
) -> None:
    large = write(tmp_path / "coded.bin", SIZE // 2)
    options: dict[str, Any] = {"data": tmp_path / "data", **CODED}
    if where == "server":
        state = tmp_path / "state"
        options = {"url": request.getfixturevalue("url"), "state_dir": state, **CODED}
    stops_at = 0 if where == "server" else 6 * MIB
    key, told = kill_midway(options, "upload_file", str(large), "coded.bin", stops_at)
    with StreamingManager(chunk_size_mb=1, **options) as manager:
        result = manager.resume_upload(key)
        on_its_way = 0 if where == "in process" else 3 * MIB
        assert result["resumed_from_bytes"] >= told - on_its_way
        assert manager.download_large_file("coded.bin", tmp_path / "copy")
    assert same(large, tmp_path / "copy")
    left = [*tmp_path.glob("data/uploads/*/*"), *tmp_path.glob("**/*.chunks")]
    assert left == []


@pytest.mark.parametrize(("source", "chunks"), [("large.bin", 1), ("large.bin", 7), ("file", 7)])
def test_a_killed_download_goes_on_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, chunks: int
) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    options: dict[str, Any] = {"data": tmp_path / "data"}
    if source == "file":
        source = large.as_uri()
    else:
        with StreamingManager(**options) as manager:
            assert manager.upload_large_file(large, "large.bin")
    target = str(tmp_path / "copy")
    key, acknowledged = kill_midway(options, "download_file", source, target, chunks * MIB)
    assert acknowledged == chunks * MIB
    written, honest = 0, files.write_at

    def counting(handle: int, block: memoryview, at: int) -> None:
        nonlocal written
        written += len(block)
        honest(handle, block, at)

    monkeypatch.setattr(files, "write_at", counting)
    with StreamingManager(**options) as manager:
        # A checkpoint is not written for each chunk; what came since it is there all the same.
        assert manager.get_operation(key).chunks_completed <= chunks
        result = manager.resume_download(key)
        assert result
    assert acknowledged <= result["resumed_from_bytes"] == SIZE - written
    assert result["resumed_from_chunk"] == chunks
    assert same(large, tmp_path / "copy")


def test_what_a_power_cut_took_of_a_download_comes_again(local: Make, tmp_path: Path) -> None:
    large = write(tmp_path / "large.bin", SIZE)
    key, _ = kill_midway(
        {"data": tmp_path / "data", "checkpoint_interval": 1000},
        *("download_file", large.as_uri(), str(tmp_path / "copy")),
        7 * MIB,
    )
    (part,) = tmp_path.glob("copy.*.part")
    with part.open("r+b") as file:
        file.seek(5 * MIB + 10)
        file.write(bytes(1000))  # a system may leave zeros where nothing was settled
    result = local(chunk_size_mb=1).resume_download(key)
    assert result["resumed_from_bytes"] == 5 * MIB
    assert same(large, tmp_path / "copy")


def test_a_download_that_had_every_byte_only_takes_its_name(local: Make, tmp_path: Path) -> None:
    large = write(tmp_path / "large.bin", 3 * MIB)
    key, _ = kill_midway(
        {"data": tmp_path / "data"},
        *("download_file", large.as_uri(), str(tmp_path / "copy")),
        3 * MIB,
    )
    result = local(chunk_size_mb=1).resume_download(key)
    assert result["resumed_from_bytes"] == result["total_bytes"] == 3 * MIB
    assert same(large, tmp_path / "copy")


def test_a_script_that_ends_waits_for_its_uploads(place: dict[str, Any], tmp_path: Path) -> None:
    small = write(tmp_path / "small.bin", 8 * MIB)
    program = (
        "import json, sys; from towpath.uds3 import StreamingManager; "
        "place = json.loads(sys.argv[1]); "
        "StreamingManager(chunk_size_mb=1, **place).upload_file(sys.argv[2], 'ended.bin')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, json.dumps(place, default=str), str(small)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    with StreamingManager(**place) as manager:
        assert manager.download_large_file("ended.bin", tmp_path / "copy")
    assert same(small, tmp_path / "copy")


def test_the_environment_names_the_place(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = write(tmp_path / "env.bin", 1000)
    monkeypatch.setenv("TOWPATH_DATA", str(tmp_path / "named"))
    with StreamingManager() as manager:
        assert manager.upload_large_file(paper, "env.bin")
    assert (tmp_path / "named" / "ledger.db").exists()
    monkeypatch.setenv("TOWPATH_URL", server.url)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with StreamingManager() as manager:
        assert manager.upload_large_file(paper, "env.bin")
    with StreamingManager(url=server.url, state_dir=tmp_path / "other") as manager:
        assert manager.download_large_file("env.bin", tmp_path / "copy")
    assert same(paper, tmp_path / "copy")
