"""`towpath config`, and what it does to the other commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer, serving
from towpath.cli.stored import SETTINGS

Snapshot = Callable[[str, str], None]


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Path:
    return tmp_path / "config" / "towpath" / "config.toml"


def test_every_setting_is_shown_with_where_it_comes_from(
    run: Run, file: Path, server: FakeServer, tmp_path: Path, snapshot: Snapshot
) -> None:
    run("config", "set", "parallel", 7)
    ran = run("config")
    assert (ran.code, ran.err) == (0, "")
    text = ran.out.replace(server.url, "http://127.0.0.1:54321/")
    snapshot("config", text.replace(str(tmp_path), "/here"))
    found = {record["name"]: record for record in run("config", "--json").records("setting")}
    assert (found["parallel"]["value"], found["parallel"]["origin"]) == ("7", str(file))
    assert found["url"]["origin"] == "TOWPATH_URL"
    assert (found["retries"]["value"], found["retries"]["origin"]) == ("10", "default")


def test_a_setting_counts_where_nothing_else_is_said(
    run: Run, file: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOWPATH_URL")
    server.add("here", b"")
    with serving() as other:
        other.add("there", b"")
        assert run("config", "set", "url", server.url).code == 0
        assert run("ls").out == "here\n"
        assert run("ls", "--url", other.url).out == "there\n"
        monkeypatch.setenv("TOWPATH_URL", other.url)
        assert run("ls").out == "there\n"
        ran = run("config", "set", "url", server.url)
        assert "TOWPATH_URL says it, too, and counts before" in ran.err


def test_settings_of_transfers_are_used_too(
    run: Run, file: Path, server: FakeServer, big: Path
) -> None:
    run("config", "set", "chunk_size", "8MiB")
    assert run("put", big).code == 0
    assert server.count("PATCH") == 3


def test_a_setting_can_be_read_changed_and_left_to_its_default(
    run: Run, file: Path, big: Path
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(f'# mine\nretries = 3 # few\nca = "{big}"\n')
    assert run("config", "get", "retries").out == "3\n"
    assert run("config", "set", "retries", 5).code == 0
    assert file.read_text() == f'# mine\nca = "{big}"\nretries = 5\n'
    assert run("config", "unset", "retries").code == 0
    assert tomllib.loads(file.read_text()) == {"ca": str(big)}
    assert run("config", "get", "retries").out == "10\n"
    assert run("config", "path").out == f"{file}\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_is_kept_by_its_whole_path(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").touch()
    run("config", "set", "ca", "ca.pem")
    assert run("config", "get", "ca").out == f"{tmp_path}/ca.pem\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("parallel", "0"), ("parallel", "many"), ("chunk_size", "much"), ("ca", "/not/there"),
     ("progress", "loud"), ("nothing", "1"), ("token", "secret")],
)  # fmt: skip
def test_what_no_command_would_take_is_not_kept(
    run: Run, file: Path, name: str, value: str
) -> None:
    ran = run("config", "set", name, value)
    assert (ran.code, ran.out, file.exists()) == (2, "", False)


@pytest.mark.parametrize("text", ["parallel = 0", "nothing = 1", "[table]", "retries = true", "="])
def test_a_file_that_is_wrong_is_named_by_every_command_and_left_alone(
    run: Run, file: Path, text: str
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for args in (("ls",), ("config",), ("config", "set", "retries", "1")):
        ran = run(*args)
        assert (ran.code, str(file) in ran.err) == (2, True), args
    assert file.read_text() == text
    assert run("config", "path").code == 0
    assert run("--version").code == 0


def test_no_secret_is_shown_or_taken_from_the_command_line(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("config", "set", "proxy", "http://me:secret@proxy.invalid").code == 2
    monkeypatch.setenv("TOWPATH_PROXY", "http://me:secret@proxy.invalid:3128")
    monkeypatch.setenv("TOWPATH_TOKEN", "tow_secret")
    out = run("config").out
    assert ":secret" not in out
    assert "tow_secret" not in out
    assert "http://***@proxy.invalid:3128" in out


def test_a_new_settings_file_has_every_setting_and_changes_none(run: Run) -> None:
    before = run("config", "show", "--origin").out
    path = Path(run("config", "init").out.strip())
    text = path.read_text()
    assert run("config", "show", "--origin").out == before
    chosen = re.sub(r"(?m)^# (\w+ = (?!\"\"))", r"\1", text)  # every default that says something
    path.write_text(chosen)
    origins = {each["name"]: each["origin"] for each in run("config", "--json").records("setting")}
    assert (origins["parallel"], origins["progress"]) == (str(path), str(path))
    assert all(f"# {name} = " in text for name in SETTINGS)


def test_a_settings_file_is_replaced_only_by_force(run: Run) -> None:
    run("config", "set", "parallel", "7")
    ran = run("config", "init")
    assert (ran.code, "add --force" in ran.err) == (8, True)
    assert run("config", "get", "parallel").out == "7\n"
    assert run("config", "init", "--force").code == 0
    assert run("config", "get", "parallel").out == "4\n"


def test_values_are_shown_with_and_without_their_origin(run: Run) -> None:
    run("config", "set", "parallel", "7")
    assert "\nparallel    7\n" in run("config", "show").out
    assert "config.toml" not in run("config", "show").out
    assert "config.toml" in run("config", "show", "--origin").out
    assert run("config", "show", "--origin").out == run("config").out
