"""Names that are not UTF-8: refused in one line, and the other files go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")

BAD = os.fsdecode(b"bad\xff")
SAID = r"cannot be a name: it is not UTF-8"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "photos"
    (folder / f"{BAD}-folder").mkdir(parents=True)
    for name in ("a", BAD, "z", f"{BAD}-folder/inner"):
        (folder / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    return folder


def names(server: FakeServer) -> set[str | None]:
    return {upload.name for upload in server.uploads.values()}


def test_the_other_files_of_a_folder_go_and_so_they_do_the_next_time(
    run: Run, server: FakeServer, folder: Path
) -> None:
    ran = run("put", "photos")
    assert (ran.code, names(server)) == (3, {"photos/a", "photos/z"})
    assert ran.err.count(SAID) == 2  # the file, and the folder once
    assert "[malformed]" in ran.err
    assert "2 failed." in ran.err
    again = run("put", "photos")
    assert (again.code, "2 left out: the server has them" in again.err) == (3, True)
    assert run("put", "photos", "--detach").code == 3
    assert run("put", "photos", "--dry-run").code == 3


def test_a_dry_run_says_the_same(run: Run, folder: Path) -> None:
    ran = run("put", "photos", "--dry-run")
    assert (ran.code, ran.out.count(" -> "), ran.err.count(SAID)) == (3, 2, 2)


def test_a_folder_that_cannot_have_its_name_may_be_given_one(
    run: Run, server: FakeServer, folder: Path
) -> None:
    folder = folder.rename(folder.parent / BAD)
    ran = run("put", folder)
    assert (ran.code, SAID in ran.err, names(server)) == (2, True, set())
    assert (run("put", folder, "--to", "good").code, names(server)) == (3, {"good/a", "good/z"})


@pytest.mark.parametrize("more", [[], ["good"], ["--detach"], ["good", "--detach"]])
def test_a_file_is_refused_before_anything_is_sent_or_queued(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path, more: list[str]
) -> None:
    ran = run("put", f"photos/{BAD}", *more)
    assert (ran.code, SAID in ran.err, ran.out) == (2, True, "")
    assert "[malformed]" in ran.err
    assert names(server) == set()
    assert not list(tmp_path.rglob("jobs"))


def test_a_link_to_what_is_not_utf8_is_told_of(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "good").symlink_to(BAD)
    ran = run("put", tmp_path / "photos", "--links", "keep")
    assert (ran.code, SAID in ran.err, names(server)) == (2, True, set())


@pytest.mark.parametrize(
    "words",
    [
        ["ls", BAD],
        ["stat", BAD],
        ["rm", "good", BAD],
        ["mv", "good", BAD],
        ["cat", BAD],
        ["link", BAD],
        ["verify", BAD],
        ["get", BAD, "here"],
        ["sync", f":{BAD}", "photos"],
        ["sync", "photos", f":{BAD}"],
        ["put", "photos/a", "--to", BAD],
        ["put", "photos/a", "nothing" + BAD],
        ["put", "-", "--name", BAD],
    ],
)
def test_names_of_the_server_are_refused_in_every_command(
    run: Run, server: FakeServer, folder: Path, words: list[str]
) -> None:
    server.add("good", b"x")
    ran = run(*words)
    assert (ran.code, SAID in ran.err, "internal" in ran.err) == (2, True, False)
    assert names(server) == {"good"}
