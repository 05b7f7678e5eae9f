"""`towpath hash` and `towpath verify`."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from towpath.cli.digests import ALGORITHMS
from towpath.core.digest import SIZES

Snapshot = Callable[[str, str], None]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("scan.pdf")
    path.write_bytes(Random(3).randbytes(2_500_000))
    return path


def test_hash_prints_what_the_server_says(run: Run, live: Served, file: Path) -> None:
    run("put", file)
    assert run("hash", file).code == 0
    (record,) = run("hash", file, "--json").records("digests")
    (stat,) = run("stat", file, "--json").records("name")
    assert record["digests"]["crc64nvme"] == stat["digests"]["crc64nvme"]
    assert (record["path"], record["length"]) == ("scan.pdf", 2_500_000)


def test_hash_is_shown_for_people(run: Run, file: Path, snapshot: Snapshot) -> None:
    snapshot("hash", run("hash", file).out)


def test_hash_with_one_algorithm_prints_what_sha256sum_prints(run: Run, file: Path) -> None:
    value = hashlib.sha256(file.read_bytes()).hexdigest()
    assert run("hash", "-a", "sha-256", file).out == f"{value}  scan.pdf\n"
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    assert run("hash", "-a", "md5", file).out == f"{md5}  scan.pdf\n"


def test_hash_knows_the_algorithms_of_the_server() -> None:
    assert set(ALGORITHMS) == set(SIZES)


def test_hash_goes_on_behind_a_file_that_is_not_there(run: Run, file: Path) -> None:
    ran = run("hash", "missing", file, "-a", "crc32")
    assert (ran.code, len(ran.out.splitlines())) == (3, 1)
    assert "There is no file missing." in ran.err
    assert run("hash", "missing").code == 4
    assert run("hash", "/").code == 1


def test_verify_holds_a_file_against_the_server(
    run: Run, live: Served, file: Path, snapshot: Snapshot
) -> None:
    run("put", file)
    ran = run("verify", "scan.pdf", file)
    assert (ran.code, ran.err) == (0, "scan.pdf is what the server has as scan.pdf.\n")
    snapshot("verify", ran.out)
    (record,) = run("verify", "scan.pdf", file, "--json").records("verified")
    assert set(record["digests"]) == {"crc64nvme"}


def test_verify_compares_a_sha256_that_the_server_knows(run: Run, live: Served, file: Path) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    run("put", file, "--meta", f"sha256={sha256}")
    (record,) = run("verify", "scan.pdf", file, "--json").records("verified")
    assert record["digests"]["sha-256"] == sha256


@pytest.mark.parametrize("change", ["a byte", "the length"])
def test_verify_says_what_differs(run: Run, live: Served, file: Path, change: str) -> None:
    run("put", file)
    content = file.read_bytes()
    file.write_bytes(b"x" + content[1:] if change == "a byte" else content + b"x")
    ran = run("verify", "scan.pdf", file)
    assert (ran.code, ran.out) == (6, "")
    assert "[digest-mismatch]" in ran.err
    assert ("2500001 bytes here" if change == "the length" else "Its crc64nvme is") in ran.err


def test_verify_without_a_file_tells_what_the_server_knows(
    run: Run, live: Served, file: Path
) -> None:
    run("put", file)
    ran = run("verify", "scan.pdf")
    assert (ran.code, "knows of no damage" in ran.err) == (0, True)
    ran = run("verify", "scan.pdf", "--read")
    assert (ran.code, "are those of its digest" in ran.err) == (0, True)
    assert run("verify", "nothing").code == 4
    assert run("verify", "scan.pdf", file, "--read").code == 2


def test_verify_finds_bytes_that_have_changed_in_the_store(
    run: Run, live: Served, file: Path
) -> None:
    run("put", file)
    (stored,) = [
        path for path in (live.data / "objects").rglob("*") if path.stat().st_size == 2_500_000
    ]
    stored.chmod(0o600)
    with stored.open("r+b") as out:
        out.write(b"rotten")
    ran = run("verify", "scan.pdf", "--read")
    assert (ran.code, ran.out) == (6, "")


def test_verify_tells_of_damage_that_the_server_found(run: Run, live: Served, file: Path) -> None:
    run("put", file)
    with closing(sqlite3.connect(live.data / "ledger.db")) as ledger:
        tables = [
            name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        (objects,) = [name for name in tables if name.startswith("object")]
        ledger.execute(f'UPDATE "{objects}" SET damaged = 1')  # noqa: S608
        ledger.commit()
    ran = run("verify", "scan.pdf")
    assert (ran.code, "[store-lost]" in ran.err) == (6, True)


@pytest.mark.skipif(sys.platform != "linux", reason="names are plainer elsewhere")
@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is needed to read the list")
@pytest.mark.parametrize(
    "name", ["a\nb", "a\\b", "a\\nb", "plain", "a  b", "a\rb", "a\x1b[1mb", "\x7f\t"]
)
def test_hash_writes_lists_that_sha256sum_reads(run: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("x")
    lines = run("hash", "-a", "sha-256", file).out
    assert lines.count("\n") == 1
    said = subprocess.run(
        ["sha256sum", "--check", "--strict"],
        input=lines.encode(),
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, (lines, said)


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("sha256sum"),
    reason="LOUD: no list with a name that is no text was read: run on Linux, install coreutils",
)
def test_a_list_has_the_bytes_of_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff\x1b")).write_text("x")
    program = '"$0" -m towpath hash -a sha-256 a* | sha256sum --check --strict'
    said = subprocess.run(
        ["sh", "-c", program, sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path("src").absolute())},
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said


@pytest.mark.skipif(os.name == "nt", reason="no such terminals there")
def test_a_name_steers_no_terminal_by_its_digest(
    environment: dict[str, str], tmp_path: Path
) -> None:
    import pty  # noqa: PLC0415 - only there

    (tmp_path / "a\x1b[1mb").write_text("x")
    terminal, end = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "towpath", "hash", "-a", "md5", tmp_path / "a\x1b[1mb"],
            env={**os.environ, **environment},
            stdout=end,
            check=True,
        )
        shown = os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.close(end)
    assert b"a\\x1b[1mb" in shown
    assert b"\x1b" not in shown
