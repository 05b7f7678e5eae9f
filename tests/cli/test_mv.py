"""`towpath mv` and `towpath link`, against a real server."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from tests.web.talk import Tus, metadata

Snapshot = Callable[[str, str], None]


@pytest.fixture
def names(live: Served) -> list[str]:
    """Objects that are there; each holds its name."""
    found = ["docs/a.txt", "docs/b.txt", "photos/ü c.jpg"]
    for name in found:
        Tus(live).put(name.encode(), upload_metadata=metadata(name=name))
    return found


def test_mv_gives_a_name_another_one(run: Run, names: list[str]) -> None:
    ran = run("mv", "docs/a.txt", "papers/first.txt")
    assert (ran.code, ran.out, ran.err) == (0, "papers/first.txt\n", "")
    assert run("ls").out == "docs/b.txt\npapers/first.txt\nphotos/ü c.jpg\n"


def test_mv_puts_several_names_into_a_folder(run: Run, names: list[str]) -> None:
    ran = run("mv", *names, "all/")
    assert (ran.code, ran.out) == (0, "all/a.txt\nall/b.txt\nall/ü c.jpg\n")
    assert run("ls").out == ran.out


def test_mv_leaves_a_taken_name_alone_unless_it_was_said(run: Run, names: list[str]) -> None:
    ran = run("mv", "docs/a.txt", "docs/b.txt")
    assert (ran.code, ran.out, "[name-conflict]" in ran.err) == (8, "", True)
    assert run("ls").out.splitlines() == names
    ran = run("mv", "docs/a.txt", "docs/b.txt", "--on-conflict", "keep-both")
    assert ran.out == "docs/b (2).txt\n"
    assert run("mv", "docs/b (2).txt", "docs/b.txt", "--on-conflict", "replace").code == 0
    assert run("cat", "docs/b.txt").out == "docs/a.txt"


def test_mv_tells_which_of_several_failed(run: Run, names: list[str]) -> None:
    ran = run("mv", "docs/a.txt", "nothing", "to/", "--json")
    assert ran.code == 3
    (moved,) = ran.records("moved")
    assert (moved["name"], moved["to"]) == ("docs/a.txt", "to/a.txt")
    (error,) = ran.records("error")
    assert (error["about"], error["exit_code"]) == ("nothing", 4)
    assert run("mv", "nothing", "to/").code == 4


def test_mv_that_only_says_what_it_would_do_does_nothing(run: Run, names: list[str]) -> None:
    ran = run("mv", "docs/a.txt", "nothing", "to/", "--dry-run")
    assert (ran.code, ran.out) == (3, "docs/a.txt -> to/a.txt\n")
    assert run("ls").out.splitlines() == names


@pytest.mark.parametrize("args", [["a"], ["a", "b", "c"]])
def test_mv_without_a_place_to_go_to_is_a_wrong_call(run: Run, args: list[str]) -> None:
    ran = run("mv", *args)
    assert (ran.code, ran.out) == (2, "")


def read(url: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read(), answer.headers["content-disposition"]


def test_a_link_is_an_address_that_anybody_reads(run: Run, names: list[str]) -> None:
    ran = run("link", "docs/a.txt", "--inline", "--filename", "note.txt", "--for", "2m")
    assert ran.code == 0
    content, disposition = read(ran.out.strip())
    assert content == b"docs/a.txt"
    assert disposition == 'inline; filename="note.txt"'
    assert re.search(r"^It works until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.", ran.err)


def test_a_link_tells_programs_when_it_ends(run: Run, names: list[str]) -> None:
    (record,) = run("link", "docs/a.txt", "--for", "90s", "--json").records("link")
    assert read(record["href"])[0] == b"docs/a.txt"
    ends = datetime.fromisoformat(record["expires_at"]).timestamp()
    assert 80 <= ends - time.time() <= 91


def test_a_link_lasts_no_longer_than_the_server_lets_it(run: Run, names: list[str]) -> None:
    ran = run("link", "docs/a.txt", "--for", "400d")
    assert (ran.code, ran.out, "[malformed]" in ran.err) == (2, "", True)
    assert run("link", "docs/a.txt", "--for", "soon").code == 2
    assert run("link", "nothing").code == 4


def test_a_link_lets_somebody_fill_an_upload(run: Run, live: Served) -> None:
    key = Tus(live).new(5).rpartition("/")[2]
    ran = run("link", key, "--upload")
    assert ran.code == 0
    path = ran.out.strip().removeprefix(live.url)
    assert Tus(live).patch(path, 0, b"hello").status == 204
    assert run("link", key, "--upload", "--inline").code == 2


def test_the_keys_of_an_encrypted_file_move_and_go_with_it(
    run: Run, live: Served, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("words")
    assert run("keys", "new", tmp_path / "key").code == 0
    assert run("put", "--key-file", tmp_path / "key", tmp_path / "secret", "old/").code == 0
    listed = run("ls").out.split()
    assert len(listed) == 2
    ran = run("mv", *listed, "new/")  # the second one is there already when its turn comes
    assert (ran.code, ran.out, ran.err) == (0, "new/secret\n", "")
    assert run("cat", "new/secret", "--key-file", tmp_path / "key").out == "words"
    listed = run("ls").out.split()
    assert [name.partition(".")[0] for name in listed] == ["new/secret"] * 2
    ran = run("rm", *listed)
    assert (ran.code, ran.err) == (0, "Removed new/secret.\n")
    assert run("ls").out == ""
