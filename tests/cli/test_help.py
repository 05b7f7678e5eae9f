"""What the command says of itself."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cli.conftest import Run
from towpath.cli.main import COMMANDS

Snapshot = Callable[[str, str], None]


def test_the_help_names_every_command(run: Run, snapshot: Snapshot) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    snapshot("help", ran.out)


INNER = (
    "config get",
    "config set",
    "config unset",
    "config path",
    "keys new",
    "keys wrap",
    "token new",
)


@pytest.mark.parametrize("command", [*COMMANDS, *INNER])
def test_each_command_explains_itself(run: Run, snapshot: Snapshot, command: str) -> None:
    ran = run(*command.split(), "-h")
    assert (ran.code, ran.err) == (0, "")
    snapshot(f"help-{command.replace(' ', '-')}", ran.out)


def test_no_option_takes_a_secret(run: Run) -> None:
    for command in COMMANDS:
        assert not re.search(r"--(token|password|secret)\b(?!-file|s)", run(command, "-h").out)


def test_the_version_is_said_both_ways(run: Run) -> None:
    assert re.fullmatch(r"towpath \S+\n", run("--version").out)
    assert run("version").out.startswith("towpath ")
    (record,) = run("version", "--json").records()
    assert record["type"] == "version"


@pytest.mark.parametrize("args", [["nothing"], ["put"], ["put", "--nothing", "x"], []])
def test_a_wrong_call_is_a_usage_error_on_stderr(run: Run, args: list[str]) -> None:
    ran = run(*args)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: towpath" in ran.err


@pytest.mark.parametrize("args", [["--version"], ["config", "path"], ["rm", "-h"], ["man", "rm"]])
def test_what_asks_no_server_loads_no_client(environment: dict[str, str], args: list[str]) -> None:
    program = (
        "import sys\nfrom towpath.cli.main import main\n"
        f"code = main({args!r})\n"
        "print(code, *({'h11', 'ssl', 'asyncio', 'rich', 'fastapi'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "0"
