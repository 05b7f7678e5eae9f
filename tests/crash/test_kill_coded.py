"""Whoever is killed while a coded file is carried: it ends whole, and little travels again.

Kills strike at bytes that pass the wire. What travels up in all is what is stored and, for each
kill, at most a chunk a connection. `pytest tests/crash/test_kill_coded.py --seed <seed> -k <name>`
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
from towpath.client.coded_sending import WORKERS
from towpath.codec.keys import Identity, KeyFile
from towpath.testing.journey import HEADS, SOON, Kill, dice_kills
from towpath.testing.pattern import Pattern
from towpath.testing.plan import Lane, Plan
from towpath.testing.program import Program
from towpath.testing.server import Server, towpath_serve
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
LENGTH = 24 * MIB
CHUNK = 1 * MIB
RATE = 24 * MIB  # bytes a second of a connection: kills are to strike amid many
IN_A_PORTION, PORTIONS = 7, 5
RUNS = 5  # of the client at most
WAYS = {
    "compressed": ["--compress"],
    "encrypted": ["--key-file", "key"],
    "both for another": ["--compress", "--recipient", "me.pub"],
}


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file to carry, and the keys beside it."""
    folder, me = tmp_path_factory.mktemp("source"), Identity.new()
    (folder / "key").write_text(KeyFile.new().text())
    (folder / "me").write_text(me.text())
    (folder / "me.pub").write_text(me.recipient.text())
    for name in ("key", "me"):
        (folder / name).chmod(0o600)
    return Pattern("kill coded").write(folder / "big.bin", LENGTH)


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


def survives(folder: Path, file: Path, program: Sequence[str], way: str, dice: str) -> None:
    """There and back, through the kills that the dice have."""
    folder.mkdir()
    dice_of_both = random.Random(f"{dice}/{way}")
    kills = dice_kills(dice_of_both, LENGTH)
    plan = Plan(up=Lane(rate=RATE), down=Lane(rate=RATE))
    source = file.parent
    with (
        Server(folder / "data", command=towpath_serve(program=program)) as server,
        threaded(Wire("127.0.0.1", server.port, plan=lambda _: plan)) as wire,
    ):
        environment = {
            "XDG_STATE_HOME": str(folder / "state"),
            "TOWPATH_URL": f"http://127.0.0.1:{wire.port}",
        }
        how = [str(source / each) if (source / each).exists() else each for each in WAYS[way]]
        put = [*program, "put", str(file), "big.bin", "--chunk-size", "1MiB", *how]
        client = Program(put, log=folder / "client.log", environment=environment)
        through_kills(client, server, wire, lambda: wire.up, kills)
        with Client(server.url, state_dir=folder / "reader") as reader:
            stored = reader.stat("big.bin").length
            assert wire.up <= stored + len(kills) * (WORKERS * CHUNK + HEADS) + HEADS, kills
        keys = [word for name in ("key", "me") for word in ("--key-file", str(source / name))]
        get = [*program, "get", "big.bin", str(folder / "copy"), *keys]
        client = Program(get, log=folder / "client.log", environment=environment)
        before = wire.down
        later = [  # always of the client: one that lives keeps idle connections open
            Kill(before + kill.at, kill.victims | {"client"})
            for kill in dice_kills(dice_of_both, LENGTH)
        ]
        through_kills(client, server, wire, lambda: wire.down, later)
        assert not (folder / "copy.part").exists()
        assert Pattern("kill coded").holds(0, (folder / "copy").read_bytes())
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > MIB:
            path.unlink()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", WAYS)
def test_a_coded_upload_survives_kills(
    tmp_path: Path, big: Path, program: Sequence[str], commit_seed: int, way: str
) -> None:
    survives(tmp_path / "one", big, program, way, f"{commit_seed}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_many_coded_uploads_survive_kills(
    tmp_path: Path, big: Path, program: Sequence[str], commit_seed: int, way: str, portion: int
) -> None:
    for number in range(portion * IN_A_PORTION, (portion + 1) * IN_A_PORTION):
        survives(tmp_path / f"{number}", big, program, way, f"{commit_seed}/{number}")
