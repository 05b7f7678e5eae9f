"""`towpath login` and `logout`: a token is kept for one server, and shown to that one alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Run
from tests.client.fake import FakeServer, serving
from tests.web.running import Served, running
from tests.web.tokens import token, write_tokens
from towpath.cli.stored import canonical
from towpath.errors import SettingsError

Login = Callable[..., Ran]


@pytest.fixture
def login(run: Run, monkeypatch: pytest.MonkeyPatch) -> Login:
    """Log in with a token on stdin."""

    def login(text: str, *args: object) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))
        return run("login", *args)

    return login


@pytest.fixture
def guarded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A real server that wants tokens."""
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running("direct", tmp_path / "server", tokens=tokens) as served:
        monkeypatch.setenv("TOWPATH_URL", served.url)
        yield served


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "config" / "towpath" / "tokens").glob("*"))


def test_a_token_is_kept_for_its_owner_and_used_by_every_command(
    guarded: Served, login: Login, run: Run, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("dear all")
    assert run("put", note).code == 7
    ran = login(token("alice"))
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (f"Logged in to {guarded.url}/ as alice of red: list, read, remove, write.\n")
    (file,) = kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.read_text() == f"{token('alice')}\n"
    calls = (("put", note), ("ls",), ("stat", note.name), ("cat", note.name), ("top", "--once"))
    for args in calls:
        assert run(*args).code == 0, args
    assert run("ls", "--url", f"{guarded.url}/").code == 0  # the same server, written otherwise
    assert run("logout").code == 0
    assert kept(tmp_path) == []
    assert run("ls").code == 7
    assert run("logout").code == 4


def test_what_the_server_does_not_take_is_not_kept(
    guarded: Served, login: Login, tmp_path: Path
) -> None:
    assert login("tow_alice_wrong").code == 7
    assert login("").code == 2
    assert login("two words").code == 2
    assert login(token("alice"), "http://127.0.0.1:1").code == 10
    assert kept(tmp_path) == []
    assert login(token("alice"), "http://127.0.0.1:1", "--no-check").code == 0
    assert len(kept(tmp_path)) == 1


def test_a_token_is_not_printed(guarded: Served, login: Login) -> None:
    ran = login(token("team"), "--json")
    (record,) = ran.records("login")
    assert (record["subject"], record["prefix"]) == ("team", "team/")
    assert token("team").split("_", 2)[2] not in ran.out + ran.err


def test_a_token_is_shown_to_no_other_server(login: Login, run: Run, server: FakeServer) -> None:
    with serving() as other:
        assert login("secret", other.url, "--no-check").code == 0
        run("ls")
        run("ls", "--url", other.url)
        assert not any("authorization" in request[2] for request in server.requests)
        assert other.requests[-1][2]["authorization"] == "Bearer secret"


def test_what_is_said_counts_before_what_is_kept(
    login: Login, run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login("kept", "--no-check")
    monkeypatch.setenv("TOWPATH_TOKEN", "said")
    run("ls")
    (tmp_path / "token").write_text("file\n")
    run("ls", "--token-file", tmp_path / "token")
    shown = [request[2]["authorization"] for request in server.requests]
    assert shown == ["Bearer said", "Bearer file"]


def test_a_token_that_others_can_read_is_not_used(login: Login, run: Run, tmp_path: Path) -> None:
    login("kept", "--no-check")
    kept(tmp_path)[0].chmod(0o644)
    ran = run("ls")
    assert (ran.code, "Others on this machine could have read it." in ran.err) == (2, True)
    assert login("kept", "--no-check").code == 0
    assert run("ls").code == 0


def test_every_token_can_be_forgotten_at_once(login: Login, run: Run, tmp_path: Path) -> None:
    login("one", "http://a.invalid", "--no-check")
    login("two", "https://b.invalid/base", "--no-check")
    ran = run("logout", "--all", "--json")
    found = [record["server"] for record in ran.records("logout")]
    assert found == ["http://a.invalid/", "https://b.invalid/base/"]
    assert kept(tmp_path) == []


def test_a_token_for_a_server_that_is_not_encrypted_brings_a_warning(login: Login) -> None:
    assert "use https" in login("x", "http://up.invalid", "--no-check").err
    assert "use https" not in login("x", "https://up.invalid", "--no-check").err


def test_one_server_has_one_address() -> None:
    same = {
        canonical(url)
        for url in (
            "https://Up.example.org",
            "https://up.example.org:443/",
            "https://up.example.org",
        )
    }
    assert same == {"https://up.example.org/"}
    assert canonical("http://up.example.org:8080/base") == "http://up.example.org:8080/base/"
    with pytest.raises(SettingsError):
        canonical("up.example.org")
