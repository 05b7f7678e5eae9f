"""Which files of a folder are taken: rules in their order, links, and folders of any size."""

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.cli.select import Found, Rule, Rules, Walk


def rules(*given: str) -> Rules:
    """Rules written as +glob and -glob."""
    return Rules([Rule(one[0] == "+", one[1:]) for one in given])


@pytest.mark.parametrize(
    ("given", "taken", "left"),
    [
        ((), ["a", ".b", "c/d"], []),
        (("-*.tmp",), ["a.txt", "a.tmp.txt", "x/a.tmpx"], ["a.tmp", "x/y/a.tmp", ".tmp"]),
        (("+*.pdf",), ["a.pdf", "x/y/b.pdf"], ["a.txt", "pdf"]),
        (("+keep.tmp", "-*.tmp"), ["keep.tmp", "x/keep.tmp", "a"], ["other.tmp"]),
        (("-*.tmp", "+keep.tmp"), [], ["keep.tmp", "a"]),
        (("-x/*.txt",), ["a.txt", "x/y/a.txt", "z/x/a.txt"], ["x/a.txt"]),
        (("-x/**",), ["a", "y/x/a"], ["x/a", "x/y/a"]),
        (("-**/cache/*",), ["cache"], ["cache/a", "x/cache/a", "x/y/cache/a"]),
        (("-/a",), ["x/a"], ["a"]),
        (("-?.txt",), ["ab.txt", ".txt"], ["a.txt", "ü.txt"]),
        (("-[ab].txt", "-[!a-y]z"), ["c.txt", "cz"], ["a.txt", "b.txt", "zz"]),
        (("-a+b(c).d",), ["aab(c).d", "a+b(c)xd"], ["a+b(c).d"]),
        (("-[",), ["a"], ["["]),
        (("-new\nline",), ["new"], ["new\nline"]),
    ],
)
def test_the_first_rule_that_fits_decides(
    given: tuple[str, ...], taken: list[str], left: list[str]
) -> None:
    chosen = rules(*given)
    assert [path for path in taken if not chosen.take(path)] == []
    assert [path for path in left if chosen.take(path)] == []


def test_a_folder_that_is_left_out_is_not_looked_into() -> None:
    chosen = rules("+build/keep", "-build/", "-x/y")
    assert (chosen.enter("build"), chosen.enter("a/build"), chosen.enter("x/y")) == (False,) * 3
    assert (chosen.enter("a"), chosen.take("build")) == (True, True)  # a file of that name
    assert (chosen.fit("build/keep"), chosen.fit("x/y/z"), chosen.fit("x/z")) == (
        False,
        False,
        True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "top"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "file").write_bytes(b"1")
    (folder / "sub" / "inner").write_bytes(b"2")
    (folder / "sub" / "deep" / "last.tmp").write_bytes(b"3")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"4")
    (folder / "to-file").symlink_to("file")
    (folder / "to-outside").symlink_to(tmp_path / "outside")
    (folder / "sub" / "back").symlink_to(folder)
    (folder / "broken").symlink_to("nowhere")
    return folder


def names(found: Iterator[Found]) -> dict[str, str | None]:
    return {one.name: one.link for one in found}


PLAIN = {"top/file": None, "top/sub/inner": None, "top/sub/deep/last.tmp": None}


def test_links_are_left_out_and_counted(folder: Path) -> None:
    walk = Walk(rules())
    assert names(walk.files(str(folder), None)) == PLAIN
    (told,) = walk.told()
    assert told.startswith("4 left out: links; --links follow")


def test_links_are_followed_but_not_in_circles(folder: Path) -> None:
    walk = Walk(rules(), "follow")
    found = names(walk.files(str(folder), "new/"))
    assert found == {
        f"new/{name}": None for name in [*PLAIN, "top/to-file", "top/to-outside/secret"]
    }
    assert sorted(walk.told()) == [
        "1 left out: links to a folder that they lie in.",
        "1 left out: links to nothing.",
    ]


def test_links_are_kept_as_links(folder: Path, tmp_path: Path) -> None:
    walk = Walk(rules(), "keep")
    assert names(walk.files(str(folder), "x")) == {
        **{name.replace("top", "x", 1): None for name in PLAIN},
        "x/to-file": "file",
        "x/to-outside": str(tmp_path / "outside"),
        "x/sub/back": str(folder),
        "x/broken": "nowhere",
    }
    assert list(walk.told()) == []


def test_rules_hold_from_the_folder_on(folder: Path) -> None:
    walk = Walk(rules("-sub/deep", "-file"))
    assert names(walk.files(str(folder), None)) == {"top/sub/inner": None}


def test_what_is_named_itself_is_taken_whatever_the_rules(folder: Path) -> None:
    walk = Walk(rules("-*"))
    assert names(walk.files(str(folder / "file"), "x")) == {"x": None}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    walk = Walk(rules())
    assert names(walk.files(str(tmp_path), None)) == {}
    assert list(walk.told()) == ["1 left out: neither files nor folders."]


def test_a_folder_that_cannot_be_read_is_told_of_and_the_others_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(Walk(rules()).files(str(folder), None))
    (wrong,) = [each for each in found if each.error is not None]
    assert str(wrong.error) == f"{folder / 'sub' / 'deep'} cannot be read. Permission denied."
    assert len(found) == len([name for name in PLAIN if "deep" not in name]) + 1


def test_a_folder_of_many_files_is_walked_without_a_list_of_them(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"a-file-with-some-name-{number}").touch()
    walk = Walk(rules("-*.tmp"), run=1_000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in walk.files(str(tmp_path), "x"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_000_000  # a list of them would be several times that


def test_files_come_in_the_order_in_which_a_server_lists_names(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a-b", "a.x", "a0", "a/y/1", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for run in (1, 2, 100):
        found = [each.name for each in Walk(rules(), run=run).files(str(tmp_path / "top"), None)]
        assert found == sorted(found)
        assert len(found) == 7
