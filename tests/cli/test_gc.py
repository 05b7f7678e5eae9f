"""`towpath gc`: what stopped transfers left goes, and nothing that is under way or not ours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_resume import SIZE, stopped
from tests.client.fake import FakeServer
from towpath.client.resume import Notebook

Start = Callable[..., "subprocess.Popen[str]"]
Snapshot = Callable[[str, str], None]
DAYS = 86400


@pytest.fixture
def notebook(run: Run, tmp_path: Path) -> Notebook:
    return Notebook(tmp_path / "xdg" / "towpath")


def age(notebook: Notebook, days: float) -> None:
    """Make every note that old."""
    for note in list(notebook.all()):
        notebook.write(replace(note, updated_at=time.time() - days * DAYS))


@pytest.fixture
def download(start: Start, server: FakeServer, big: Path, tmp_path: Path) -> Path:
    """The .part of a download that was stopped."""
    server.add("a/big", big.read_bytes())
    server.fail_download("hold", at=SIZE // 2)
    with start("get", "a/big", tmp_path / "copy") as process:
        server.wait_for(SIZE // 2)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    return tmp_path / "copy.part"


def test_an_old_download_goes_with_what_came_of_it(
    run: Run, notebook: Notebook, download: Path
) -> None:
    assert run("gc").err == "There is nothing to remove.\n"
    assert download.exists()
    age(notebook, 8)
    (plan,) = run("gc", "--dry-run", "--json").records("plan")
    assert (plan["what"], plan["bytes"] > download.stat().st_size) == ("note", True)
    assert download.exists()
    assert run("gc").code == 0
    assert (download.exists(), list(notebook.all())) == (False, [])
    assert run("gc").err == "There is nothing to remove.\n"


def test_an_old_upload_goes_and_its_file_stays(
    run: Run,
    start: Start,
    server: FakeServer,
    notebook: Notebook,
    big: Path,
    snapshot: Snapshot,
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big)
    age(notebook, 9.5)
    (note,) = notebook.all()
    text = run("gc").out.replace(str(big), "/here/big.bin").replace(note.id, "0123456789ab")
    snapshot("gc", re.sub(r"note +\S+ \w+", "note          500 B", text))
    assert big.exists()
    assert run("transfers", "--json").records("transfer") == []


def test_a_transfer_that_is_under_way_is_left_alone(
    run: Run, notebook: Notebook, download: Path
) -> None:
    age(notebook, 8)
    (note,) = notebook.all()
    with notebook.lock(note.id):
        assert run("gc").out == ""
    assert download.exists()


def test_how_old_is_for_the_user_to_say(run: Run, notebook: Notebook, download: Path) -> None:
    age(notebook, 0.1)
    assert run("gc", "--older", "3h").out == ""
    assert run("gc", "--older", "2h").out != ""


def test_parts_that_no_note_knows_go_only_from_folders_that_are_named(
    run: Run, notebook: Notebook, download: Path, tmp_path: Path
) -> None:
    stray = tmp_path / "deep" / "er" / "old.part"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x" * 100)
    young = stray.with_name("young.part")
    young.write_bytes(b"y")
    linked = stray.with_name("linked.part")
    linked.symlink_to(young)
    os.utime(stray, (1, 1))
    run("gc")
    assert stray.exists()
    (record,) = run("gc", tmp_path, "--json").records("removed")
    assert (record["what"], record["path"], record["bytes"]) == ("part", str(stray), 100)
    assert [path.exists() for path in (stray, young, linked, download)] == [False, True, True, True]


def test_what_a_crash_left_beside_notes_goes_too(run: Run, notebook: Notebook) -> None:
    notebook.folder.mkdir(parents=True)
    for name in ("0123.x.new", "0123.damaged", "4567.lock", "other.txt"):
        (notebook.folder / name).write_text("?")
        os.utime(notebook.folder / name, (1, 1))
    assert len(run("gc").out.splitlines()) == 3
    assert [path.name for path in notebook.folder.iterdir()] == ["other.txt"]
