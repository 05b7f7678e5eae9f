"""`towpath put` once more: what the server has is not sent, and gets no second name."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from tests.web.running import Served
from towpath.client import Client
from towpath.client.progress import Direction
from towpath.client.resume import Note, Notebook, Source, transfer_id
from towpath.client.surroundings import state_folder

Start = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links are others there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "photos"
    (folder / "may").mkdir(parents=True)
    for name in ("b", "a.x", "a", "may/two", "may-3", "mayb"):
        (folder / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def names(live: Served, tmp_path: Path) -> Callable[[], list[str]]:
    def look() -> list[str]:
        with Client(live.url, state_dir=tmp_path / "looking") as client:
            return [record.path for record in client.names()]

    return look


FILES = ["photos/a", "photos/a.x", "photos/b", "photos/may-3", "photos/may/two", "photos/mayb"]


def test_a_folder_once_more_sends_nothing_and_makes_no_second_names(
    run: Run, names: Callable[[], list[str]], folder: Path
) -> None:
    assert sorted(run("put", "photos").out.split()) == FILES
    again = run("put", "photos")
    assert (again.code, again.out, names()) == (0, "", FILES)
    assert again.err == "6 left out: the server has them.\n"


def test_only_what_is_new_or_has_changed_is_sent(
    run: Run, names: Callable[[], list[str]], folder: Path
) -> None:
    run("put", "photos")
    (folder / "a.x").write_text("changed")
    (folder / "may" / "new").write_text("new")
    ran = run("put", "photos")
    assert sorted(ran.out.splitlines()) == ["photos/a (2).x", "photos/may/new"]
    assert run("put", "photos").out == ""  # what stands beside is known, too
    (folder / "a.x").write_text("and again")
    assert run("put", "photos").out.splitlines() == ["photos/a (3).x"]
    assert "photos/a (4).x" not in names()


def test_what_has_changed_replaces_if_that_is_said(
    run: Run, names: Callable[[], list[str]], folder: Path
) -> None:
    run("put", "photos")
    (folder / "b").write_text("changed")
    ran = run("put", "photos", "--on-conflict", "replace")
    assert (ran.out, names()) == ("photos/b\n", FILES)
    (folder / "b").write_text("once more")
    ran = run("put", "photos", "--on-conflict", "fail")
    assert (ran.code, ran.out, "5 left out" in ran.err) == (3, "", True)


@pytest.mark.parametrize("way", [["--compress"], ["--key-file", "k"]])
def test_a_coded_folder_once_more_sends_nothing(
    run: Run, names: Callable[[], list[str]], folder: Path, way: list[str]
) -> None:
    if way[0] == "--key-file":
        run("keys", "new", "k")
    run("put", "photos", *way)
    before = names()
    again = run("put", "photos", *way)
    assert (again.out, names()) == ("", before)
    assert "6 left out" in again.err


def test_a_folder_that_is_not_yet_secret_is_sent_encrypted(
    run: Run, names: Callable[[], list[str]], folder: Path
) -> None:
    run("keys", "new", "k")
    run("put", "photos")
    assert len(run("put", "photos", "--key-file", "k").out.splitlines()) == 6


def test_several_files_by_their_names_are_looked_for_too(
    run: Run, server: FakeServer, folder: Path
) -> None:
    run("put", "photos/a", "photos/b", "to/")
    ran = run("put", "photos/a", "photos/b", "photos/mayb", "to/")
    assert (ran.out, "2 left out" in ran.err) == ("to/mayb\n", True)
    before = len(server.requests)
    ran = run("put", "photos/a", "to/")
    assert (ran.code, ran.out, "1 left out" in ran.err) == (0, "to/a\n", True)
    assert all(request[0] == "GET" for request in server.requests[before:])
    (same,) = run("put", "photos/a", "to/", "--json").records("same")
    assert (same["name"], same["path"].endswith("photos/a")) == ("to/a", True)


@pytest.mark.parametrize(
    "more", [("--on-conflict", "keep-both"), ("--restart",), ("--meta", "of=summer")]
)
def test_one_file_goes_again_where_more_is_wanted_than_that_the_server_has_it(
    run: Run, folder: Path, more: tuple[str, ...]
) -> None:
    run("put", "photos/a", "to/")
    assert run("put", "photos/a", "to/", *more).out == "to/a (1)\n"


def test_who_may_not_see_names_sends_all(
    run: Run, server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: socket.socket, *_: object) -> bool:
        return server._problem(sock, 403, "forbidden", "You may not list")

    monkeypatch.setattr(server, "_api", refuse)
    assert run("put", "photos").code == 0
    assert run("put", "photos/a", "photos/b", "x/").code == 0
    assert run("put", "photos", "--update").code == 7


def test_a_break_while_names_are_listed_is_waited_out(
    run: Run, server: FakeServer, folder: Path
) -> None:
    run("put", "photos")
    for _ in range(2):
        server.fail("GET", "status", status=503)
    again = run("put", "photos")
    assert (again.code, again.out, "6 left out" in again.err) == (0, "", True)


def test_a_detached_folder_asks_the_server_for_its_names_alone(
    run: Run, server: FakeServer, folder: Path, runner: object
) -> None:
    before = len(server.requests)
    assert len(run("put", "photos", "--detach", "--at", "2099-01-01T00:00").out.split()) == 6
    asked = [target for _, target, _ in server.requests[before:]]
    assert asked == ["/api/v1/names?prefix=photos%2F&limit=300"]


class Together(FakeServer):
    """Answers a creation once so many have come."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.extensions = "creation,creation-with-upload,checksum"
        self.most = self._now = 0
        self._gate = threading.Barrier(number)

    def _begin(self, fields: dict[str, str]) -> object:  # type: ignore[override]
        self._gate.wait(10)
        return super()._begin(fields)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch, environment: object) -> Iterator[Together]:
    server = Together(8)
    monkeypatch.setenv("TOWPATH_URL", server.url)
    try:
        yield server
    finally:
        server.close()


def test_four_small_files_go_in_the_place_of_one(
    run: Run, together: Together, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(16):
        path = tmp_path / "many" / f"{number:02}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    assert run("put", "many", "--transfers", "2").code == 0
    assert len(together.uploads) == 16


@pytest.mark.timeout(120)  # hundreds of files, twice
def test_a_folder_that_was_killed_goes_on_with_the_same_command(
    start: Start, live: Served, names: Callable[[], list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        (folder / f"file {number:04}.txt").write_text(f"{number}\n" * 50)
    (folder / "large").write_bytes(os.urandom(3_000_000))
    first = start("put", folder, "--to", "there")
    assert first.stdout is not None
    for _ in range(100):
        first.stdout.readline()
    first.kill()
    first.communicate()
    some = set(names())
    assert 100 <= len(some) < 401
    second = start("put", folder, "--to", "there")
    out, err = second.communicate(timeout=100)
    assert (second.returncode, names()) == (0, sorted(f"there/{p.name}" for p in folder.iterdir()))
    sent = set(out.splitlines())
    assert len(sent & some) <= 16  # those whose answer was under way
    assert f"{401 - len(sent)} left out: the server has them." in err
    assert not list((tmp_path / "xdg" / "towpath").rglob("*.json"))


def test_an_upload_that_has_begun_goes_on_though_its_answer_was_lost(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(200_000))
    (sent,) = run("put", tmp_path / "large", "to/", "--json").records("result")
    name = sent["name"]
    note = Note(
        id=transfer_id(Direction.UPLOAD, server.url, name, str(tmp_path / "large")),
        direction=Direction.UPLOAD,
        server=server.url,
        name=name,
        path=str(tmp_path / "large"),
        url=sent["url"],
        source=Source.of((tmp_path / "large").stat()),
        length=200_000,
    )
    Notebook(state_folder()).write(note)
    assert run("put", tmp_path / "large", "to/").out == f"{name}\n"
    assert list(Notebook(state_folder()).all()) == []
