"""A real server process that a test may kill, stop, wake and start again on the same data.

Rules: it has its own process group, and only that group is ever signalled; it is up when /livez
answers 200, and a process that ends before that raises with the tail of its log; at the end of the
`with` nothing of it is left running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from towpath.testing import procfs
from towpath.testing.rawhttp import Gone, Line

Command = Callable[[int, Path], Sequence[str]]  # from port and data directory

STARTS_IN = 30.0  # seconds
ENDS_IN = 30.0
TAIL = 60  # lines of the log that a failure shows


TOWPATH = (sys.executable, "-m", "towpath.cli.main")


def towpath_serve(*options: str, program: Sequence[str] = TOWPATH) -> Command:
    """The command of Towpath's own server, or of a program that takes the same words."""

    def command(port: int, data: Path) -> Sequence[str]:
        where = ["--host", "127.0.0.1", "--port", str(port), "--data", str(data)]
        return [*program, "serve", *where, *options]

    return command


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class ServerFailed(AssertionError):
    """The server did not come up, or ended when it should not have."""


class Server:
    """One server on one data directory and one port, over as many processes as it takes."""

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
        self.command = command or towpath_serve()
        self.log = log or data.with_name(data.name + ".log")
        self.port = port or free_port()
        self.environment = dict(environment or {})
        self.tls = tls
        self.alive_path = alive_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that was started last."""
        if self._process is None:
            raise ServerFailed("the server was never started")
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; a failure gets the tail of the log as a note."""
        self.kill()
        if error is not None:
            error.add_note(f"the server's log ends so ({self.log}):\n{self.tail()}")

    def start(self) -> None:
        """Start the process and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(self.port, self.data),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.kill()
            raise

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + STARTS_IN
        while not self.answers():
            if (code := self._exit_code()) is not None:
                raise ServerFailed(f"the server ended with {code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"no answer within {STARTS_IN} s:\n{self.tail()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """True when it says that it lives."""
        try:
            with Line("127.0.0.1", self.port, self.tls, 5) as line:
                return line.ask("GET", self.alive_path, {"Connection": "close"}).status == 200
        except (OSError, Gone):
            return False

    def kill(self) -> None:
        """SIGKILL: no goodbye. Nothing happens when it has ended already."""
        self._signal(signal.SIGKILL)
        self._reap()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self._signal(signal.SIGTERM)
        return self._reap()

    def stop(self) -> None:
        """SIGSTOP; returns when every thread stands still."""
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def cont(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """End it if it lives, and start it again on the same data and port."""
        self.kill()
        self.start()

    def memory(self) -> procfs.Memory:
        """Its resident memory, now and at most."""
        return procfs.memory(self.pid)

    def cpu_seconds(self) -> float:
        """Processor time of the process and its children."""
        return procfs.cpu_seconds(self.pid)

    def tail(self, lines: int = TAIL) -> str:
        """The end of the log."""
        if not self.log.exists():
            return "(no log)"
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def _signal(self, number: signal.Signals) -> None:
        # Until it is reaped the number cannot belong to anybody else.
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # its whole group has ended
                os.killpg(self._process.pid, number)

    def _reap(self) -> int:
        if self._process is None:
            return 0
        try:
            return self._process.wait(ENDS_IN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(ENDS_IN)
            raise ServerFailed(f"it did not end within {ENDS_IN} s:\n{self.tail()}") from None
