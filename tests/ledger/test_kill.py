"""A process that is killed while it commits has kept what it acknowledged, nothing by halves."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledger.conftest import sqlite
from towpath.core.model import Island, Upload
from towpath.ledger.base import Query
from towpath.ledger.sql import SqlLedger

ROUNDS = 5
PROGRAM = Path(__file__).with_name("committing.py")


def acknowledged(url: str, enough: int) -> set[tuple[str, int]]:
    """Run the program, kill it after it acknowledged `enough` commits; return all it did."""
    with subprocess.Popen([sys.executable, PROGRAM, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(enough)]
        process.kill()
        lines += process.stdout.readlines()
    pairs = (line.decode().split() for line in lines)
    return {(who, int(start)) for who, start in pairs}


@pytest.mark.timeout(120)  # up to 2000 commits, one after the other
def test_acknowledged_commits_are_there_after_kill_9_again_and_again(
    file: Path, commit_seed: int
) -> None:
    dice = random.Random(commit_seed)
    url = sqlite(file)
    promised: set[tuple[str, int]] = set()
    for _ in range(ROUNDS):
        promised |= acknowledged(url, dice.randrange(1, 400))
        ledger = SqlLedger(url)
        islands = ledger.list(Island, Query(limit=1_000_000))
        assert promised <= {(row.upload, row.start) for row in islands}
        for row in ledger.list(Upload, Query()):
            own = [found.start for found in islands if found.upload == row.id]
            assert own == list(range(row.offset))
            assert row.version == row.offset + 1
        ledger.close()
