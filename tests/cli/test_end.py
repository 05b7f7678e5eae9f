"""How the command's process ends: at once, but not before what belongs to its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = "import atexit, sys, threading, time\nfrom towpath.cli.main import run\n"


def ended(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What a process did that calls `run`."""
    return subprocess.run(
        [sys.executable, "-c", f"{BEGIN}{program}\nrun()", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "code"), [(["version"], 0), (["nothing-of-this-name"], 2), (["stat"], 2)]
)
def test_the_code_is_that_of_the_command_and_nothing_that_was_said_is_lost(
    words: list[str], code: int
) -> None:
    done = ended("atexit.register(print, 'the end')", *words)
    assert done.returncode == code
    assert done.stdout.endswith("the end\n")
    assert done.stdout.startswith("towpath ") or "Usage: towpath" in done.stderr


def test_who_still_works_is_waited_for() -> None:
    work = "lambda: (time.sleep(0.3), print('done'))"
    done = ended(f"threading.Thread(target={work}).start()", "version")
    assert (done.returncode, done.stdout.endswith("done\n")) == (0, True)


def test_the_interpreter_is_not_taken_apart() -> None:
    kept = "class Kept:\n    def __del__(self): print('taken apart', flush=True)\nkept = Kept()"
    done = ended(kept, "version")
    assert (done.returncode, "taken apart" in done.stdout) == (0, False)


def test_cycles_are_looked_for_seldom_while_a_command_runs() -> None:
    look = "import gc\nusual = gc.get_threshold()[0]\n"
    tell = "atexit.register(lambda: print(gc.isenabled(), gc.get_threshold()[0] > 5 * usual))"
    done = ended(look + tell, "version")
    assert (done.returncode, done.stdout.endswith("True True\n")) == (0, True)
