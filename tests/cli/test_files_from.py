"""`towpath put --files-from`: what a list of names uploads, and what it does not."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from towpath.cli.files_from import List
from towpath.cli.select import Named

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a few files."""
    desk = tmp_path / "desk"
    (desk / "photos" / "may").mkdir(parents=True)
    for name in ("notes", "photos/one", "photos/may/two", "photos/may/bad.tmp"):
        (desk / name).write_text(name)
    monkeypatch.chdir(desk)
    return desk


def lines(*names: str) -> Path:
    path = Path("list")
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def read(text: bytes, *, dest: str | None = None, end: bytes = b"\n") -> list[Named]:
    Path("list").write_bytes(text)
    return list(List("list", dest, end, lambda _: None).named())


def names_there(run: Run) -> list[str]:
    return run("ls").out.splitlines()


def test_files_of_a_list_keep_their_folders(run: Run, live: Served, desk: Path) -> None:
    ran = run("put", "--files-from", lines("photos/may/two", "", "  ", "./notes"), "to/")
    assert (ran.code, sorted(ran.out.split())) == (0, ["to/notes", "to/photos/may/two"])
    assert names_there(run) == ["to/notes", "to/photos/may/two"]


def test_a_list_without_a_destination_goes_to_the_top(run: Run, live: Served, desk: Path) -> None:
    assert run("put", "--files-from", lines("photos/one", str(desk / "notes"))).code == 0
    assert names_there(run) == sorted(["photos/one", f"{desk}/notes".lstrip("/")])


def test_a_name_that_is_missing_is_told_with_its_line_and_the_others_go(
    run: Run, live: Served, desk: Path
) -> None:
    ran = run("put", "--files-from", lines("notes", "", "gone", "photos/one"))
    assert (ran.code, names_there(run)) == (3, ["notes", "photos/one"])
    assert "There is no gone. It is line 3 of list." in ran.err
    assert run("put", "--files-from", lines("gone", "lost")).code == 4


def test_a_list_can_come_on_stdin_while_it_is_written(
    live: Served, desk: Path, start: Start, run: Run
) -> None:
    words = ("put", "--files-from", "-", "to/", "--parallel", "1")
    with start(*words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("notes\n")
        process.stdin.flush()
        assert process.stdout.readline() == "to/notes\n"  # before the list has ended
        out, err = process.communicate("photos/one\ngone\n", timeout=20)
    assert (process.returncode, out) == (3, "to/photos/one\n")
    assert "line 3 of stdin" in err


def test_names_can_end_with_nul(run: Run, live: Served, desk: Path) -> None:
    for name in ("new\nline", " ", "odd\r"):
        Path(name).write_text("x")
    text = b"notes\0new\nline\0\0gone\0 \0odd\r"
    found = read(text, end=b"\0")
    assert [each.dest for each in found] == ["notes", "new\nline", None, " ", "odd\r"]
    ran = run("put", "--files-from", "list", "--from0", "to/")
    assert (ran.code, names_there(run)) == (3, ["to/ ", "to/notes"])  # as the server takes names
    assert "name 4 of list" in ran.err
    assert "add --from0" in run("put", "--files-from", "list").err


@pytest.mark.usefixtures("desk")
def test_a_name_is_what_stands_between_the_ends() -> None:
    for name in ("# no remark", " led by a space", "ends with one "):
        Path(name).write_text("x")
    text = b"# no remark\n led by a space\nends with one \nnotes\r\nphotos/../notes/\n\xff\nnotes"
    found = read(text)
    assert [each.dest for each in found if each.error is None] == [
        "# no remark",
        " led by a space",
        "ends with one ",
        "notes",
    ]


def test_what_is_not_below_this_folder_is_an_error(run: Run, live: Served, desk: Path) -> None:
    (desk.parent / "beside").write_text("x")
    ran = run("put", "--files-from", lines("../beside", "photos/../../beside", "notes"))
    assert (ran.code, names_there(run)) == (3, ["notes"])
    assert "Write the path from the root" in ran.err


def test_a_folder_of_a_list_goes_with_what_is_in_it_once(
    run: Run, live: Served, desk: Path
) -> None:
    listed = lines("photos", "photos/one", "photos/may", "photos/may/two", "notes", "./notes")
    ran = run("put", "--files-from", listed, "to/", "--exclude", "*.tmp")
    assert ran.code == 0
    assert names_there(run) == ["to/notes", "to/photos/may/two", "to/photos/one"]
    assert "./notes is named twice: it is sent once." in ran.err


def test_a_folder_after_what_is_in_it_goes_with_the_rest(
    run: Run, live: Served, desk: Path
) -> None:
    listed = lines("photos/may/two", "photos/may", "photos/one", "photos")  # as find -depth does
    ran = run("put", "--files-from", listed, "to/")
    there = ["to/photos/may/bad.tmp", "to/photos/may/two", "to/photos/one"]
    assert (ran.code, sorted(ran.out.split()), names_there(run)) == (0, there, there)


def test_what_a_link_and_two_dots_lead_to_is_not_taken_for_another_file(
    run: Run, live: Served, desk: Path
) -> None:
    (desk / "photos" / "notes").write_text("others")
    (desk / "link").symlink_to("photos/may")
    ran = run("put", "--files-from", lines("notes", "link/../notes", "photos/../notes"))
    assert (ran.code, names_there(run)) == (3, ["notes"])
    assert "link/../notes goes back out of a link. It is line 2 of list" in ran.err
    assert "photos/../notes is named twice" in ran.err


def test_the_same_list_again_sends_what_is_new(run: Run, live: Served, desk: Path) -> None:
    run("put", "--files-from", lines("notes"))
    ran = run("put", "--files-from", lines("notes", "photos/one"))
    assert (ran.code, ran.out) == (0, "photos/one\n")
    assert "1 left out: the server has it." in ran.err


def test_a_list_can_be_planned_and_queued(run: Run, live: Served, desk: Path) -> None:
    listed = lines("photos/one", "gone", "notes")
    plan = run("put", "--files-from", listed, "to/", "--dry-run", "--json")
    assert [each["name"] for each in plan.records("plan")] == ["to/photos/one", "to/notes"]
    assert plan.code == 3
    later = run("put", "--files-from", listed, "to/", "--detach", "--at", "2099-01-01T00:00")
    assert (later.code, len(later.out.split())) == (3, 2)
    jobs = run("transfers", "--json").records("job")
    assert [job["name"] for job in jobs] == ["to/photos/one", "to/notes"]
    assert run("cancel", "--all").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--from0", "notes"], "add --files-from"),
        (["--files-from", "list", "notes", "to/"], "one word more at most"),
        (["--files-from", "list", "to/", "--to", "x/"], "one word more at most"),
        (["--files-from", "list", "to"], "write to/"),
        (["--files-from", "list", "--name", "x"], "names of their own"),
        (["--files-from", "none"], "does not exist"),
        ([], "Missing argument 'PATH... [DEST]'"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, desk: Path, args: list[str], said: str) -> None:
    lines("notes")
    ran = run("put", *args)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.usefixtures("desk")
def test_what_is_no_list_is_not_read_to_its_end() -> None:
    found = read(b"notes\n" + b"x" * 300_000 + b"\nphotos/one\n")
    assert [each.path[:5] for each in found] == ["notes", "xxxxx"]
    assert "longer than any name" in str(found[1].error)


@pytest.mark.usefixtures("desk")
def test_a_list_takes_the_memory_of_some_of_its_names() -> None:
    def most(count: int) -> int:
        with open("list", "w", encoding="utf-8") as file:  # noqa: PTH123 - line by line
            file.writelines(f"photos/../{number:0200}\n" for number in range(count))
        tracemalloc.start()
        found: Iterator[Named] = List("list", "to/", b"\n", lambda _: None).named()
        wrong = sum(each.error is not None for each in found)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert wrong == count
        return peak

    assert most(20_000) < most(2_000) + 1_000_000  # the names alone have 3,800,000 more


def test_what_is_known_again_is_bounded(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.cli.files_from._RECENT", 2)
    for name in "abc":
        Path(name).write_text(name)
    assert [each.dest for each in read(b"a\nb\na\nc\na\nb\n")] == ["a", "b", "c", "b"]
