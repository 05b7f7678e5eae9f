"""The guards that every test relies on do guard."""

import asyncio
import time
import types

import pytest
from blockbuster import BlockingError

import towpath

OURS = f"{towpath.__path__[0]}/engine/sweep.py"


def code_in(path: str) -> types.ModuleType:
    """Return a module that sleeps, as if it stood in the file."""
    made = types.ModuleType("sleeper")
    source = "import time\n\ndef nap():\n    time.sleep(0.001)\n"
    exec(compile(source, path, "exec"), made.__dict__)  # noqa: S102 - our own two lines
    return made


@pytest.mark.anyio
async def test_blocking_the_loop_from_towpath_fails() -> None:
    with pytest.raises(BlockingError):
        code_in(OURS).nap()


@pytest.mark.anyio
async def test_blocking_the_loop_from_a_test_is_its_own_affair() -> None:
    time.sleep(0.001)  # noqa: ASYNC251 - what is tested
    code_in("elsewhere.py").nap()


@pytest.mark.anyio
async def test_blocking_in_a_worker_thread_is_allowed() -> None:
    await asyncio.to_thread(code_in(OURS).nap)


def test_the_seed_is_the_same_within_a_commit(
    commit_seed: int, pytestconfig: pytest.Config
) -> None:
    again = pytestconfig.getoption("--seed")
    assert commit_seed >= 0
    assert again is None or again == commit_seed
