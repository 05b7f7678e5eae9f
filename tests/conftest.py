"""What every test gets: an event loop that nobody blocks, and a seed that belongs to the commit.

What a file of tests leaves open fails that file.

TOWPATH_TEST_COMMAND replaces the program that whole-program tests start.
"""

import gc
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

from towpath.testing.server import TOWPATH

pytest_plugins = ["tests.web.fixtures"]

ROOT = Path(__file__).parent.parent

# No deadline: the machine is shared, and a slow example is no wrong one. The blob lets a failure
# seen elsewhere be replayed here.
hypothesis.settings.register_profile("towpath", deadline=None, print_blob=True)
hypothesis.settings.load_profile("towpath")


def seed_of_commit() -> int:
    """Return a number drawn from the commit; 0 outside a repository."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(head.stdout[:8], 16)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a failure seen under another commit be drawn again."""
    parser.addoption("--seed", type=int, default=None, help="draw samples from this number")


def pytest_configure() -> None:
    """Let programs that tests start hear Ctrl-C, also if a background shell has us ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> str:
    """Say how to repeat what is drawn."""
    return f"samples: --seed {_seed(config)}"


@pytest.fixture(scope="session")
def commit_seed(pytestconfig: pytest.Config) -> int:
    """Seed for tests that run a sample: the same for one commit, another for the next."""
    return _seed(pytestconfig)


@pytest.fixture(scope="session")
def program() -> Sequence[str]:
    """The words that start the program under test."""
    return shlex.split(os.environ.get("TOWPATH_TEST_COMMAND", "")) or TOWPATH


@pytest.fixture
def anyio_backend() -> str:
    """Run tests marked `anyio` on asyncio, which is what the server runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def unblocked_loop() -> Iterator[None]:
    """Fail a test in which Towpath's own code blocks an event loop, its own or a server's."""
    with blockbuster_ctx("towpath") as found:
        # One look at a small file of the server's own disk: a revoked token must not be let in.
        for name in ("os.stat", "io.TextIOWrapper.read", "io.BufferedReader.read", "os.read"):
            if name in found.functions:
                found.functions[name].can_block_in("towpath/web/token_file.py", "get")
        yield


@pytest.fixture(autouse=True, scope="module")
def nothing_left_open() -> Iterator[None]:
    """Let what a file of tests left open fail it, not the test that runs when it is collected."""
    yield
    gc.collect()


def _seed(config: pytest.Config) -> int:
    given: int | None = config.getoption("--seed")
    return seed_of_commit() if given is None else given
