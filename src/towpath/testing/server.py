"""A real server process on one data directory and one port, over kills and restarts.

Rules: it is up when its live path answers 200; a process that ends before that raises with the
tail of its log.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from towpath.testing.program import Program, ProgramFailed
from towpath.testing.rawhttp import Gone, Line

STARTS_IN = 30.0  # seconds
PORTS = range(20_000, 32_768)  # Linux gives those from 32768 on to whoever asks for any
TOWPATH = (sys.executable, "-m", "towpath.cli.main")

Command = Callable[[int, Path], Sequence[str]]  # from port and data directory


def towpath_serve(*options: str, program: Sequence[str] = TOWPATH) -> Command:
    """The command of Towpath's own server, or of a program that takes the same words."""

    def command(port: int, data: Path) -> Sequence[str]:
        where = ["--host", "127.0.0.1", "--port", str(port), "--data", str(data)]
        return [*program, "serve", *where, *options]

    return command


def free_port() -> int:
    """A port that nobody listens on now, and that the system gives to nobody who asks for any.

    So it is still ours after a kill and a restart, whoever else runs tests beside us.
    """
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Server(Program):
    """One server, over as many processes as it takes."""

    def __init__(
        self,
        data: Path,
        *,
        command: Command | None = None,
        log: Path | None = None,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        alive_path: str = "/livez",
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.tls = tls
        self.alive_path = alive_path
        super().__init__(
            (command or towpath_serve())(self.port, data),
            log=log or data.with_name(data.name + ".log"),
            environment=environment,
        )

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start a process and wait until it answers."""
        super().start()
        try:
            self._wait_until_up()
        except BaseException:
            self.kill()
            raise

    def answers(self) -> bool:
        """True when it says that it lives."""
        try:
            with Line("127.0.0.1", self.port, self.tls, 5) as line:
                return line.ask("GET", self.alive_path, {"Connection": "close"}).status == 200
        except (OSError, Gone):
            return False

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + STARTS_IN
        while not self.answers():
            if (code := self.exit_code()) is not None:
                raise ProgramFailed(f"the server ended with {code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProgramFailed(f"no answer within {STARTS_IN} s:\n{self.tail()}")
            time.sleep(0.02)
