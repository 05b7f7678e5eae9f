"""`towpath ls`, `stat`, `rm` and `token`."""

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer
from towpath import errors
from towpath.cli import exits
from towpath.cli.amounts import duration, size
from towpath.cli.output import printable

Snapshot = Callable[[str, str], None]


@pytest.fixture
def there(server: FakeServer) -> FakeServer:
    server.add("docs/a.txt", b"x" * 1536)
    server.add("docs/b.bin", b"")
    server.add("photos/c.jpg", b"y" * 3_000_000)
    return server


def test_ls_lists_names_one_a_line(run: Run, there: FakeServer) -> None:
    assert run("ls").out == "docs/a.txt\ndocs/b.bin\nphotos/c.jpg\n"
    assert run("ls", "docs/").out == "docs/a.txt\ndocs/b.bin\n"
    assert run("ls", "nothing").out == ""


def test_ls_long_and_stat_are_for_people(run: Run, there: FakeServer, snapshot: Snapshot) -> None:
    snapshot("ls-long", run("ls", "-l").out)
    snapshot("stat", run("stat", "photos/c.jpg").out)


def test_ls_and_stat_json_have_whole_numbers(run: Run, there: FakeServer) -> None:
    assert [name["length"] for name in run("ls", "--json").records("name")] == [1536, 0, 3000000]
    (record,) = run("stat", "docs/a.txt", "--json").records()
    assert (record["path"], record["damaged"]) == ("docs/a.txt", False)


def test_rm_removes_and_says_what_was_not_there(run: Run, there: FakeServer) -> None:
    ran = run("rm", "docs/a.txt", "nothing")
    assert (ran.code, ran.out) == (3, "")
    assert "Removed docs/a.txt." in ran.err
    assert run("rm", "docs/a.txt").code == 4
    assert run("stat", "docs/a.txt").code == 4


def test_a_name_cannot_steer_the_terminal(run: Run, server: FakeServer) -> None:
    server.add("a\x1b[2Jb", b"")
    assert run("ls").out == "a\\x1b[2Jb\n"
    assert printable("tab\t and ü and \u202e") == "tab\t and ü and \\u202e"


def test_a_token_is_shown_once_and_only_its_hash_is_kept(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text("# mine")
    ran = run("token", "new", file, "--subject", 'me "x" ü\\', "--scope", "read", "--prefix", "a/")
    other = run("token", "new", file, "--subject", "you")
    assert (ran.code, other.code) == (0, 0)
    word, token_id, secret = ran.out.strip().split("_", 2)
    first, second = tomllib.loads(file.read_text())["token"]
    assert word == "tow"
    assert first.pop("created").endswith("Z")
    assert first == {
        "id": token_id,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "tenant": "default",
        "subject": 'me "x" ü\\',
        "scopes": ["read"],
        "prefix": "a/",
    }
    assert second["scopes"] == ["read", "write", "list", "remove"]
    assert secret not in file.read_text()


def test_a_new_tokens_file_is_for_its_owner_only(run: Run, tmp_path: Path) -> None:
    run("token", "new", tmp_path / "tokens.toml", "--subject", "me")
    assert (tmp_path / "tokens.toml").stat().st_mode & 0o077 == 0


def test_a_damaged_tokens_file_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text("[[")
    ran = run("token", "new", tmp_path / "tokens.toml", "--subject", "me")
    assert (ran.code, ran.out) == (2, "")
    assert (tmp_path / "tokens.toml").read_text() == "[["


def test_amounts_are_written_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1536, 150 * 1024**2, 2 * 1024**4)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "150 MiB",
        "2.0 TiB",
    ]
    assert [duration(n) for n in (0.25, 12, 75, 3700, 90000)] == [
        "0.25 s",
        "12 s",
        "1 min 15 s",
        "1 h 1 min",
        "1 d 1 h",
    ]


def test_every_error_has_an_exit_code_and_the_documented_ones_have_theirs() -> None:
    assert exits.exit_code(errors.NotFound("x")) == 4
    assert exits.exit_code(errors.Cut("x")) == 5
    assert exits.exit_code(errors.BadAnswer("x")) == 1
    assert exits.exit_code(ValueError("x")) == 1
    waiting = errors.TransferError("x")
    waiting.retryable = True
    assert exits.exit_code(waiting) == 5


def test_stat_shows_what_meta_said_and_steers_no_terminal(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("x")
    run("put", tmp_path / "a", "--meta", "case=42", "--meta", "k=x\nid: \x1b[31m\u202e")
    lines = run("stat", "a").out.splitlines()
    assert lines[-2:] == [r"meta:       case=42", r"meta:       k=x\nid: \x1b[31m\u202e"]
    assert not [line for line in lines if "attempt" in line or "mtime" in line]
