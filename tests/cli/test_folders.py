"""Folders there and back: times, permissions, links, and what need not be sent again."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.queueing import Runner
from tests.client.fake import FakeServer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and permissions are others there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "photos"
    (folder / "may").mkdir(parents=True)
    (folder / "one").write_bytes(b"1")
    (folder / "may" / "two.tmp").write_bytes(b"22")
    (folder / "may" / "three").write_bytes(b"333")
    (folder / "may" / "three").chmod(0o640)
    os.utime(folder / "one", ns=(1, 1_700_000_000_123_456_789))
    (folder / "link").symlink_to("may/three")
    (folder / "may" / "away").symlink_to("/etc/passwd")
    monkeypatch.chdir(tmp_path)
    return folder


def names(server: FakeServer) -> set[str | None]:
    return {upload.name for upload in server.uploads.values()}


def test_a_folder_goes_there_and_back(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path
) -> None:
    ran = run("put", "photos", "deep/", "--links", "keep", "--preserve")
    assert ran.code == 0
    ran = run("get", "deep/photos/", "back/", "--links", "keep", "--preserve")
    assert ran.code == 0
    back = tmp_path / "back" / "photos"
    assert (back / "may" / "three").read_bytes() == b"333"
    assert stat.S_IMODE((back / "may" / "three").stat().st_mode) == 0o640
    assert (back / "one").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (back / "link").readlink() == Path("may/three")
    assert not os.path.lexists(back / "may" / "away")
    assert "1 left out: links that lead out of the folder." in ran.err


def test_without_asking_links_stay_and_times_are_new(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path
) -> None:
    ran = run("put", "photos")
    assert (ran.code, "2 left out: links" in ran.err) == (0, True)
    assert names(server) == {"photos/one", "photos/may/two.tmp", "photos/may/three"}
    assert "mode" not in server.named("photos/one").metadata
    assert run("get", "photos/", "--to", "back/").code == 0
    assert (tmp_path / "back" / "photos" / "one").stat().st_mtime > 1_700_001_000


def test_include_and_exclude_count_in_the_order_in_which_they_are_written(
    run: Run, server: FakeServer, folder: Path
) -> None:
    run("put", "photos", "a", "--include", "t*.tmp", "--exclude", "t*")
    run("put", "photos", "b", "--exclude", "t*", "--include", "t*.tmp")
    run("put", "photos", "c", "--exclude=may/")
    run("put", "photos", "d", "--include=*.tmp")
    assert names(server) == {"a/one", "a/may/two.tmp", "c/one", "d/may/two.tmp"}


def test_get_takes_what_the_rules_take(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path
) -> None:
    run("put", "photos")
    ran = run("get", "photos/", "--exclude", "*.tmp", "--to", "x/")
    assert sorted(ran.out.split()) == [
        str(tmp_path / "x" / "photos" / name) for name in ("may/three", "one")
    ]


@pytest.mark.parametrize("flag", ["--update", "--checksum"])
def test_a_dry_run_tells_what_the_rules_take_and_does_nothing(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path, flag: str
) -> None:
    ran = run("put", "photos", "--exclude", "*.tmp", "--dry-run")
    assert (ran.code, len(ran.out.splitlines()), names(server)) == (0, 2, set())
    run("put", "photos")
    (folder / "one").write_bytes(b"other")
    assert run("put", "photos", flag, "--dry-run").out.count(" -> ") == 1
    ran = run("get", "photos/", "--to", "x/", "--include", "t*", "--dry-run", flag)
    assert (ran.code, ran.out.count(" -> "), (tmp_path / "x").exists()) == (0, 2, False)


@pytest.mark.parametrize("flag", ["--update", "--checksum"])
def test_what_the_server_has_is_not_sent(
    run: Run, server: FakeServer, folder: Path, flag: str
) -> None:
    run("put", "photos")
    before = server.received
    ran = run("put", "photos", flag)
    assert (ran.code, server.received, "3 left out: the server has them" in ran.err) == (
        0,
        before,
        True,
    )
    (folder / "one").write_bytes(b"!")
    ran = run("put", "photos", flag)
    assert (ran.out.startswith("photos/one"), server.received) == (True, before + 1)
    assert server.uploads["u3"].metadata["on-conflict"] == "replace"


def test_a_link_that_the_server_has_is_not_sent(run: Run, server: FakeServer, folder: Path) -> None:
    run("put", "photos", "--links", "keep")
    (folder / "link").unlink()
    (folder / "link").symlink_to("one")
    ran = run("put", "photos", "--links", "keep", "--update")
    assert (ran.out.startswith("photos/link"), "4 left out: the server" in ran.err) == (True, True)


def test_a_checksum_sees_what_size_and_time_do_not(
    run: Run, server: FakeServer, folder: Path
) -> None:
    run("put", "photos")
    found = (folder / "one").stat()
    (folder / "one").write_bytes(b"!")
    os.utime(folder / "one", ns=(found.st_atime_ns, found.st_mtime_ns))
    (folder / "may" / "three").touch()
    assert run("put", "photos", "--update", "--on-conflict", "keep-both").out.split() == [
        "photos/may/three",
        "(1)",
    ]
    assert run("put", "photos", "--checksum").out.startswith("photos/one")


@pytest.mark.parametrize("flag", ["--update", "--checksum"])
def test_what_is_here_is_not_fetched(
    run: Run, server: FakeServer, folder: Path, tmp_path: Path, flag: str
) -> None:
    run("put", "photos")
    asked = ("get", "photos/", "--to", "x/", flag, "--preserve")
    assert run(*asked).code == 0
    ran = run(*asked)
    assert (ran.code, ran.out, "3 left out: they are here" in ran.err) == (0, "", True)
    (tmp_path / "x" / "photos" / "one").write_bytes(b"other")
    assert run(*asked).out == f"{tmp_path / 'x' / 'photos' / 'one'}\n"
    ran = run("get", "photos/one", "--to", "x/photos/", flag)
    assert (ran.out, "it is here" in ran.err) == ("", True)


def test_names_that_lead_out_of_the_folder_are_refused(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    for name in ("a/../../up", "a/./x", "a//x", "a/ok"):
        server.add(name, b"x")
    ran = run("get", "a/", "--to", f"{tmp_path}/x/")
    assert (ran.code, ran.out) == (3, f"{tmp_path / 'x' / 'a' / 'ok'}\n")
    assert ran.err.count("gives no name for a file") == 3
    assert sorted(path.name for path in (tmp_path / "x").rglob("*")) == ["a", "ok"]


def test_nothing_is_written_through_a_link(run: Run, server: FakeServer, tmp_path: Path) -> None:
    server.add("a/sub", b"").metadata["symlink"] = "other"
    server.add("a/sub/file", b"x")
    server.add("a/other/file", b"y")
    ran = run("get", "a/", "--to", f"{tmp_path}/x/", "--links", "keep")
    assert (ran.code, "is a link" in ran.err) == (3, True)
    assert (tmp_path / "x" / "a" / "other" / "file").read_bytes() == b"y"


def test_a_folder_without_names_is_not_found(run: Run, server: FakeServer, tmp_path: Path) -> None:
    ran = run("get", "nothing/", "--to", f"{tmp_path}/")
    assert (ran.code, "nothing below nothing/" in ran.err) == (4, True)


def test_a_folder_goes_into_a_folder(run: Run, server: FakeServer) -> None:
    server.add("a/b", b"x")
    ran = run("get", "a/", "new")
    assert (ran.code, "into a folder: new/" in ran.err) == (2, True)


def test_empty_folders_are_told_of(run: Run, server: FakeServer, folder: Path) -> None:
    (folder / "none").mkdir()
    ran = run("put", "photos/none")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "1 empty folder left out: the server keeps files only.\n"
    (folder / "no" / "thing").mkdir(parents=True)
    ran = run("put", "photos")
    assert "2 empty folders left out: the server keeps files only." in ran.err
    assert len(names(server)) == 3


@pytest.mark.parametrize("way", [[], ["--detach", "--at", "2099-01-01T00:00"], ["--dry-run"]])
def test_why_a_folder_cannot_be_read_is_said_alike(
    run: Run, runner: Runner, folder: Path, way: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("may"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    ran = run("put", "photos", *way)
    said = [line for line in ran.err.splitlines() if line.startswith("towpath: ")]
    why = "towpath: photos/may cannot be read. Permission denied. [transfer]"
    assert (ran.code, said, len(ran.out.splitlines())) == (3, [why], 1)


def test_a_dry_run_promises_no_file_that_cannot_be_read(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = open

    def closed(path: object, *args: Any, **rest: Any) -> object:
        if str(path).endswith("one"):
            raise PermissionError(13, "Permission denied")
        return given(path, *args, **rest)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", closed)
    ran = run("put", "photos", "--dry-run")
    assert (ran.code, ran.out.count(" -> "), "photos/one" in ran.out) == (3, 2, False)
    assert "one cannot be read. Permission denied." in ran.err


@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--detach"]])
def test_names_that_are_the_same_on_the_server_are_told_of(
    run: Run, server: FakeServer, runner: Runner, tmp_path: Path, flags: list[str]
) -> None:
    folder = tmp_path / "texts"
    for name in ("e\u0301", "\u00e9", "o\u0308/1", "\u00f6/2", "a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    if len(list(folder.iterdir())) < 5:
        pytest.skip("LOUD: names of one normalisation were not compared: the disk keeps one")
    ran = run("put", folder, *flags)
    assert (ran.code, len(ran.out.splitlines())) == (3, 3)
    assert ran.err.count("would have the same name on the server as") == 2
    told = run("put", folder, "--exclude", "e\u0301", "--exclude", "o\u0308/", "--dry-run")
    assert told.code == 0


def test_a_link_that_is_left_out_takes_no_name_from_a_file(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "e\u0301").symlink_to("a")
    (tmp_path / "texts" / "\u00e9").write_text("x")
    assert run("put", tmp_path / "texts").code == 0
    assert len(server.uploads) == 1
