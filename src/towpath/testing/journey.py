"""One upload with `towpath put`, carried through kills of the server, the client or both.

Rules: kills strike at bytes that pass the wire between the two, never at times; after each kill
everything stands still until the offset is known, so that every byte is counted for one leg; what
happened is recorded, and a failure shows it.

A leg is what lies between two kills. What must hold at its end, with `sent` the bytes that
reached the server's kernel in this leg:

    offset >= every offset that the server ever told
    sent - (offset - offset at the leg's begin) <= again_at_most
    every request with bytes begins at or after the leg's first offset
    in the last leg, sent <= length - offset: no acknowledged byte travels again
"""

from __future__ import annotations

import functools
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from towpath.testing.overheard import Overheard
from towpath.testing.program import Program
from towpath.testing.rawtus import RawTus
from towpath.testing.server import TOWPATH, Server, towpath_serve
from towpath.testing.wire import Wire, threaded

HEADS = 64 * 1024  # bytes of request heads that a leg may send beside the file's
SOON = 60.0  # seconds within which a leg must get on
RUNS = 4  # of the client, within the last leg


@dataclass(frozen=True, slots=True)
class Kill:
    """Who is killed, and after how many bytes on the wire."""

    at: int
    victims: frozenset[str]  # of "server" and "client"


def dice_kills(dice: random.Random, length: int) -> list[Kill]:
    """One to three kills of the server, the client or both, at any bytes of the upload."""
    victims = [frozenset({"server"}), frozenset({"client"}), frozenset({"server", "client"})]
    places = sorted(dice.sample(range(length), dice.randint(1, 3)))
    return [Kill(at, dice.choice(victims)) for at in places]


def socket_bytes() -> int:
    """What the two sockets of a connection hold at most: one's send, the other's receive buffer."""
    return sum(
        int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2])
        for name in ("tcp_wmem", "tcp_rmem")
    )


class Journey:
    """The upload of one file in one directory."""

    def __init__(
        self,
        directory: Path,
        file: Path,
        kills: Sequence[Kill],
        *,
        again_at_most: int,
        program: Sequence[str] = TOWPATH,
        server_options: Sequence[str] = (),
        client_options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.file = file
        self.length = file.stat().st_size
        self.kills = kills
        self.again_at_most = again_at_most
        self.record: list[str] = []
        self.again: list[int] = []  # bytes sent again, a leg
        self.heard = Overheard()
        serve = towpath_serve(*server_options, program=program)
        self.server = Server(directory / "data", command=serve, environment=environment)
        self.wire = Wire("127.0.0.1", self.server.port, tap=self.heard)
        self._put = [*program, "put", str(file), file.name, *client_options]
        self._state = {"XDG_STATE_HOME": str(directory / "state")} | dict(environment or {})
        self._log = directory / "client.log"
        self._offset = 0  # at the leg's begin
        self._passed = 0  # bytes on the wire by then
        self._requests = 0  # heads heard by then

    def run(self) -> tuple[int, str]:
        """Carry it through; the length and the SHA-256 of what the server holds then."""
        try:
            with self.server, threaded(self.wire):
                where = {"TOWPATH_URL": f"http://127.0.0.1:{self.wire.port}"}
                with Program(self._put, log=self._log, environment=self._state | where) as client:
                    for kill in self.kills:
                        self._leg(client, kill)
                    self._last_leg(client)
                return self._tus().sha256(self._path())
        except BaseException as error:
            error.add_note("what happened:\n" + "\n".join(self.record))
            raise

    def _leg(self, client: Program, kill: Kill) -> None:
        """Go on to the kill, let it strike, and see what is left."""
        reached = self.wire.when(lambda: self.wire.up >= kill.at or client.exit_code() is not None)
        reached.add_done_callback(functools.partial(self._strike, client, kill))
        reached.result(SOON)
        if self.wire.up < kill.at:
            raise AssertionError(f"the client ended by itself:\n{client.tail()}")
        for victim in self._victims(client, kill):
            victim.kill()
        self.wire.when(self.wire.quiet).result(SOON)
        self.record.append(f"killed {sorted(kill.victims)} at {kill.at}, wire at {self.wire.up}")
        if "server" in kill.victims:
            self.server.start()
        self._account()
        self.wire.let_go()
        if "client" in kill.victims:
            client.start()

    def _strike(self, client: Program, kill: Kill, _: object) -> None:
        """Kill; this runs on the wire's loop, at the very byte."""
        self.wire.hold()
        for victim in self._victims(client, kill):
            victim.signal(signal.SIGKILL)

    def _victims(self, client: Program, kill: Kill) -> list[Program]:
        both: dict[str, Program] = {"server": self.server, "client": client}
        return [both[name] for name in sorted(kill.victims)]

    def _last_leg(self, client: Program) -> None:
        """Let the client end well."""
        for run in range(RUNS):
            code = client.wait(SOON)
            self.record.append(f"the client ended with {code}, wire at {self.wire.up}")
            if code == 0:
                break
            if run == RUNS - 1:
                raise AssertionError(f"the client does not end well:\n{client.tail()}")
            client.start()
        self._check_places()
        sent = self.wire.up - self._passed
        left = self.length - self._offset
        if sent > left + HEADS:
            raise AssertionError(f"{sent} bytes were sent when {left} were left to send")

    def _account(self) -> None:
        """Compare what is acknowledged with what was sent."""
        sent = self.wire.up - self._passed
        offset = self._tus().offset(self._path()) if self._known() else 0
        again = sent - (offset - self._offset)
        self.record.append(f"offset {self._offset} -> {offset}, sent {sent}, again {again}")
        self.again.append(again)
        self._check_places()
        told = max(self.heard.told, self._offset)
        if offset < told:
            raise AssertionError(f"{told} was acknowledged, and now it is {offset}")
        if again > self.again_at_most + HEADS:
            raise AssertionError(f"{again} bytes are to be sent again: > {self.again_at_most}")
        self._offset, self._passed = offset, self.wire.up

    def _check_places(self) -> None:
        """No request of this leg puts bytes where there were some."""
        new = self.heard.requests[self._requests :]
        self._requests += len(new)
        self.record += [f"  {each.method} {each.path} {each.place}" for each in new]
        for each in new:
            if each.place is not None and each.place < self._offset:
                raise AssertionError(f"{each} lies below the offset {self._offset}")

    def _known(self) -> bool:
        return bool(self.heard.locations)

    def _path(self) -> str:
        """The upload as tus calls it, whatever the client calls it: the last part is its id."""
        path = urlsplit(self.heard.locations[-1]).path
        return "/files/" + path.rstrip("/").rpartition("/")[2]

    def _tus(self) -> RawTus:
        return RawTus(self.server.url)
