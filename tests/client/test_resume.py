"""Going on after the end of a process, and what is remembered for it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import resume, sealed
from towpath.client.progress import Direction
from towpath.client.resume import Marker, Note, Notebook, Source, transfer_id

SIZE = 40_000_000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(sample(SIZE))
    return path


@pytest.fixture
def stopped(carry: Carry, server: FakeServer, large: Path) -> Path:
    """A file of which an earlier call sent 3,000,000 bytes and then gave up."""
    server.fail("PATCH", "cut", at=3_000_000)
    server.fail("HEAD", "status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("upload", large)
    assert server.received == 3_000_000
    return large


def note_of(state: Path) -> Note:
    (found,) = Notebook(state).all()
    return found


def test_the_same_call_goes_on_where_it_stopped(
    carry: Carry, server: FakeServer, stopped: Path, state: Path
) -> None:
    assert note_of(state).url.endswith("/files/u0")
    result = carry("upload", stopped)
    assert (result.resumed_from, result.sent_bytes) == (3_000_000, SIZE - 3_000_000)
    assert (server.received, server.count("POST"), result.verified) == (SIZE, 1, True)
    assert list(state.iterdir()) == []


def test_a_killed_process_is_followed_by_one_that_sends_only_the_rest(
    server: FakeServer, large: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "towpath", "put", str(large), "docs/", "--json"]
    environment = {
        **os.environ,
        "PYTHONPATH": "src",
        "TOWPATH_URL": server.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    server.fail("PATCH", "hold", at=9_000_000)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as first:
        server.wait_for(9_000_000)
        first.send_signal(signal.SIGKILL)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (result,) = [line for line in map(json.loads, ran.stdout.splitlines()) if "name" in line]
    assert bytes(server.named("docs/large.bin").data) == large.read_bytes()
    assert server.received == SIZE  # what had come was not sent again
    assert (result["verified"], result["resumed_from"] >= 9_000_000) == (True, True)
    assert server.count("POST") == 1


def test_a_changed_file_is_refused_before_a_byte_is_sent(
    carry: Carry, server: FakeServer, stopped: Path
) -> None:
    with stopped.open("ab") as file:
        file.write(b"more")
    before = len(server.requests)
    with pytest.raises(errors.SourceChanged, match="--restart"):
        carry("upload", stopped)
    assert len(server.requests) == before


def test_a_restart_gives_the_old_upload_up_and_begins_anew(
    carry: Carry, server: FakeServer, stopped: Path
) -> None:
    stopped.write_bytes(sample(100))
    result = carry("upload", stopped, restart=True)
    assert (result.resumed_from, result.length, result.verified) == (0, 100, True)
    assert len(server.uploads) == 1


def test_an_upload_cannot_change_what_it_began_with(
    carry: Carry, server: FakeServer, stopped: Path
) -> None:
    with pytest.raises(errors.StateConflict, match="on-conflict keep-both"):
        carry("upload", stopped, on_conflict="replace")
    with pytest.raises(errors.StateConflict, match="other settings"):
        carry("upload", stopped, metadata={"case": "1"})
    assert carry("upload", stopped, on_conflict="replace", restart=True).resumed_from == 0


def test_marks_spare_reading_the_file_again(
    monkeypatch: pytest.MonkeyPatch,
    carry: Carry,
    server: FakeServer,
    large: Path,
    state: Path,
) -> None:
    monkeypatch.setattr(resume, "SPAN", 4_000_000)
    monkeypatch.setattr(resume, "_SAVE_SECONDS", 0)
    server.fail("PATCH", "cut", at=30_000_000)
    server.fail("HEAD", "status", status=403)
    with pytest.raises(errors.Forbidden):
        carry("upload", large)
    assert len(note_of(state).marks) >= 6
    read = []

    def crc(blocks: Any, start: int, end: int, before: int, check: Any) -> int:
        read.append(end - start)
        return original(blocks, start, end, before, check)

    original = towpath.client.blocks.Blocks.crc
    monkeypatch.setattr("towpath.client.blocks.Blocks.crc", crc)
    assert carry("upload", large).verified
    assert sum(read) <= 4_000_000 + 1024 * 1024


def test_a_wrong_mark_is_found_by_the_server_digest(
    carry: Carry, server: FakeServer, stopped: Path, state: Path
) -> None:
    note = note_of(state)
    Notebook(state).write(replace(note, marks=((2_000_000, 12345),)))
    with pytest.raises(errors.DigestMismatch):
        carry("upload", stopped)


def test_two_at_the_same_transfer_are_one_too_many(
    carry: Carry, server: FakeServer, large: Path, state: Path
) -> None:
    name = transfer_id(Direction.UPLOAD, server.url, large.name, str(large))
    with (
        Notebook(state).lock(name),
        pytest.raises(errors.StateConflict, match="This process carries it"),
    ):
        carry("upload", large)
    assert server.requests == []


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    program = f"""
import os, pathlib
from towpath.client.resume import Notebook
Notebook(pathlib.Path({str(tmp_path)!r})).lock("a").__enter__()
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": "src"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    with Notebook(tmp_path).lock("a"):
        assert (tmp_path / "a.lock").exists()
    assert not (tmp_path / "a.lock").exists()


def sample_note(**rest: Any) -> Note:
    given = {
        "id": "abc",
        "direction": Direction.UPLOAD,
        "server": "http://x/",
        "name": "a/b",
        "path": "/b",
        "url": "http://x/files/1",
        "source": Source(1, 2, 3, 4),
        "length": 1,
        "marks": ((5, 6),),
        "metadata": {"k": "v"},
    }
    return Note(**{**given, **rest})


def test_a_note_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    notebook, note = Notebook(tmp_path / "deep" / "state"), sample_note()
    notebook.write(note)
    assert notebook.read("abc") == note
    assert [path.name for path in notebook.folder.iterdir()] == ["abc.json"]
    assert notebook.folder.stat().st_mode & 0o077 == 0


def test_a_torn_note_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notebook = Notebook(tmp_path)
    notebook.write(sample_note())
    path = tmp_path / "abc.json"
    path.write_text(path.read_text().replace("a/b", "a/c"))
    assert notebook.read("abc") is None
    assert (tmp_path / "abc.damaged").exists()
    assert "damaged" in caplog.text


def test_a_note_of_another_version_is_left_alone(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    notebook.write(sample_note())
    path = tmp_path / "abc.json"
    path.write_text(path.read_text().replace('"version": 4', '"version": 5'))
    with pytest.raises(errors.TransferError, match="another version"):
        notebook.read("abc")
    assert path.exists()


def test_a_note_of_another_version_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = Notebook(tmp_path)
    notebook.write(sample_note())
    path = tmp_path / "abc.json"
    path.write_text(path.read_text().replace('"version": 4', '"version": 5'))
    notebook.write(sample_note(id="abd"))
    assert [note.id for note in notebook.all()] == ["abd"]
    assert "another version" in caplog.text
    assert path.exists()


def test_marks_beyond_the_offset_are_forgotten_and_old_ones_dropped() -> None:
    note = sample_note(marks=tuple((n, n) for n in range(1, 200)))
    assert note.before(150) == (150, 150)
    assert note.before(0) == (0, 0)
    marked = note.marked(100, 7)
    assert (marked.marks[-1], len(marked.marks), marked.offset) == ((100, 7), 64, 100)


def test_marks_are_made_once_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SPAN", 10)
    marker = Marker(Notebook(tmp_path), sample_note(marks=(), offset=0))
    for offset in range(1, 40):
        marker.passed(offset, offset)
    assert [mark[0] for mark in marker.note.marks] == [10, 20, 30]


@pytest.mark.parametrize(
    ("version", "later"),
    [
        (1, ("dialect", "spans", "parts", "keys", "unheard")),
        (2, ("parts", "keys", "unheard")),
        (3, ("unheard",)),
    ],
)
def test_a_note_of_an_earlier_version_is_read(
    tmp_path: Path, version: int, later: tuple[str, ...]
) -> None:
    notebook = Notebook(tmp_path)
    note = sample_note()
    notebook.write(note)
    path = tmp_path / "abc.json"
    found = json.loads(path.read_text())
    body = {key: found["body"][key] for key in found["body"] if key not in later}
    old = {"version": version, "checksum": sealed._checksum(body), "note": body}
    path.write_text(json.dumps(old))
    assert notebook.read("abc") == note


def test_spans_come_back_as_they_were(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    note = sample_note(dialect="ranges", spans=((0, 10, 7), (20, 30, 2**64 - 1)))
    notebook.write(note)
    assert notebook.read("abc") == note


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    note = sample_note(dialect="joined", parts=((0, 10, "http://h/files/a"), (10, 30, "")))
    notebook.write(note)
    assert notebook.read("abc") == note


def test_what_a_process_carries_is_not_given_up_by_another(
    server: FakeServer, stopped: Path, state: Path
) -> None:
    note = note_of(state)
    with towpath.Client(server.url, state_dir=state) as client:
        with (
            Notebook(state).lock(note.id),
            pytest.raises(errors.StateConflict, match="under way already"),
        ):
            client.forget(note)
        assert (note_of(state), len(server.uploads)) == (note, 1)
        client.forget(note)
    assert (list(Notebook(state).all()), server.uploads) == ([], {})


@pytest.mark.parametrize("text", ['{"body": {}}', '{"body": {}, "checksum": 1}', "[]", '"x"'])
def test_what_is_no_note_at_all_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / "abc.json").write_text(text)
    assert Notebook(tmp_path).read("abc") is None
    assert (tmp_path / "abc.damaged").exists()
