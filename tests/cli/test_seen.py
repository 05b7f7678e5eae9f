"""What a person sees of each command, in 80 columns: when it works, and when it does not.

The texts are `snapshots/seen-COMMAND.txt`, and every command has one.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import pytest

from tests.cli.conftest import SNAPSHOTS, Run
from tests.cli.queueing import Runner
from tests.cli.seeing import Screen
from tests.web.running import Served, running
from tests.web.tokens import token, write_tokens
from towpath.cli.main import COMMANDS, cli

Snapshot = Callable[[str, str], None]
Start = Callable[..., "subprocess.Popen[str]"]
NOWHERE = ("--url", "http://127.0.0.1:1")
LATER = ("--detach", "--at", "2099-01-01T00:00")
OLD = """[[token]]
id = "0a1b2c3d"
sha256 = "00"
tenant = "acme"
subject = "ci"
created = "2026-11-21T08:00:00Z"
"""
SEEN: dict[str, list[tuple[str, ...]]] = {
    "put": [
        ("put", "notes.txt", "papers/"),
        ("put", "photos"),
        ("put", "notes.txt", "papers/notes.txt", "--on-conflict", "fail"),
        ("put", "missing.txt", "photos/", "to/", "--parallel", "1"),
        ("put", "missing.txt"),
        ("put", "--files-from", "list.txt", "listed/"),
        ("put", "--files-from", "list.txt", "photos"),
        ("put", "notes.txt", "proven/", "--verify"),
        ("put", "notes.txt", "proven/", "--verify", "--detach"),
        ("put", "notes.txt", "--retries", "0", *NOWHERE),
    ],
    "get": [
        ("get", "docs/a.txt", "copy.txt"),
        ("get", "docs/a.txt", "copy.txt"),
        ("get", "docs/a.txt", "nothing", "to/", "--parallel", "1"),
        ("get", "docs/", "to/", "--update", "--parallel", "1"),
    ],
    "sync": [
        ("sync", "photos", ":backup", "--parallel", "1"),
        ("sync", "photos", ":backup"),
        ("sync", ":docs", "photos", "--delete", "--dry-run"),
        ("sync", "nowhere", ":backup"),
        ("sync", "photos", "backup"),
    ],
    "ls": [("ls",), ("ls", "-l", "docs/"), ("ls", *NOWHERE)],
    "stat": [("stat", "docs/a.txt"), ("stat", "nothing")],
    "cat": [("cat", "docs/a.txt"), ("cat", "nothing")],
    "rm": [("rm", "docs/a.txt"), ("rm", "docs/a.txt", "docs/b.txt"), ("rm", "nothing")],
    "mv": [("mv", "docs/a.txt", "old/"), ("mv", "old/a.txt", "docs/b.txt"), ("mv", "docs/b.txt")],
    "link": [("link", "docs/a.txt", "--for", "2h"), ("link", "nothing")],
    "verify": [
        ("verify", "docs/a.txt", "notes.txt"),
        ("verify", "docs/b.txt", "--read"),
        ("verify", "docs/b.txt", "notes.txt"),
        ("verify", "docs/b.txt", "missing.txt"),
    ],
    "hash": [("hash", "notes.txt"), ("hash", "-a", "md5", "notes.txt"), ("hash", "missing.txt")],
    "keys": [
        ("keys", "new", "key"),
        ("keys", "new", "--identity", "me"),
        ("keys", "new", "key"),
        ("put", "notes.txt", "sealed.txt", "--recipient", "me.pub"),
        ("keys", "wrap", "sealed.txt", "--key-file", "me", "--to-key-file", "key"),
        ("get", "sealed.txt", "open.txt", "--key-file", "me"),
        ("keys", "wrap", "docs/a.txt", "--key-file", "key", "--to-key-file", "key"),
    ],
    "gc": [("gc",), ("gc", "nowhere")],
    "top": [("top", "--once"), ("top", "--once", *NOWHERE)],
    "bench": [("bench", "--size", "64KiB", "--times", "1"), ("bench", *NOWHERE)],
    "doctor": [("doctor",), ("doctor", *NOWHERE)],
    "config": [
        ("config", "set", "parallel", "7"),
        ("config", "get", "parallel"),
        ("config", "set", "parallel", "many"),
        ("config", "set", "colour", "red"),
        ("config", "unset", "parallel"),
        ("config",),
        ("config", "get", "colour"),
        ("config", "unset", "colour"),
        ("config", "path"),
        ("config", "path", "here"),
        ("config", "init"),
        ("config", "init", "--force"),
        ("config", "show"),
        ("config", "show", "--origin"),
        ("config", "show", "here"),
        ("config", "--colour"),
    ],
    "token": [
        ("token", "new", "tokens.toml", "--subject", "me"),
        ("token", "new", "notes.txt", "--subject", "me"),
        ("token", "new", "tokens.toml"),
        ("token", "list", "old.toml"),
        ("token", "list", "notes.txt"),
        ("token", "revoke", "old.toml", "nobody"),
        ("token", "revoke", "old.toml", "0a1b2c3d"),
    ],
    "ledger": [("ledger", "rebuild", "--data", "photos"), ("ledger", "rebuild", "--data", "no")],
    "completion": [("completion", "fish"), ("completion", "tcsh")],
    "man": [("man", "version"), ("man", "nothing")],
    "version": [("version",), ("version", "--short")],
}


@pytest.fixture
def screen(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """In a folder with a few files."""
    here = tmp_path / "desk"
    (here / "photos" / "may").mkdir(parents=True)
    monkeypatch.chdir(here)
    for name, text in (
        ("notes.txt", "dear all\n"),
        ("photos/may/one.jpg", "1" * 2000),
        ("list.txt", "photos/may/one.jpg\n\nmissing.txt\n"),
        ("old.toml", OLD),
    ):
        Path(name).write_text(text)
        os.utime(name, (1_700_000_000, 1_700_000_000))
    Path("photos/newest").symlink_to("may/one.jpg")
    monkeypatch.delenv("TOWPATH_LIMIT", raising=False)
    monkeypatch.setattr("towpath.cli.show._SHORT", 1e9)  # no line says that the machine is busy
    return Screen(tmp_path)


@pytest.fixture
def filled(screen: Screen, run: Run, live: Served) -> Served:
    """The server has two files."""
    assert run("put", "notes.txt", "docs/a.txt").code == 0
    assert run("put", "photos/may/one.jpg", "docs/b.txt").code == 0
    return live


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("command", SEEN)
def test_what_a_person_sees_of(screen: Screen, snapshot: Snapshot, command: str) -> None:
    for words in SEEN[command]:
        screen.run(*words)
    snapshot(f"seen-{command}", screen.text())


def test_what_a_person_sees_of_serve(
    screen: Screen, start: Start, tmp_path: Path, snapshot: Snapshot
) -> None:
    words = ("serve", "--port", "0", "--data", tmp_path / "data")
    with start(*words) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with start(*words) as second:
            out, err = second.communicate(timeout=20)
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=20)
    screen.show("serve --port 0 --data data", first + rest + said, process.returncode)
    screen.show("serve --port 0 --data data", out + err, second.returncode)
    snapshot("seen-serve", screen.text())


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a line on stdin."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


@pytest.fixture
def guarded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A real server that wants tokens."""
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running("direct", tmp_path / "server", tokens=tokens) as served:
        monkeypatch.setenv("TOWPATH_URL", served.url)
        yield served


@pytest.mark.usefixtures("guarded")
def test_what_a_person_sees_of_login_and_logout(
    screen: Screen, typed: Callable[[str], None], snapshot: Snapshot, tmp_path: Path
) -> None:
    screen.run("ls")
    typed("tow_alice_wrong")
    screen.run("login")
    typed(token("alice"))
    screen.run("login")
    snapshot("seen-login", screen.text())
    after = Screen(tmp_path)
    after.run("logout")
    after.run("logout")
    snapshot("seen-logout", after.text())


def word(text: str) -> str:
    """The id that a command printed."""
    (found,) = re.findall(r"^[0-9a-f]{12}$", text, re.MULTILINE)
    assert isinstance(found, str)
    return found


@pytest.mark.usefixtures("filled", "runner")
def test_what_a_person_sees_of_pause_and_resume(screen: Screen, snapshot: Snapshot) -> None:
    screen.run("put", "notes.txt", "later/", *LATER)
    screen.run("pause")
    screen.run("pause")
    snapshot("seen-pause", screen.text())
    after = Screen(Path.cwd().parent)
    after.run("resume")
    after.run("transfers")
    after.run("resume", "zzz")
    snapshot("seen-resume", after.text())


@pytest.mark.usefixtures("filled", "runner")
def test_what_a_person_sees_of_cancel_and_retry(screen: Screen, snapshot: Snapshot) -> None:
    job = word(screen.run("put", "notes.txt", "later/", *LATER))
    screen.run("cancel")
    screen.run("cancel")
    screen.run("cancel", "zzz")
    snapshot("seen-cancel", screen.text())
    after = Screen(Path.cwd().parent)
    after.run("retry", job)
    after.run("retry", "zzz")
    snapshot("seen-retry", after.text())


@pytest.mark.usefixtures("filled")
def test_what_a_person_sees_of_wait_and_transfers(
    screen: Screen, runner: Runner, run: Run, snapshot: Snapshot
) -> None:
    screen.run("transfers")
    Path("gone.txt").write_text("x")
    gone = word(screen.run("put", "gone.txt", *LATER))
    screen.run("put", "notes.txt", "papers/", "--detach")
    Path("gone.txt").unlink()
    run("cancel", gone)
    run("retry", gone)
    run("wait", gone)
    runner.wait_for(alive=False)
    screen.run("transfers")
    screen.run("transfers", *NOWHERE)
    screen.run("transfers", gone)
    screen.run("transfers", "zzz")
    screen.run("transfers", "--watch")
    snapshot("seen-transfers", screen.text())
    after = Screen(Path.cwd().parent)
    after.run("wait")
    after.run("wait", gone)
    letter = word(after.run("put", "notes.txt", "letters/", "--detach"))
    after.run("wait", letter)  # it may be there already
    snapshot("seen-wait", after.text())


def leaf(words: list[str]) -> str:
    """The command that these words call, with the groups that it is in."""
    found: click.Command = cli
    names: list[str] = []
    for word in words:
        inner = (
            found.get_command(click.Context(found), word)
            if isinstance(found, click.Group)
            else None
        )
        if inner is None:
            break
        found, names = inner, [*names, word]
    return " ".join(names)


def leaves(command: click.Command = cli, *names: str) -> Iterator[str]:
    """Every command that does something when it is called by its name."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield " ".join(names)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, *names, name)


def unseen(texts: Iterable[str]) -> dict[str, set[str]]:
    """Of each command that is not seen to work and to fail: how it was seen to end."""
    ends: dict[str, set[str]] = {name: set() for name in leaves()}
    for text in texts:
        pattern = r"^\$ towpath (.*)\n(?:(?!\$ ).*\n)*?\(exit (\d+)\)"
        for words, code in re.findall(pattern, text, re.MULTILINE):
            ends[leaf(words.split())].add(code)
    return {name: seen for name, seen in ends.items() if not ("0" in seen and seen - {"0"})}


def test_every_command_is_seen_when_it_works_and_when_it_does_not() -> None:
    texts = {path.stem: path.read_text() for path in SNAPSHOTS.glob("seen-*.txt")}
    assert {f"seen-{command}" for command in COMMANDS} == texts.keys()
    assert unseen(texts.values()) == {}


def test_a_command_within_a_group_is_missed_by_its_own_name() -> None:
    texts = [path.read_text() for path in SNAPSHOTS.glob("seen-*.txt")]
    gone = [
        re.sub(r"^\$ towpath config path\n", "$ towpath config\n", text, flags=re.MULTILINE)
        for text in texts
    ]
    assert unseen(gone) == {"config path": {"2"}}
    assert {"config", "config path", "keys wrap", "ledger rebuild", "token new"} <= {*leaves()}
    assert not {"", "keys", "ledger", "token"} & {*leaves()}
