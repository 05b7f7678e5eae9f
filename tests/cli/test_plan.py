"""`--dry-run`: what would be done is told, and nothing is done."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Run
from tests.cli.test_resume import SIZE, stopped
from tests.client.fake import FakeServer

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
