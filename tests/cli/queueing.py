"""The worker of the queue as tests see it: a process in the background, started by commands."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from towpath.client.queue import Queue


class Runner:
    """The worker in the background, as its lock and its log show it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "runner.lock"

    @property
    def pid(self) -> int | None:
        """The process that holds the lock; None when there is none."""
        if not Queue(self.folder).is_worked_on:
            return None
        try:
            return int(self.lock.read_text() or 0) or None
        except (FileNotFoundError, ValueError):
            return None

    def wait_for(self, alive: bool) -> int | None:
        """Return when there is one, or none."""
        ends = time.monotonic() + 20
        while (self.pid is not None) is not alive:
            assert time.monotonic() < ends, self.log
            time.sleep(0.05)
        return self.pid

    def kill(self) -> None:
        """No goodbye."""
        pid = self.wait_for(alive=True)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.wait_for(alive=False)

    @property
    def log(self) -> str:
        path = self.folder / "runner.log"
        return path.read_text() if path.exists() else "(no log)"


@contextmanager
def worked(home: str) -> Iterator[Runner]:
    """The worker of a state folder; at the end none is left."""
    found = Runner(Path(home) / "towpath" / "queue")
    try:
        yield found
    finally:
        for process in psutil.process_iter():  # one may have just been started, and hold no lock
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("XDG_STATE_HOME") == home
                if ours and "towpath.cli.queue_runner" in process.cmdline():
                    process.terminate()
                    process.wait(20)
        found.wait_for(alive=False)
