"""`towpath completion` and `towpath man`: made from the commands themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Run
from towpath.cli import exits, man
from towpath.cli.main import COMMANDS, cli

Snapshot = Callable[[str, str], None]


def told(words: str, count: int) -> list[tuple[str, str]]:
    """What a shell is told that could stand at the end of these words: kinds and values."""
    asked = {"_TOWPATH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    ran = subprocess.run(
        [sys.executable, "-m", "towpath"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        (kind, value)
        for kind, _, value in (each.partition(",") for each in ran.stdout.splitlines())
    ]


def completed(words: str, count: int) -> list[str]:
    return [value for _, value in told(words, count)]


def kinds(words: str, count: int) -> set[str]:
    return {kind for kind, _ in told(words, count)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_reads(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_TOWPATH_COMPLETE={shell}_complete" in ran.out
    if shutil.which(shell):
        ran_it = subprocess.run([shell, "-n"], input=ran.out, text=True, check=False)
        assert ran_it.returncode == 0


def test_bash_completes_with_the_script(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "towpath.bash"
    script.write_text(run("completion", "bash").out)
    command = tmp_path / "towpath"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m towpath "$@"\n')
    command.chmod(0o700)
    asked = (
        f"source {script}; complete -p towpath >&2; "
        "COMP_WORDS=(towpath trans); COMP_CWORD=1; _towpath_completion towpath; "
        'echo "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "--norc", "-c", asked],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("transfers\n", 0), ran.stderr


def test_commands_and_options_are_completed(environment: dict[str, str]) -> None:
    assert completed("towpath ", 1) == list(COMMANDS)
    assert completed("towpath l", 1) == [name for name in COMMANDS if name.startswith("l")]
    assert completed("towpath up", 1) == ["upload"]
    assert "--on-conflict" in completed("towpath put --on", 2)
    assert "--on-conflict" in completed("towpath upload --on", 2)
    assert "--files-from" in completed("towpath put --fi", 2)
    assert kinds("towpath put --files-from f", 3) == {"file"}
    assert completed("towpath put --progress ", 3) == ["auto", "bar", "plain", "json", "none"]
    assert completed("towpath token n", 2) == ["new"]
    for command in ("put", "hash", "verify name"):  # the shell itself knows files
        assert kinds(f"towpath {command} f", command.count(" ") + 2) == {"file"}


def test_a_command_is_completed_without_importing_any(environment: dict[str, str]) -> None:
    program = (
        "import sys, click\n"
        "from towpath.cli.main import cli\n"
        "cli.shell_complete(click.Context(cli), '')\n"
        "print(*(name for name in sys.modules if name.startswith('towpath.')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) <= {
        "towpath.cli",
        "towpath.cli.aliases",
        "towpath.cli.main",
        "towpath.cli.exits",
        "towpath.cli.output",
        "towpath.errors",
    }


def test_a_page_is_shown_on_stdout(run: Run, snapshot: Snapshot) -> None:
    ran = run("man", "rm")
    assert (ran.code, ran.err) == (0, "")
    snapshot("man-rm", re.sub(r'"towpath [^"]*"', '"towpath 1.2.3"', ran.out))
    assert '.TH "TOWPATH"' in run("man").out
    assert ".SH COMMANDS" in run("man", "token").out
    assert run("man", "nothing").code == 2


def test_every_command_has_a_page_and_pages_name_one_another(run: Run, tmp_path: Path) -> None:
    ran = run("man", "--to", tmp_path / "man1")
    pages = {path.name: path.read_text() for path in (tmp_path / "man1").iterdir()}
    assert set(ran.out.split()) == {str(tmp_path / "man1" / name) for name in pages}
    assert {"towpath.1", "towpath-token-new.1"} < pages.keys()
    assert {f"towpath-{name}.1" for name in COMMANDS} < pages.keys()
    for name, text in pages.items():
        related = re.findall(r"^\.BR (\S+) \(1\)", text, re.MULTILINE)
        assert all(f"{each.replace(chr(92), '')}.1" in pages for each in related), name


@pytest.mark.skipif(
    shutil.which("groff") is None, reason="LOUD: no page was read by groff: install groff"
)
def test_groff_reads_every_page_without_a_warning(run: Run, tmp_path: Path) -> None:
    run("man", "--to", tmp_path)
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *sorted(tmp_path.glob("*.1"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_text_that_means_something_to_roff_is_shown_as_it_is() -> None:
    assert man.escaped("a\\b --x") == "a\\eb \\-\\-x"
    assert man.escaped(".hidden") == "\\&.hidden"


def test_pages_list_every_exit_code() -> None:
    known = {
        str(value) for name, value in vars(exits).items() if name.isupper() and type(value) is int
    }
    assert {code for code, _ in man.CODES} == known


def test_each_command_says_the_same_in_the_list_as_it_is_documented() -> None:
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            assert command.help, name
