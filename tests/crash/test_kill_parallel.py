"""Whoever is killed while four connections carry a file: it ends whole, and little travels again.

Kills strike at bytes that pass the wire. What travels in all is the file and, for each kill, at
most a chunk a connection. `pytest tests/crash/test_kill_parallel.py --seed <seed> -k <number>`
repeats a failure.
"""

from __future__ import annotations

import functools
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from towpath.client import Client
from towpath.testing.journey import HEADS, SOON, Kill, dice_kills
from towpath.testing.overheard import Overheard
from towpath.testing.pattern import Pattern
from towpath.testing.plan import Lane, Plan
from towpath.testing.program import Program
from towpath.testing.server import Server, towpath_serve
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
LENGTH = 64 * MIB
CONNECTIONS = 4
CHUNK = 8 * MIB  # the largest, unless somebody says another
RATE = 24 * MIB  # bytes a second of a connection: kills are to strike amid many
FAST, IN_A_PORTION, PORTIONS = 2, 10, 5
RUNS = 5  # of the client at most
Dicing = Callable[[random.Random, int], list[Kill]]


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file to carry."""
    pattern = Pattern("kill parallel")
    return pattern.write(tmp_path_factory.mktemp("source") / "big.bin", LENGTH)


def strike(wire: Wire, victims: Sequence[Program], _: object) -> None:
    """Kill; this runs on the wire's loop, at the very byte."""
    wire.hold()
    for victim in victims:
        victim.signal(signal.SIGKILL)


def over(client: Program, passed: Callable[[], int], at: int) -> bool:
    """So many bytes have passed, or nobody is there who would send more."""
    return passed() >= at or client.exit_code() is not None


def through_kills(
    client: Program, server: Server, wire: Wire, passed: Callable[[], int], kills: Sequence[Kill]
) -> None:
    """Start the client, let the kills strike, and see it end well."""
    both = {"server": server, "client": client}
    with client:
        for kill in kills:
            victims = [both[name] for name in sorted(kill.victims)]
            reached = wire.when(functools.partial(over, client, passed, kill.at))
            reached.add_done_callback(functools.partial(strike, wire, victims))
            reached.result(SOON)
            for victim in victims:
                victim.kill()
            wire.when(wire.quiet).result(SOON)
            if "server" in kill.victims:
                server.start()
            wire.let_go()
            if "client" in kill.victims:
                client.start()
        for _ in range(RUNS):
            if client.wait(SOON) == 0:
                return
            client.start()
        raise AssertionError(f"the client does not end well:\n{client.tail()}")


def late_kill(dice: random.Random, _: int) -> list[Kill]:
    """One of the client, so late that to begin anew would send more than may travel again."""
    victims = dice.choice([frozenset({"client"}), frozenset({"server", "client"})])
    return [Kill(dice.randrange(LENGTH * 3 // 4, LENGTH - 4 * MIB), victims)]


def survives(
    folder: Path, file: Path, program: Sequence[str], name: str, dicing: Dicing = dice_kills
) -> None:
    """There and back, through the kills that are diced for that name."""
    folder.mkdir()
    dice = random.Random(name)
    plan = Plan(up=Lane(rate=RATE), down=Lane(rate=RATE))
    serve = towpath_serve(program=program)
    heard = Overheard()
    with (
        Server(folder / "data", command=serve) as server,
        threaded(Wire("127.0.0.1", server.port, plan=lambda _: plan, tap=heard)) as wire,
    ):
        environment = {
            "XDG_STATE_HOME": str(folder / "state"),
            "TOWPATH_URL": f"http://127.0.0.1:{wire.port}",
        }
        many = ["--connections", str(CONNECTIONS)]
        put = [*program, "put", str(file), "big.bin", *many]
        get = [*program, "get", "big.bin", str(folder / "copy"), *many]
        for words, way in ((put, "up"), (get, "down")):
            passed = functools.partial(getattr, wire, way)
            before, kills = passed(), dicing(dice, LENGTH)
            later = [Kill(before + kill.at, kill.victims) for kill in kills]
            client = Program(words, log=folder / "client.log", environment=environment)
            through_kills(client, server, wire, passed, later)
            allowed = LENGTH + len(kills) * CONNECTIONS * CHUNK + HEADS
            assert passed() - before <= allowed, f"{way}, {kills}"
        assert any(each.method == "PUT" for each in heard.requests)
        with Client(server.url, state_dir=folder / "reader") as reader:
            assert reader.stat("big.bin").length == LENGTH
        assert Pattern("kill parallel").holds(0, (folder / "copy").read_bytes())
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > MIB:
            path.unlink()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(FAST))
def test_a_file_by_four_connections_survives_kills(
    tmp_path: Path, big: Path, program: Sequence[str], commit_seed: int, number: int
) -> None:
    survives(tmp_path / "x", big, program, f"{commit_seed}/{number}", late_kill)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_ten_files_by_four_connections_survive_kills(
    tmp_path: Path, big: Path, program: Sequence[str], commit_seed: int, portion: int
) -> None:
    for number in range(portion * IN_A_PORTION, (portion + 1) * IN_A_PORTION):
        survives(tmp_path / str(number), big, program, f"{commit_seed}/{number}")
