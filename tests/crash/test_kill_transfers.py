"""Whoever is killed while a file goes there and back: the bytes are right, and few travel again.

Plain, compressed, encrypted; incompressible bytes; four connections where a file goes by many.
Kills strike at bytes that pass the wire, on the way up and on the way down. What travels each way
is what is stored and, for each kill, at most four chunks. Kills are late: before each of them more
has passed than all of them together allow, so that to begin anew after any of them is too much.
`pytest tests/crash/test_kill_transfers.py --seed <seed> -k "<number>-"` repeats a failure.
"""

from __future__ import annotations

import functools
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from towpath.client import Client
from towpath.codec.keys import Identity, KeyFile
from towpath.testing.journey import HEADS, SOON, Kill
from towpath.testing.pattern import Pattern
from towpath.testing.plan import Lane, Plan
from towpath.testing.program import Program
from towpath.testing.server import Server, towpath_serve
from towpath.testing.wire import Connection, Wire, threaded

MIB = 1024 * 1024
CONNECTIONS = 4
RATE = 24 * MIB  # bytes a second of a connection: kills are to strike amid many
LAST = 8 * MIB  # bytes before the end: a kill that comes later may find that all is there
FAST, IN_A_PORTION, PORTIONS = 10, 10, 10
RUNS = 5  # of the client at most
NAME = "big.bin"
KEYS = ("key", "me", "me.pub")  # words that name files beside the source
PATTERN = Pattern("kill transfers")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a file is carried. `length` and the largest chunks each way, in bytes."""

    length: int
    chunk_up: int
    chunk_down: int
    readers: int  # connections that bring it
    put: tuple[str, ...] = ()
    get: tuple[str, ...] = ()

    def again(self, way: str) -> int:
        """Bytes that may travel again for one kill."""
        return 4 * (self.chunk_up if way == "up" else self.chunk_down) + HEADS


def coded(put: str, get: str = "") -> Kind:
    """One that is carried as coded chunks; four of them are lost of three that come at once."""
    words = ("--chunk-size", "1MiB", *put.split())
    return Kind(24 * MIB, MIB, MIB, 3, words, tuple(get.split()))


KINDS = {  # chunks that come plain are as long as the client likes
    "plain": Kind(80 * MIB, MIB, 8 * MIB, CONNECTIONS, ("--chunk-size", "1MiB")),
    "compressed": coded("--compress"),
    "encrypted": coded("--key-file key", "--key-file key"),
    "both": coded("--compress --recipient me.pub", "--key-file me"),
}
VICTIMS = [frozenset({"server"}), frozenset({"client"}), frozenset({"server", "client"})]
OF_CLIENT = VICTIMS[1:]
Dicing = Callable[[random.Random, Kind, str], list[Kill]]


def kind_of(number: int) -> str:
    """Each in turn."""
    return list(KINDS)[number % len(KINDS)]


def dice_kills(dice: random.Random, kind: Kind, way: str) -> list[Kill]:
    """One to three of either side or both, as many as leave a place, and late.

    More has passed by then than all of them allow to travel again; the first of several may be
    early, when nothing can be asked.
    """
    again, end = kind.again(way), kind.length - LAST
    count = dice.randint(1, min(3, (end - 2 * MIB) // again))
    places = sorted(dice.sample(range(count * again + MIB, end), count))
    if count > 1 and dice.random() < 0.3:
        places[0] = dice.randrange(2 * MIB)
    return [Kill(at, dice.choice(VICTIMS)) for at in places]


def late_kill(dice: random.Random, kind: Kind, way: str) -> list[Kill]:
    """One of the client, late."""
    at = dice.randrange(kind.again(way) + MIB, kind.length - LAST)
    return [Kill(at, dice.choice(OF_CLIENT))]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files to carry, called by their lengths, and of the keys."""
    folder, me = tmp_path_factory.mktemp("source"), Identity.new()
    (folder / "key").write_text(KeyFile.new().text())
    (folder / "me").write_text(me.text())
    (folder / "me.pub").write_text(me.recipient.text())
    for name in ("key", "me"):
        (folder / name).chmod(0o600)
    for length in {kind.length for kind in KINDS.values()}:
        PATTERN.write(folder / str(length), length)
    return folder


class Overlap:
    """A wire's tap: how many connections carried much one way at once.

    A stretch is what passes one way of a connection before anything passes the other way.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self._open: dict[tuple[int, str], list[int]] = {}  # first piece, last piece, bytes
        self._ended: dict[str, list[list[int]]] = {"up": [], "down": []}

    def __call__(self, connection: Connection, way: str, piece: memoryview) -> None:
        """Listen to a piece that has passed."""
        self._pieces += 1
        other = "down" if way == "up" else "up"
        if (ended := self._open.pop((connection.number, other), None)) is not None:
            self._ended[other].append(ended)
        stretch = self._open.setdefault((connection.number, way), [self._pieces, 0, 0])
        stretch[1] = self._pieces
        stretch[2] += len(piece)

    def most(self, way: str) -> int:
        """The most that there were at once."""
        found = [*self._ended[way], *(one for key, one in self._open.items() if key[1] == way)]
        large = [(first, last) for first, last, count in found if count > HEADS]
        return max((sum(a <= first <= b for a, b in large) for first, _ in large), default=0)


def strike(wire: Wire, victims: Sequence[Program], _: object) -> None:
    """Kill; this runs on the wire's loop, at the very byte."""
    wire.hold()
    for victim in victims:
        victim.signal(signal.SIGKILL)


def over(
    client: Program, passed: Callable[[], int], kill: Kill, struck: Callable[[Kill], None]
) -> bool:
    """So many bytes have passed, of which `struck` is told, or nobody is there to send more."""
    if client.exit_code() is not None:
        return True
    if passed() < kill.at:
        return False
    struck(kill)
    return True


class Trip:
    """One file there and back, through kills, in one folder."""

    def __init__(
        self, folder: Path, source: Path, program: Sequence[str], kind: Kind, dice: random.Random
    ) -> None:
        folder.mkdir()
        self._folder = folder
        self._source = source
        self._program = program
        self._kind = kind
        self._dice = dice
        self._plan = Plan(up=Lane(rate=RATE), down=Lane(rate=RATE))
        self._overlap = Overlap()

    def survives(
        self, dicing: Dicing, *, putting: Sequence[str] = (), getting: Sequence[str] = ()
    ) -> None:
        """Carry it there and back, and hold what came to what was sent and to what may travel."""
        kind, copy = self._kind, self._folder / "copy"
        with self._server() as server, self._wire(server) as wire:
            put = [str(self._source / str(kind.length)), NAME, *kind.put, *putting]
            get = [NAME, str(copy), *kind.get, *getting]
            sent, struck = self._carried(server, wire, "put", put, "up", dicing)
            with Client(server.url, state_dir=self._folder / "reader") as reader:
                stored = reader.stat(NAME).length
            assert stored > 0.99 * kind.length, "these bytes are to be incompressible"
            assert sent <= stored + len(struck) * kind.again("up") + HEADS, "sent again"
            assert self._overlap.most("up") == CONNECTIONS
            self._overlap = wire.tap = Overlap()
            came, struck = self._carried(server, wire, "get", get, "down", dicing)
            assert came <= stored + len(struck) * kind.again("down") + HEADS, "brought again"
            assert self._overlap.most("down") == kind.readers
        data = copy.read_bytes()
        assert len(data) == kind.length
        assert PATTERN.holds(0, data)

    def clear(self) -> None:
        """Let go of what is large."""
        for path in self._folder.rglob("*"):
            if path.is_file() and path.stat().st_size > MIB:
                path.unlink()

    def _server(self) -> Server:
        return Server(self._folder / "data", command=towpath_serve(program=self._program))

    @contextmanager
    def _wire(self, server: Server) -> Iterator[Wire]:
        wire = Wire("127.0.0.1", server.port, plan=lambda _: self._plan, tap=self._overlap)
        with threaded(wire):
            yield wire

    def _carried(
        self,
        server: Server,
        wire: Wire,
        verb: str,
        words: Sequence[str],
        way: str,
        dicing: Dicing,
    ) -> tuple[int, list[Kill]]:
        """One way; the bytes that went it, and the kills that struck."""
        named = [str(self._source / word) if word in KEYS else word for word in words]
        client = Program(
            [*self._program, verb, *named, "--connections", str(CONNECTIONS)],
            log=self._folder / "client.log",
            environment={
                "XDG_STATE_HOME": str(self._folder / "state"),
                "TOWPATH_URL": f"http://127.0.0.1:{wire.port}",
            },
        )
        passed = functools.partial(getattr, wire, way)
        before, kills = passed(), dicing(self._dice, self._kind, way)
        struck: list[Kill] = []
        try:
            through_kills(client, server, wire, lambda: passed() - before, kills, struck.append)
            assert struck == kills
        except BaseException as error:
            error.add_note(f"{verb}: {kills}")
            raise
        return passed() - before, struck


def through_kills(
    client: Program,
    server: Server,
    wire: Wire,
    passed: Callable[[], int],
    kills: Sequence[Kill],
    struck: Callable[[Kill], None],
) -> None:
    """Start the client, let the kills strike, and see it end well; `struck` is told of each."""
    both = {"server": server, "client": client}

    def armed(kill: Kill) -> Future[None]:
        reached = wire.when(functools.partial(over, client, passed, kill, struck))
        victims = [both[name] for name in sorted(kill.victims)]
        reached.add_done_callback(functools.partial(strike, wire, victims))
        return reached

    with client:
        reached = armed(kills[0])
        for kill, following in zip(kills, [*kills[1:], None], strict=True):
            reached.result(SOON)
            for name in sorted(kill.victims):
                both[name].kill()
            ended = client.exit_code() == 0  # before it could be killed
            if "client" in kill.victims:  # one that lives may keep an idle connection open
                wire.when(wire.quiet).result(SOON)
            if "server" in kill.victims:
                server.start()
            if "client" in kill.victims and not ended:
                client.start()
            if following is not None and not ended:
                reached = armed(following)  # before another byte passes
            wire.let_go()
            if ended:
                return
        for _ in range(RUNS):
            if client.wait(SOON) == 0:
                return
            client.start()
        raise AssertionError(f"the client does not end well:\n{client.tail()}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("number", "kind"), [(each, kind_of(each)) for each in range(FAST)])
def test_a_file_survives_kills_there_and_back(
    tmp_path: Path, source: Path, program: Sequence[str], commit_seed: int, number: int, kind: str
) -> None:
    dice = random.Random(f"{commit_seed}/{number}")
    Trip(tmp_path / "trip", source, program, KINDS[kind], dice).survives(dice_kills)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("portion", range(PORTIONS))
def test_ten_files_survive_kills_there_and_back(
    tmp_path: Path, source: Path, program: Sequence[str], commit_seed: int, portion: int
) -> None:
    for number in range(portion * IN_A_PORTION, (portion + 1) * IN_A_PORTION):
        dice = random.Random(f"{commit_seed}/{number}")
        trip = Trip(tmp_path / str(number), source, program, KINDS[kind_of(number)], dice)
        try:
            trip.survives(dice_kills)
        except BaseException as error:
            error.add_note(f"--seed {commit_seed}, number {number}, {kind_of(number)}")
            raise
        trip.clear()


# That the tests would notice: a client that begins anew sends, or asks for, everything again.


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["plain", "compressed", "encrypted"])
@pytest.mark.parametrize(
    ("says", "anew"),
    [("sent again", {"putting": ["--restart"]}), ("brought again", {"getting": ["--restart"]})],
    ids=["up", "down"],
)
def test_a_client_that_begins_anew_is_noticed(
    tmp_path: Path,
    source: Path,
    program: Sequence[str],
    says: str,
    anew: dict[str, list[str]],
    kind: str,
) -> None:
    trip = Trip(tmp_path / "trip", source, program, KINDS[kind], random.Random(says))
    with pytest.raises(AssertionError, match=says):
        trip.survives(late_kill, **anew)


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("kind", KINDS)
def test_kills_strike_when_more_has_passed_than_may_travel_again(
    commit_seed: int, kind: str, way: str
) -> None:
    dice = random.Random(f"{commit_seed}/{kind}/{way}")
    for _ in range(1000):
        kills = dice_kills(dice, KINDS[kind], way)
        late = [kill for kill in kills if kill.at >= 2 * MIB]
        assert len(late) >= max(1, len(kills) - 1)
        assert all(kill.at > len(kills) * KINDS[kind].again(way) + HEADS for kill in late)
