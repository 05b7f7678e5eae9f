"""Whoever is killed, whenever: the upload ends whole, and no acknowledged byte travels again.

A failure prints the seed, the number and what happened; the same command repeats it:
`pytest tests/crash/test_kill_anything.py --seed <seed> -k <number>`. With
TOWPATH_TEST_RECORDS=<file> a line of JSON is added there for every upload.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from towpath.settings import Settings
from towpath.testing.journey import Journey, Kill, dice_kills, socket_bytes
from towpath.testing.pattern import Pattern

LENGTH = 200 * 1024 * 1024
SETTLE_BYTES = Settings().settle_bytes
FAST = 10
PORTIONS = 50
IN_A_PORTION = 10
IN_ORDER = ("--connections", "1")  # many are for test_kill_transfers
STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "testing" / "stand_in.py"))


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file to upload and its digest."""
    pattern = Pattern("kill anything")
    path = pattern.write(tmp_path_factory.mktemp("source") / "big.bin", LENGTH)
    return path, pattern.sha256(LENGTH)


def survives(
    directory: Path, big: tuple[Path, str], program: Sequence[str], commit_seed: int, number: int
) -> None:
    """Upload the file through the kills that the seed has for this number."""
    file, digest = big
    directory.mkdir()
    kills = dice_kills(random.Random(f"{commit_seed}/{number}"), LENGTH)
    journey = Journey(
        directory,
        file,
        kills,
        again_at_most=SETTLE_BYTES + socket_bytes(),
        program=program,
        client_options=IN_ORDER,
    )
    try:
        assert journey.run() == (LENGTH, digest)
    except BaseException as error:
        error.add_note(f"--seed {commit_seed}, number {number}: {kills}")
        raise
    finally:
        write_record(commit_seed, number, journey)
        for path in (directory / "data").rglob("*"):
            if path.is_file():
                path.unlink()  # 500 times 200 MiB are too many


def write_record(commit_seed: int, number: int, journey: Journey) -> None:
    """Add what happened to the records, if somebody wants them."""
    wanted = os.environ.get("TOWPATH_TEST_RECORDS")
    if wanted:
        facts = {
            "seed": commit_seed,
            "number": number,
            "again": journey.again,
            "what": journey.record,
        }
        with Path(wanted).open("a") as file:
            file.write(json.dumps(facts) + "\n")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", range(FAST))
def test_an_upload_survives_kills(
    tmp_path: Path, big: tuple[Path, str], program: Sequence[str], commit_seed: int, number: int
) -> None:
    survives(tmp_path / str(number), big, program, commit_seed, number)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_ten_uploads_survive_kills(
    tmp_path: Path, big: tuple[Path, str], program: Sequence[str], commit_seed: int, portion: int
) -> None:
    for number in range(portion * IN_A_PORTION, (portion + 1) * IN_A_PORTION):
        survives(tmp_path / str(number), big, program, commit_seed, number)


# That the test would notice: a stand-in with one planted sin each must fail it.

SMALL = 48 * 1024 * 1024
MIB = 1024 * 1024


def small_journey(
    tmp_path: Path, *, serving: Sequence[str] = (), putting: Sequence[str] = ()
) -> tuple[Journey, str]:
    """An upload by the stand-in with a kill of both sides and one of the server."""
    pattern = Pattern("small")
    kills = [Kill(20 * MIB, frozenset({"server", "client"})), Kill(40 * MIB, frozenset({"server"}))]
    journey = Journey(
        tmp_path,
        pattern.write(tmp_path / "small.bin", SMALL),
        kills,
        again_at_most=4 * MIB + socket_bytes(),
        program=STAND_IN,
        server_options=serving,
        client_options=putting,
    )
    return journey, pattern.sha256(SMALL)


def test_a_stand_in_without_sin_passes(tmp_path: Path) -> None:
    journey, digest = small_journey(tmp_path)
    assert journey.run() == (SMALL, digest)
    assert len(journey.again) == 2


def test_a_server_that_forgets_is_noticed(tmp_path: Path) -> None:
    journey, _ = small_journey(tmp_path, serving=["--sin", "forgets"])
    with pytest.raises(AssertionError, match="lies below the offset"):
        journey.run()


def test_a_server_that_garbles_is_noticed(tmp_path: Path) -> None:
    journey, digest = small_journey(tmp_path, serving=["--sin", "garbles"])
    assert journey.run() != (SMALL, digest)


def test_a_client_that_sends_everything_again_is_noticed(tmp_path: Path) -> None:
    journey, _ = small_journey(tmp_path, putting=["--sin", "from-zero"])
    with pytest.raises(AssertionError, match="lies below the offset"):
        journey.run()
