"""A program that a test starts and may kill, stop and wake.

Rules: it has its own process group, and only that group is ever signalled; what it prints goes to
a file; at the end of the `with` nothing of it is left running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from towpath.testing import procfs

ENDS_IN = 30.0  # seconds that a signalled process has
TAIL = 60  # lines of the log that a failure shows


class ProgramFailed(AssertionError):
    """It did not do what the test needs of it."""


class Program:
    """One command, over as many processes as it takes."""

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that was started last."""
        if self._process is None:
            raise ProgramFailed(f"never started: {self.command}")
        return self._process.pid

    def __enter__(self) -> Self:
        """Start it."""
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
            error.add_note(f"the log {self.log} ends so:\n{self.tail()}")

    def start(self) -> None:
        """Start a process."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )

    def restart(self) -> None:
        """End it if it lives, and start it again."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """SIGKILL: no goodbye. Nothing happens when it has ended already."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self.wait(ENDS_IN)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(ENDS_IN)

    def stop(self) -> None:
        """SIGSTOP; returns when every thread of the process stands still."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def cont(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Signal its group and return at once."""
        # Until it is reaped the number cannot belong to anybody else.
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # its whole group has ended
                os.killpg(self._process.pid, number)

    def wait(self, timeout: float) -> int:
        """Its exit code, when it has ended."""
        if self._process is None:
            raise ProgramFailed(f"never started: {self.command}")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"still runs after {timeout} s:\n{self.tail()}") from None

    def watch(self, timeout: float) -> int:
        """The most memory that was resident, when it has ended well."""
        deadline = time.monotonic() + timeout
        peak = 0
        while self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended between the two looks
                peak = procfs.memory(self.pid).peak
            if time.monotonic() > deadline:
                raise ProgramFailed(f"still runs after {timeout} s:\n{self.tail()}")
            time.sleep(0.005)
        if self.exit_code() != 0:
            raise ProgramFailed(f"ended with {self.exit_code()}:\n{self.tail()}")
        return peak

    def exit_code(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

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
