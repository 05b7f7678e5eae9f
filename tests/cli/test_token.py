"""`towpath token`: made, listed, and revoked while a server runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("tokens.toml")


def new(run: Run, file: Path, subject: str, *more: str) -> tuple[str, str]:
    """A token, and its id."""
    (record,) = run("token", "create", file, "--subject", subject, "--json", *more).records("token")
    return record["token"], record["id"]


def test_a_list_tells_all_but_the_secret(run: Run, file: Path) -> None:
    token, key = new(run, file, "ci", "--tenant", "acme", "--scope", "read", "--prefix", "team/")
    ran = run("token", "list", file)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{key}  ci            acme        20")
    assert ran.out.endswith("  read  team/\n")
    (record,) = run("token", "list", file, "--json").records("token")
    assert record["created"].endswith("Z")
    assert (record["id"], record["scopes"], record["tenant"]) == (key, ["read"], "acme")
    text = ran.out + run("token", "list", file, "--json").out
    assert token.split("_", 2)[2] not in text
    assert "sha256" not in text


def test_a_token_that_was_made_earlier_is_listed_too(run: Run, file: Path) -> None:
    file.write_text('[[token]]\nid = "a"\nsha256 = "00"\ntenant = "t"\nsubject = "s"\n')
    ran = run("token", "list", file)
    assert ran.out.split() == ["a", "s", "t", "-", "read,write,list,remove"]


def test_what_is_revoked_goes_and_all_else_stays(run: Run, file: Path) -> None:
    (_, one), (_, two), (_, three) = (new(run, file, name) for name in ("a", "b", "c"))
    file.write_text(f"# who may what\n{file.read_text()}\n# the end\n")
    file.chmod(0o640)
    ran = run("token", "revoke", file, two, "--json")
    assert (ran.code, ran.records("revoked")[0]["subject"]) == (0, "b")
    left = [record["id"] for record in run("token", "list", file, "--json").records()]
    assert left == [one, three]
    text = file.read_text()
    assert (text.startswith("# who may what\n"), text.endswith("# the end\n")) == (True, True)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in Path().iterdir() if path.suffix != ".toml"] == []


def test_a_file_behind_a_link_stays_where_it_is(run: Run, file: Path) -> None:
    _, key = new(run, file, "a")
    Path("link.toml").symlink_to(file)
    assert run("token", "revoke", "link.toml", key).code == 0
    assert (Path("link.toml").is_symlink(), file.read_text()) == (True, "")


def test_what_several_change_at_once_is_all_changed(run: Run, file: Path, start: Start) -> None:
    old = [new(run, file, "old")[1] for _ in range(5)]
    changes = [("revoke", file, key) for key in old] + [("new", file, "--subject", "new")] * 2
    running = [start("token", *words) for words in changes]
    assert [(process.communicate(timeout=30), process.returncode)[1] for process in running] == [
        0
    ] * len(changes)
    left = run("token", "list", file, "--json").records()
    assert [record["subject"] for record in left] == ["new", "new"]


def test_an_unknown_id_revokes_nothing(run: Run, file: Path) -> None:
    _, key = new(run, file, "a")
    before = file.read_text()
    ran = run("token", "revoke", file, key, "nobody")
    assert (ran.code, "There is no token nobody" in ran.err) == (4, True)
    assert file.read_text() == before
    assert run("token", "revoke", "none.toml", key).code == 2
    assert run("token", "list", "none.toml").code == 2


def test_a_file_that_was_written_otherwise_is_left_alone(run: Run, file: Path) -> None:
    text = 'token = [{id = "a", sha256 = "00", tenant = "t", subject = "s"}]\n'
    file.write_text(text)
    ran = run("token", "revoke", file, "a")
    assert (ran.code, "with an editor" in ran.err, file.read_text()) == (2, True, text)


@pytest.fixture
def served(run: Run, file: Path, start: Start) -> Iterator[tuple[str, str, str]]:
    """A real server that wants tokens; its address, a token, and the token's id."""
    token, key = new(run, file, "me")
    with start("serve", "--port", "0", "--data", "data", "--tokens", file) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1], token, key
        process.terminate()
        process.communicate(timeout=20)


def test_a_running_server_knows_at_the_next_request(
    run: Run, file: Path, served: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, token, key = served
    monkeypatch.setenv("TOWPATH_TOKEN", token)
    assert run("ls", "--url", url).code == 0
    other, _ = new(run, file, "you")
    assert run("token", "revoke", file, key).code == 0
    assert run("ls", "--url", url).code == 7
    monkeypatch.setenv("TOWPATH_TOKEN", other)
    assert run("ls", "--url", url).code == 0
    good = file.read_text()
    file.write_text("[[token")  # somebody is editing it: who was known still is
    assert run("ls", "--url", url).code == 0
    file.rename("aside")
    assert run("ls", "--url", url).code == 0
    file.write_text(good.replace("you", "him"))
    assert run("ls", "--url", url).code == 0
