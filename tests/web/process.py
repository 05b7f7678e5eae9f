"""A server as a process of its own, that a test may end and start again on the same data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.web.running import PATIENCE, Served, until_it_listens
from towpath.testing.server import free_port

SERVE = """
import json, sys
from pathlib import Path
from towpath.assemble import serve
told = json.loads(sys.argv[1])
raise SystemExit(serve(**{**told, "data": Path(told["data"])}))
"""


class Process:
    """A server's process on one data directory and one port."""

    def __init__(self, kind: str, folder: Path, **settings: Any) -> None:
        self.port = free_port()
        self.log = folder / "log"
        told = {"data": str(folder / "data"), "log_format": "json", **settings}
        self._environment = dict(os.environ)
        if kind == "granian":
            words = ["--interface", "asgi", "--factory", "--port", str(self.port)]
            words += ["--workers-kill-timeout", "2s"]
            self._words = ["-m", "granian", *words, "towpath.asgi:from_environment"]
            settings_of = {f"TOWPATH_{name.upper()}": str(value) for name, value in told.items()}
            self._environment |= settings_of
        else:
            told |= {"port": self.port, "direct": kind == "direct"}
            self._words = ["-c", SERVE, json.dumps(told)]
        self.served = Served(kind, f"http://127.0.0.1:{self.port}", folder / "data")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *self._words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        until_it_listens(("127.0.0.1", self.port), process, self.log)
        return process

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait until it has ended; the exit code."""
        self.send(number)
        try:
            code = self._process.wait(PATIENCE / 2)
        except subprocess.TimeoutExpired:
            if self.served.kind != "granian":  # which now and then does not end by itself
                raise
            self._process.kill()
            code = self._process.wait(PATIENCE / 2)
        self._end_workers()
        return code

    def start_again(self) -> None:
        """A new process on the same data; the one before has ended."""
        self._process = self._start()

    def entries(self) -> list[dict[str, Any]]:
        """What it has logged: one JSON document a line."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def close(self) -> None:
        """End it if it runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(PATIENCE)
        self._end_workers()

    def _end_workers(self) -> None:
        """End what the process left behind: Granian's workers outlive one that is killed."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            while time.monotonic() < deadline:  # until they let go of the data
                os.killpg(self._process.pid, 0)
                time.sleep(0.01)
            raise AssertionError("workers that were killed have not ended")


@contextmanager
def process(kind: str, folder: Path, **settings: Any) -> Iterator[Process]:
    """A process until the `with` ends."""
    made = Process(kind, folder, **settings)
    try:
        yield made
    finally:
        made.close()
