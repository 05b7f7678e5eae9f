"""What `put --detach` carries of put's options: the queue does with files what put itself would."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.queueing import Runner
from tests.client.fake import FakeServer
from tests.web.running import Served
from towpath.testing.wire import Wire, threaded


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "may").mkdir(parents=True)
    (folder / "one").write_bytes(b"1")
    (folder / "may" / "two.tmp").write_bytes(b"22")
    (folder / "may" / "three").write_bytes(b"333")
    (folder / "may" / "three").chmod(0o640)
    os.utime(folder / "one", ns=(1, 1_700_000_000_123_456_789))
    (folder / "link").symlink_to("may/three")
    return folder


@pytest.mark.skipif(os.name == "nt", reason="links and permissions are others there")
def test_links_times_permissions_and_rules_go_with_the_files(
    run: Run, live: Served, runner: Runner, folder: Path, tmp_path: Path
) -> None:
    ways = ("--links", "keep", "--preserve", "--exclude", "*.tmp")
    ran = run("put", "photos", "deep/", "--detach", *ways)
    waited = run("wait", *ran.out.split())
    assert (ran.code, waited.code, sorted(waited.out.split())) == (
        0,
        0,
        ["deep/photos/link", "deep/photos/may/three", "deep/photos/one"],
    )
    assert run("get", "deep/photos/", "back/", "--links", "keep", "--preserve").code == 0
    back = tmp_path / "back" / "photos"
    assert stat.S_IMODE((back / "may" / "three").stat().st_mode) == 0o640
    assert (back / "one").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (back / "link").readlink() == Path("may/three")


def test_what_is_left_out_is_told_when_files_are_queued(
    run: Run, server: FakeServer, runner: Runner, folder: Path
) -> None:
    ran = run("put", "photos", "--detach")
    assert (ran.code, "1 left out: links" in ran.err) == (0, True)
    assert run("wait").code == 0
    (folder / "one").write_bytes(b"!")
    ran = run("put", "photos", "--detach", "--update")
    assert (len(ran.out.split()), "2 left out: the server has them." in ran.err) == (1, True)
    assert run("wait", ran.out.strip()).out == "photos/one (1)\n"  # as the fake server replaces
    assert server.uploads["u3"].metadata["on-conflict"] == "replace"


def test_an_encrypted_file_is_queued_without_its_key(
    run: Run, live: Served, runner: Runner, big: Path, tmp_path: Path
) -> None:
    run("keys", "new", tmp_path / "key")
    run("keys", "new", tmp_path / "me", "--identity")
    (tmp_path / "words").write_text("a long passphrase of mine\n")
    keys = ("--key-file", tmp_path / "key", "--recipient", tmp_path / "me.pub")
    more = ("--passphrase-file", tmp_path / "words", "--compress", "--chunk-size", "2MiB")
    ran = run("put", big, "--detach", "--encrypt", *keys, *more)
    assert run("wait", ran.out.strip()).out == "big.bin\n"
    secrets = [(tmp_path / name).read_text().split()[-1] for name in ("key", "me", "words")]
    kept = [path for path in runner.folder.rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in kept for secret in secrets)
    for number, key in enumerate(("--key-file", "--key-file", "--passphrase-file")):
        file = tmp_path / ("key", "me", "words")[number]
        assert run("get", "big.bin", f"{tmp_path}/{number}", key, file).code == 0
        assert (tmp_path / f"{number}").read_bytes() == big.read_bytes()


def test_a_key_that_is_gone_when_its_turn_comes_fails_the_job_and_says_so(
    run: Run, live: Served, runner: Runner, big: Path, tmp_path: Path
) -> None:
    run("keys", "new", tmp_path / "key")
    at = ("--at", "2099-01-01T00:00")
    job = run("put", big, "--detach", "--key-file", tmp_path / "key", *at).out.strip()
    (tmp_path / "key").unlink()
    run("cancel", job)
    run("retry", job)
    ran = run("wait", job)
    assert (ran.code, "key cannot be read" in ran.err) == (2, True)
    assert run("ls").out == ""


def test_a_changed_file_is_queued_as_its_changes(
    run: Run, live: Served, runner: Runner, big: Path
) -> None:
    assert run("put", big).code == 0
    with big.open("ab") as file:
        file.write(b"more")
    with threaded(Wire(*live.address)) as wire:
        there = ("--url", f"http://127.0.0.1:{wire.port}")
        ran = run("put", big, "--detach", "--delta", *there)
        assert run("wait", ran.out.strip()).out == "big.bin\n"
        assert 0 < wire.up < 1_000_000
    assert run("verify", "big.bin", big).code == 0


@pytest.mark.parametrize("which", [["photos"], ["photos/one"], ["photos/one", "photos/may/three"]])
def test_what_the_server_has_is_not_queued(
    run: Run, live: Served, runner: Runner, folder: Path, which: list[str]
) -> None:
    assert run("put", *which, "--to", "deep/", "--detach").code == 0
    assert run("wait").code == 0
    before = run("ls").out
    ran = run("put", *which, "--to", "deep/", "--detach")
    assert (ran.code, ran.out, "left out: the server has" in ran.err) == (0, "", True)
    assert run("wait").code == 0
    assert run("ls").out == before
    anyway = run("put", "photos/one", "deep/", "--detach", "--on-conflict", "keep-both")
    assert len(anyway.out.split()) == 1


@pytest.mark.parametrize("which", [["photos"], ["photos/one", "photos/may/three"]])
def test_files_are_queued_while_the_server_is_away(
    run: Run, runner: Runner, folder: Path, which: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_URL", "http://127.0.0.1:9")
    ran = run("put", *which, "--to", "deep/", "--detach", "--at", "2099-01-01T00:00")
    assert (ran.code, "in the queue" in ran.err) == (0, True)
    assert len(ran.out.split()) == (3 if which == ["photos"] else 2)
    assert run("put", *which, "--to", "deep/", "--detach", "--update", "--retries", "0").code == 10
