"""What tests of whole programs share: the program under test and the seed of the commit.

TOWPATH_TEST_COMMAND replaces `python -m towpath.cli.main`; TOWPATH_TEST_SEED replaces the commit.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from towpath.testing.server import TOWPATH


@pytest.fixture(scope="session")
def program() -> Sequence[str]:
    """The words that start the program."""
    return shlex.split(os.environ.get("TOWPATH_TEST_COMMAND", "")) or TOWPATH


@pytest.fixture(scope="session")
def seed() -> str:
    """A new one with each commit, the same on each run of it."""
    given = os.environ.get("TOWPATH_TEST_SEED")
    if given:
        return given
    here = Path(__file__).parent
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return git.stdout.strip() or "no commit"
