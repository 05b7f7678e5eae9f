"""Keys on the command line: made for their owner, never shown, never taken from arguments."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.web.running import Served
from towpath.codec.keys import Identity, KeyFile, Recipient, parse_key


def test_a_new_key_is_for_its_owner_and_is_not_shown(run: Run, tmp_path: Path) -> None:
    ran = run("keys", "new", tmp_path / "k")
    text = (tmp_path / "k").read_text()
    assert isinstance(parse_key(text), KeyFile)
    assert ran.code == 0
    assert text.split()[1] not in ran.out + ran.err
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_a_new_identity_has_a_public_half(run: Run, tmp_path: Path) -> None:
    ran = run("keys", "new", "--identity", tmp_path / "me", "--json")
    secret, public = (parse_key((tmp_path / name).read_text()) for name in ("me", "me.pub"))
    assert isinstance(secret, Identity)
    assert isinstance(public, Recipient)
    assert secret.recipient == public
    (record,) = ran.records("identity")
    assert (record["id"], record["public"]) == (public.id, str(tmp_path / "me.pub"))


def test_no_key_is_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("mine")
    ran = run("keys", "new", tmp_path / "k")
    assert (ran.code, (tmp_path / "k").read_text()) == (2, "mine")
    assert "cannot be written" in ran.err


@pytest.fixture
def keys(run: Run, tmp_path: Path) -> Path:
    run("keys", "new", tmp_path / "key")
    run("keys", "new", "--identity", tmp_path / "me")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "noise").write_text("nothing of a key, and secret all the same")
    (tmp_path / "a").write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["put", "a", "--key-file", "me.pub"], "no key to encrypt with"),
        (["put", "a", "--key-file", "noise"], "This is no key"),
        (["put", "a", "--recipient", "me"], "has a secret key"),
        (["put", "a", "--passphrase-env", "THERE_IS_NONE"], "no environment variable"),
        (["put", "a", "--passphrase-file", "empty"], "passphrase is empty"),
        (["put", "-", "--name", "x", "--compress"], "A stream cannot be"),
        (["get", "x", "--key-file", "me.pub"], "opens nothing"),
        (["keys", "wrap", "x", "--key-file", "key"], "--to-key-file"),
    ],
)
def test_what_cannot_be_a_key_is_refused_in_words(
    run: Run, keys: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(keys)
    ran = run(*words)
    assert ran.code == 2
    assert says in ran.err
    assert "secret all the same" not in ran.err


@pytest.mark.skipif(os.name != "posix", reason="there are no modes")
def test_a_key_that_others_can_read_is_pointed_out(
    run: Run, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(keys)
    (keys / "key").chmod(0o644)
    assert "chmod 600 key" in run("get", "nothing", "./", "--key-file", "key").err


@pytest.mark.parametrize("words", [["put", "file", "--encrypt"], ["get", "x", "--ask-passphrase"]])
def test_without_a_terminal_nobody_is_asked_for_a_passphrase(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("x")
    rest = {"stdin": subprocess.PIPE, "start_new_session": True, "cwd": tmp_path}
    with start(*words, **rest) as process:
        out, err = process.communicate("secret\nsecret\n", timeout=20)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)
    assert "no terminal to ask for the passphrase on" in err
    assert "--passphrase-file or --passphrase-env" in err


@pytest.mark.parametrize("how", ["--encrypt", "--compress"])
def test_that_a_stream_is_not_coded_is_said_before_anybody_is_asked(run: Run, how: str) -> None:
    ran = run("put", "-", "--name", "x", how)
    assert (ran.code, "A stream cannot be compressed or encrypted" in ran.err) == (2, True)


@pytest.fixture
def sealed(run: Run, live: Served, keys: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A folder of the server with an encrypted file and one that is called as records are."""
    monkeypatch.chdir(keys)
    (keys / "d").mkdir()
    (keys / "d" / "z.c").write_text("secret")
    (keys / "d" / "mine.01234567.keys").write_text("{}")
    assert run("put", "d/z.c", "d/", "--key-file", "key").code == 0
    assert run("put", "d/mine.01234567.keys", "d/").code == 0
    found = set(run("ls", "d/").out.split())
    assert len(found) == 3
    return found


def test_records_of_keys_do_not_come_with_a_folder(
    run: Run, sealed: set[str], tmp_path: Path
) -> None:
    (record,) = sealed - {"d/z.c", "d/mine.01234567.keys"}
    assert run("get", "d/", "to/", "--dry-run").out.count(" -> ") == 2
    ran = run("get", "d/", "to/", "--key-file", "key")
    assert (ran.code, "2 files" in ran.err) == (0, True)
    assert sorted(path.name for path in (tmp_path / "to" / "d").iterdir()) == [
        "mine.01234567.keys",
        "z.c",
    ]
    assert run("get", record, "to/").code == 0
    assert (tmp_path / "to" / record.removeprefix("d/")).exists()


def test_records_of_keys_are_no_files_for_sync(run: Run, sealed: set[str], tmp_path: Path) -> None:
    ran = run("sync", ":d", "here", "--dry-run")
    assert (ran.code, ran.out) == (0, "download  mine.01234567.keys\ndownload  z.c\n")
    (tmp_path / "none").mkdir()
    assert run("sync", "none", ":d", "--exclude", "z.c", "--delete").code == 0
    assert set(run("ls", "d/").out.split()) == sealed - {"d/mine.01234567.keys"}
