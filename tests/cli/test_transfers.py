"""`towpath transfers`: one in detail, watched as it goes on, and how far coded uploads are."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Run
from tests.cli.queueing import Runner
from tests.cli.test_resume import stopped
from tests.client.coding import stop_after
from tests.client.fake import FakeServer
from tests.client.fake_facts import Upload
from tests.web.running import Served
from towpath.cli.standing import Standing
from towpath.cli.transfers import _Drawn
from towpath.client.resume import Notebook
from towpath.client.surroundings import state_folder

Start = Callable[..., "subprocess.Popen[str]"]
LATER = ("--detach", "--at", "2099-01-01T00:00")


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("notes.txt")
    path.write_text("dear all\n")
    return path


def test_one_transfer_is_shown_in_detail(
    start: Start, run: Run, server: FakeServer, big: Path
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big, "a/")
    (record,) = run("transfers", "--json").records("transfer")
    ran = run("transfers", record["id"][:5])
    rows = dict(line.split(None, 1) for line in ran.out.splitlines())
    assert (ran.code, rows["id:"], rows["name:"]) == (0, record["id"], "a/big.bin")
    assert (rows["file:"], rows["server:"]) == (str(big), server.url)
    assert rows["done:"].endswith("%)")
    assert run("transfers", record["id"], "--json").records() == [record]


def test_a_job_and_an_upload_elsewhere_are_shown_in_detail(
    run: Run, server: FakeServer, notes: Path, runner: Runner
) -> None:
    job = run("put", notes, "to/", *LATER, "--priority", "3").out.strip()
    ran = run("transfers", job)
    assert "state:    queued\n" in ran.out
    assert "priority: 3\nremark:   not before 2099-01-01 00:00\n" in ran.out
    server.uploads["elsewhere"] = Upload("elsewhere", 4096, {"name": "b"}, size=1024)
    ran = run("transfers", "else")
    assert "done:     1.0 KiB of 4.0 KiB (25 %)" in ran.out
    assert "name:     b\n" in ran.out


def test_an_id_that_is_not_there_or_not_clear_is_an_error(
    run: Run, live: Served, notes: Path, runner: Runner
) -> None:
    for name in ("a", "b"):
        run("put", notes, name, *LATER)
    assert run("transfers", "zzz").code == 4
    first, second = run("transfers", "--json").records("job")
    common = next(
        (first["id"][:at] for at in range(1, 12) if first["id"][:at] == second["id"][:at]), ""
    )
    if common:
        assert run("transfers", common).code == 8
    assert run("transfers", "zzz", "--url", "http://127.0.0.1:1").code == 10
    assert run("transfers", first["id"], "--url", "http://127.0.0.1:1").code == 0
    assert run("transfers", first["id"], "--forget", "x").code == 2


def test_ps_is_the_same(run: Run, live: Served) -> None:
    assert run("ps").err == "Nothing is unfinished.\n"
    assert run("ps", "-h").out == run("transfers", "-h").out


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("how", [["--compress"], ["--key-file", "key"]])
def test_how_far_a_coded_upload_is_can_be_seen(
    run: Run, live: Served, notes: Path, how: list[str], killed: bool
) -> None:
    run("keys", "new", "key")
    notes.write_bytes(bytes(range(250)) * 4000)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 4)
        assert run("put", notes, "--chunk-size", "64KiB", "--connections", "1", *how).code == 7
    if killed:  # who is killed, or works still, has not written how far it is
        notebook = Notebook(state_folder())
        (note,) = notebook.all()
        notebook.write(replace(note, offset=0, updated_at=note.created_at))
    (told,) = run("transfers", "--json").records("transfer")
    assert 4 * 65536 <= told["transferred_bytes"] <= (5 if killed else 4) * 65536
    assert " 0 % of" not in run("transfers").out


def test_watching_ends_when_nothing_is_left(
    run: Run, live: Served, notes: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.cli.transfers._EVERY", 0.05)
    ran = run("transfers", "--watch")
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing is unfinished.\n")
    job = run("put", notes, "--detach").out.strip()
    ran = run("transfers", "--watch", job[:6], "--json")
    assert (ran.code, ran.err) == (0, f"{job} is done with.\n")
    states = [record["state"] for record in ran.records("job")]
    assert states[-1] == "complete"
    assert len(states) == len(ran.records())
    assert run("ls").out == "notes.txt\n"


def test_watching_without_a_terminal_says_what_is_new(
    live: Served, notes: Path, runner: Runner, run: Run, start: Start
) -> None:
    job = run("put", notes, *LATER).out.strip()
    with start("transfers", "--watch") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{job}  queued")
        assert "not before" in process.stdout.readline()
        run("pause", job)
        assert process.stdout.readline().startswith(f"{job}  paused")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip(), err) == (130, "", "")


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_the_list_is_drawn_in_its_place(width: int) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, height=6, color_system=None)
    many = [
        Standing("job", f"{number:012}", "queued", 0, 4, f"{'x' * 200} -> y", {})
        for number in range(9)
    ]
    drawn = _Drawn(console)
    drawn.show(many, None)
    drawn.show(many[:1], None)
    drawn.close()
    lines = text.getvalue().splitlines()
    assert any("and 6 lines more" in line for line in lines)
    assert max(console.measure(line).maximum for line in lines) <= width
    assert "\x1b[1A" in text.getvalue()  # it goes up to where it was
