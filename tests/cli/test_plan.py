"""`--dry-run`: what would be done is told, and nothing is done."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.test_resume import SIZE, stopped
from tests.client.fake import FakeServer
from tests.web.running import Served

Start = Callable[..., "subprocess.Popen[str]"]
Snapshot = Callable[[str, str], None]


def test_put_says_what_it_would_send(
    run: Run, server: FakeServer, tmp_path: Path, snapshot: Snapshot
) -> None:
    folder = tmp_path / "photos"
    (folder / "may").mkdir(parents=True)
    (folder / "one").write_bytes(b"1" * 2048)
    (folder / "may" / "two").write_bytes(b"2")
    ran = run("put", folder, tmp_path / "missing", "to/", "--dry-run")
    assert ran.code == 3
    snapshot("put-dry-run", (ran.out + ran.err).replace(str(tmp_path), "/here"))
    assert ({method for method, _, _ in server.requests}, server.uploads) == ({"GET"}, {})


def test_put_says_what_went_through_before(
    run: Run, start: Start, server: FakeServer, big: Path
) -> None:
    stopped(start, server, signal.SIGKILL, "put", big, "a/")
    before = len(server.requests)
    (plan,) = run("put", big, "a/", "--dry-run", "--json").records("plan")
    assert (plan["action"], plan["name"], plan["total_bytes"]) == ("upload", "a/big.bin", SIZE)
    asked = [request[:2] for request in server.requests[before:]]
    assert asked == [("GET", "/api/v1/names/a/big.bin")]  # whether it is there


def test_put_cannot_plan_what_comes_on_stdin(run: Run) -> None:
    assert run("put", "-", "--name", "a", "--dry-run").code == 2


def test_get_says_what_it_would_fetch_and_what_it_would_refuse(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    server.add("a/one", b"1" * 10)
    server.add("a/two", b"2")
    (tmp_path / "two").write_bytes(b"mine")
    ran = run("get", "a/one", "a/two", f"{tmp_path}/", "--dry-run")
    assert (ran.code, ran.out) == (3, f"a/one -> {tmp_path}/one  10 B\n")
    assert "two exists." in ran.err
    assert "Would download 1 file, 10 B." in ran.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["two"]
    new = tmp_path / "new"
    assert run("get", "a/one", f"{new}/", "--dry-run").code == 0
    assert not new.exists()
    assert run("get", "nothing", "--dry-run").code == 4


def test_rm_says_what_it_would_remove(run: Run, server: FakeServer) -> None:
    server.add("a", b"1" * 10)
    ran = run("rm", "a", "b", "--dry-run")
    assert (ran.code, ran.out) == (3, "a  10 B\n")
    assert run("ls").out == "a\n"


def test_put_sums_up_what_is_there_and_what_is_to_go(
    run: Run, live: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, length in (("one", 1024), ("two", 3072)):
        (folder / name).write_bytes(b"1" * length)
    run("put", folder)
    (folder / "three").write_bytes(b"3" * 2048)
    ran = run("put", folder, "--dry-run")
    assert "Would upload 1 file, 2.0 KiB; 4.0 KiB is on the server already.\n" in ran.err
    (summary,) = run("put", folder, "--dry-run", "--json").records("summary")
    assert (summary["planned"], summary["bytes"]) == (1, 2048)
    assert (summary["same"], summary["bytes_there"]) == (2, 4096)


def test_put_counts_chunks_only_where_their_size_is_known(
    run: Run, server: FakeServer, big: Path
) -> None:
    assert "Chunks: their number is not known" in run("put", big, "--dry-run").err
    ran = run("put", big, "--dry-run", "--chunk-size", "8MiB")
    assert "Chunks: at least 3 of at most 8.0 MiB.\n" in ran.err
    ran = run("put", big, "--dry-run", "--compress")
    assert "Chunks: about 5 of 4.0 MiB.\n" in ran.err
    (summary,) = run("put", big, "--dry-run", "--compress", "--json").records("summary")
    assert (summary["chunks"], summary["chunk_size"]) == (5, 4 * 1024 * 1024)
    (summary,) = run("put", big, "--dry-run", "--json").records("summary")
    assert (summary["chunks"], summary["chunk_size"]) == (None, None)


def test_the_time_is_told_only_where_a_limit_tells_it(
    run: Run, server: FakeServer, big: Path
) -> None:
    assert "Time: not known before.\n" in run("put", big, "--dry-run").err
    limited = ("put", big, "--dry-run", "--limit", "100KB")
    assert "Time: at least 3 min 20 s by --limit.\n" in run(*limited).err
    (summary,) = run(*limited, "--json").records("summary")
    assert summary["least_seconds"] == 200
    for less in (("--compress",), ("--delta",), ("--limit", "08:00,1M 20:00,off")):
        assert "Time: not known before.\n" in run(*limited, *less).err
    timetable = run(*limited, "--limit", "08:00,50KB 20:00,200KB")
    assert "Time: at least 1 min 40 s by --limit.\n" in timetable.err
    server.add("a", bytes(200_000))
    ran = run("get", "a", f"{big.parent}/new", "--dry-run", "--limit", "100KB")
    assert "Time: at least 2.0 s by --limit.\n" in ran.err
