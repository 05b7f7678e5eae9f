"""`towpath bench`: measures, and leaves nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from tests.web.running import Served
from towpath.client import BlockingTransfer, Client, UploadResult

Snapshot = Callable[[str, str], None]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_speeds_are_shown_and_nothing_stays(
    live: Served, run: Run, temporary: Path, snapshot: Snapshot
) -> None:
    ran = run("bench", "--size", "64KiB", "--size", "2MiB", "--times", 2)
    assert (ran.code, ran.err) == (0, "")
    shown = re.sub(r" +[\d.]+ (MiB/s|ms)", lambda found: f"{'9.9 ' + found[1]:>14}", ran.out)
    snapshot("bench", shown)
    assert run("ls").out == ""
    assert list(temporary.iterdir()) == []
    assert [path for path in (live.data / "objects").rglob("*") if path.is_file()] == []


def test_programs_get_whole_numbers(live: Served, run: Run, temporary: Path) -> None:
    ran = run("bench", "--size", "64KiB", "--times", 1, "--json")
    found = {record["direction"]: record for record in ran.records("bench")}
    assert found.keys() == {"upload", "download"}
    for record in found.values():
        assert record["length"] == 65536
        assert record["bytes_per_second"] == pytest.approx(65536 / record["seconds"])
    (trip,) = ran.records("round_trip")
    assert trip["seconds"] > 0


def test_one_that_is_stopped_leaves_nothing_either(
    start: Start, server: FakeServer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail("PATCH", "hold", at=1_000_000)
    with start("bench", "--size", "20MiB", "--url", server.url) as process:
        server.wait_for(1_000_000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, "what was made is removed" in err) == (130, True), err
    assert (server.uploads, list(temporary.iterdir())) == ({}, [])


def test_one_that_is_stopped_as_its_upload_begins_leaves_nothing_either(
    run: Run, server: FakeServer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail("PATCH", "hold", at=1_000_000)
    upload = Client.upload

    def stopped(*args: Any, **said: Any) -> BlockingTransfer[UploadResult]:
        transfer = upload(*args, **said)
        server.wait_for(1_000_000)
        signal.raise_signal(signal.SIGINT)
        return transfer

    monkeypatch.setattr(Client, "upload", stopped)
    ran = run("bench", "--size", "20MiB")
    assert (ran.code, "what was made is removed" in ran.err) == (130, True), ran.err
    assert (server.uploads, list(temporary.iterdir())) == ({}, [])


def test_a_server_that_cannot_be_reached_has_its_own_code(run: Run) -> None:
    assert run("bench", "--url", "http://127.0.0.1:1").code == 10
