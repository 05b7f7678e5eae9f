"""Where settings come from: the working folder, the user's file, the machine's file.

The working folder may be a stranger's: what it says may lead nothing elsewhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.fake import FakeServer, serving
from towpath.cli import stored
from towpath.cli.layers import MACHINE, server_settings
from towpath.errors import SettingsError

Start = Callable[..., "subprocess.Popen[str]"]
HARMLESS = {"progress", "parallel", "retries", "chunk_size", "limit"}


@pytest.fixture
def here(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder / "towpath.toml"


@pytest.fixture
def mine(run: Run, tmp_path: Path) -> Path:
    return _beside(tmp_path / "config" / "towpath" / "config.toml")


@pytest.fixture
def machine(run: Run, tmp_path: Path) -> Path:
    return _beside(tmp_path / "etc" / "config.toml")


def _beside(file: Path) -> Path:
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such folder")
def test_the_file_of_the_machine_is_in_etc() -> None:
    assert Path("/etc/towpath/config.toml") == MACHINE


def test_the_nearest_file_counts_and_is_named(
    run: Run, here: Path, mine: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, number in ((machine, 1), (mine, 2), (here, 3)):
        file.write_text(f'parallel = {number}\nlimit = "{number}M"\n')
        assert run("config", "get", "parallel").out == f"{number}\n"
        assert str(file) in run("config", "show", "--origin").out
    monkeypatch.setenv("TOWPATH_LIMIT", "9M")
    found = {each["name"]: each for each in run("config", "--json").records("setting")}
    assert (found["limit"]["value"], found["limit"]["origin"]) == ("9M", "TOWPATH_LIMIT")
    assert found["parallel"]["origin"] == str(here)
    assert found["retries"]["origin"] == "default"


def test_the_files_of_user_and_machine_may_say_all(
    run: Run,
    server: FakeServer,
    mine: Path,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TOWPATH_URL")
    server.add("there", b"")
    machine.write_text(f'url = "{server.url}"\n')
    assert run("ls").out == "there\n"
    with serving() as other:
        other.add("mine", b"")
        mine.write_text(f'url = "{other.url}"\n')
        assert run("ls").out == "mine\n"


def test_the_working_folder_sets_what_leads_nothing_elsewhere(
    run: Run, here: Path, server: FakeServer, big: Path
) -> None:
    here.write_text('chunk_size = "8MiB"\n')
    assert run("put", big).code == 0
    assert server.count("PATCH") == 3
    assert {name for name, setting in stored.SETTINGS.items() if setting.here} == HARMLESS


@pytest.mark.parametrize("name", sorted(set(stored.SETTINGS) - HARMLESS))
def test_the_working_folder_cannot_redirect_a_token_or_what_is_trusted(
    run: Run, here: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("TOWPATH_URL")
    monkeypatch.setenv("TOWPATH_TOKEN", "tow_secret")
    value = {"url": server.url, "proxy": server.url}.get(name, str(here))
    here.write_text(f'{name} = "{value}"\n')
    for args in (("ls",), ("put", here), ("config",)):
        ran = run(*args)
        assert (ran.code, server.requests) == (2, []), args
        assert f"{here} must not set '{name}'." in ran.err


@pytest.mark.parametrize("text", ["nothing = 1", "retries = 'many'", "=", "a" * 70_000])
def test_a_file_that_is_wrong_is_named(run: Run, here: Path, text: str) -> None:
    here.write_text(text)
    ran = run("ls")
    assert (ran.code, str(here.name) in ran.err) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="no such pipes there")
def test_a_pipe_in_the_place_of_the_file_holds_nobody_up(run: Run, here: Path) -> None:
    os.mkfifo(here)
    ran = run("ls")
    assert (ran.code, "It is no file." in ran.err) == (2, True)


def test_a_setting_that_is_kept_stays_above_the_table_of_the_server(run: Run, mine: Path) -> None:
    mine.write_text("[server]\nport = 9000\n")
    assert run("config", "set", "parallel", 2).code == 0
    assert mine.read_text() == "parallel = 2\n[server]\nport = 9000\n"
    assert run("config", "get", "parallel").out == "2\n"


def test_what_is_kept_is_the_users_own_and_the_working_folder_counts_before(
    run: Run, here: Path, mine: Path
) -> None:
    here.write_text("parallel = 3\n")
    ran = run("config", "set", "parallel", 5)
    assert mine.read_text() == "parallel = 5\n"
    assert f"{here} says it, too, and counts before {mine}." in ran.err


def test_a_server_reads_its_table_in_each_file(here: Path, mine: Path, machine: Path) -> None:
    machine.write_text('[server]\nhost = "::1"\nport = 1\nlog_level = "error"\n')
    mine.write_text("[server]\nport = 2\n")
    here.write_text("[server]\nport = 3\n")
    assert server_settings() == {"host": "::1", "port": 3, "log_level": "error"}


@pytest.mark.parametrize("name", ["host", "data", "tokens", "hook", "anonymous_anywhere"])
def test_the_working_folder_opens_no_server(here: Path, name: str) -> None:
    here.write_text(f'[server]\n{name} = "x"\n')
    with pytest.raises(SettingsError, match=f"must not set '{name}'"):
        server_settings()


def test_a_server_that_is_no_table_is_refused(mine: Path) -> None:
    mine.write_text("server = 1\n")
    with pytest.raises(SettingsError, match="server in"):
        server_settings()


def test_serve_goes_by_the_files_unless_one_is_named(
    run: Run, start: Start, here: Path, mine: Path, tmp_path: Path
) -> None:
    mine.write_text(f'[server]\ndata = "{tmp_path}/kept"\nport = 0\n')
    with start("serve") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Towpath listens on ")
        process.terminate()
    assert (tmp_path / "kept").is_dir()
    here.write_text('[server]\nhost = "0.0.0.0"\n')
    ran = run("serve", "--data", tmp_path / "new")
    assert (ran.code, f"{here} must not set 'host'." in ran.err) == (2, True)
    named = tmp_path / "named.toml"
    named.write_text('log_level = "no"\n')
    ran = run("ledger", "rebuild", "--data", tmp_path, "--config", named)
    assert "must not set" not in ran.err
