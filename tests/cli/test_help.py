"""What the command says of itself."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest

from tests.cli.conftest import SNAPSHOTS, Run
from towpath.cli.aliases import ALIASES
from towpath.cli.main import cli

Snapshot = Callable[[str, str], None]


def test_the_help_names_every_command(run: Run, snapshot: Snapshot) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    snapshot("help", ran.out)


def inside(command: click.Command, *names: str) -> Iterator[str]:
    """Every command below this one, groups too, by its words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield " ".join((*names, name))
            yield from inside(inner, *names, name)


EVERY = list(inside(cli))


def test_no_help_is_kept_of_a_command_that_is_gone() -> None:
    kept = {path.stem for path in SNAPSHOTS.glob("help-*.txt")}
    assert kept == {f"help-{command.replace(' ', '-')}" for command in EVERY}
    assert {"ledger rebuild", "token list", "config init"} <= {*EVERY}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_command_that_it_stands_for(run: Run, alias: str) -> None:
    assert run(*alias.split(), "-h").out == run(*ALIASES[alias].split(), "-h").out


@pytest.mark.parametrize("command", EVERY)
def test_each_command_explains_itself(run: Run, snapshot: Snapshot, command: str) -> None:
    ran = run(*command.split(), "-h")
    assert (ran.code, ran.err) == (0, "")
    snapshot(f"help-{command.replace(' ', '-')}", ran.out)


def test_no_option_takes_a_secret(run: Run) -> None:
    for command in EVERY:
        help_text = run(*command.split(), "-h").out
        assert not re.search(r"--(token|password|secret)\b(?!-file|s)", help_text)


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
