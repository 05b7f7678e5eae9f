"""Which words of `towpath put` are taken for files, and which for the destination."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from towpath.cli.destination import split_destination


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with two files and a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(b"of a")
    (tmp_path / "b").write_bytes(b"of b")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"another a")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("a",), (["a"], None)),
        (("a", "b"), (["a", "b"], None)),
        (("a", "new"), (["a"], "new")),
        (("a", "b", "new/"), (["a", "b"], "new/")),
        (("a", "folder/"), (["a"], "folder/")),
        (("a", "folder"), (["a", "folder"], None)),
        (("folder/",), (["folder/"], None)),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_last_argument_is_the_destination_if_it_can_be_no_source(
    given: tuple[str, ...], expected: tuple[list[str], str | None]
) -> None:
    assert split_destination(given, None) == expected


@pytest.mark.usefixtures("here")
def test_several_files_do_not_go_into_one_name(run: Run) -> None:
    ran = run("put", "a", "b", "typo")
    assert (ran.code, "There is no typo here" in ran.err) == (2, True)


def names(server: FakeServer) -> Counter[str | None]:
    return Counter(upload.name for upload in server.uploads.values())


@pytest.mark.parametrize("again", ["a", "./a", "folder/../a"])
@pytest.mark.usefixtures("here")
def test_a_file_that_is_named_twice_is_sent_once_and_that_is_said(
    run: Run, server: FakeServer, again: str
) -> None:
    ran = run("put", "a", again)
    assert (ran.code, ran.out) == (0, "a\n")
    assert f"{again} is named twice: it is sent once." in ran.err
    assert f"for a destination of that name write --to {again}" in ran.err
    assert names(server) == {"a": 1}


@pytest.mark.usefixtures("here")
def test_a_folder_that_is_named_twice_is_sent_once(run: Run, server: FakeServer) -> None:
    ran = run("put", "folder", "b", "folder/../folder", "deep/")
    assert (ran.code, "named twice" in ran.err, "--to" in ran.err) == (0, True, False)
    assert names(server) == {"deep/folder/a": 1, "deep/b": 1}


def test_a_second_word_that_is_here_is_sent_and_that_is_said(
    run: Run, server: FakeServer, here: Path
) -> None:
    (here / "my file").write_bytes(b"x")
    ran = run("put", "a", "my file")
    assert (ran.code, names(server)) == (0, {"a": 1, "my file": 1})
    assert "my file is taken for something to upload, because it is here" in ran.err
    assert "--to 'my file'" in ran.err


@pytest.mark.parametrize("words", [("a", "new"), ("a", "b", "new/"), ("a", "b", "folder")])
@pytest.mark.usefixtures("here")
def test_nothing_is_said_where_nothing_is_in_doubt(run: Run, words: tuple[str, ...]) -> None:
    ran = run("put", *words)
    assert (ran.code, "taken for" in ran.err, "twice" in ran.err) == (0, False, False)


@pytest.mark.usefixtures("here")
def test_a_destination_that_is_here_too_can_be_named(run: Run, server: FakeServer) -> None:
    ran = run("put", "folder/a", "--to", "b")
    assert (ran.code, ran.out, "taken for" in ran.err) == (0, "b\n", False)
    assert bytes(server.named("b").data) == b"another a"


@pytest.mark.parametrize(
    "words",
    [
        ["put", "a", ""],
        ["put", "a", "--to", ""],
        ["put", ""],
        ["put", "-", ""],
        ["get", "a", ""],
        ["get", "a", "--to", ""],
        ["get", ""],
    ],
)
def test_an_empty_word_is_refused(run: Run, server: FakeServer, words: list[str]) -> None:
    ran = run(*words)
    assert (ran.code, "An empty word names nothing" in ran.err) == (2, True)
    assert not server.uploads


def test_the_root_is_a_folder_with_one_slash(run: Run, server: FakeServer) -> None:
    there = next(path.name for path in Path("/").iterdir() if path.is_file() or path.is_dir())
    server.add(there, b"x")
    ran = run("get", there, "/", "--dry-run")  # which leaves the root alone, whatever it finds
    assert (ran.code, f" /{there} " in ran.err) == (8, True)
