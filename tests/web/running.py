"""Servers for tests: uvicorn with the direct protocol, plain uvicorn, Granian, and by TLS.

The uvicorn ones run in a thread of the test's process, so that blocking calls on their loop fail
the test; Granian runs as a process of its own. All are the real thing: assembled as they are for
users, on a data directory and a port of their own.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.web.certificate import make_certificate
from towpath.assemble import server
from towpath.settings import load
from towpath.testing.server import free_port

PATIENCE = 20.0  # seconds that anything may take before a test fails
_connected: list[socket.socket] = []  # by tests that have not ended
KINDS = ("direct", "plain", "granian", "tls")


def hang_up() -> None:
    """Close what a test has connected; one that failed may have left it open."""
    while _connected:
        _connected.pop().close()


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    kind: str
    url: str
    data: Path
    trust: Path | None = None  # the certificate to trust

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def owns_wire(self) -> bool:
        """True where our protocol class answers what never reaches the application."""
        return self.kind in {"direct", "tls"}

    def connect(self) -> socket.socket:
        """A connection, through TLS if that is what it speaks."""
        line = socket.create_connection(self.address, timeout=PATIENCE)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.trust is not None:
            context = ssl.create_default_context(cafile=self.trust)
            line = context.wrap_socket(line, server_hostname="127.0.0.1")
        _connected.append(line)
        return line

    def files(self) -> dict[str, bytes]:
        """Every file of the store with its content."""
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for folder in ("uploads", "objects", "lost+found")
            for path in sorted((self.data / folder).rglob("*"))
            if path.is_file()
        }

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the ledger, read by another connection."""
        with contextlib.closing(sqlite3.connect(self.data / "ledger.db")) as ledger:
            tables = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: sorted(ledger.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)  # noqa: S608
                for (name,) in tables.fetchall()
            }

    def everything(self) -> tuple[dict[str, bytes], dict[str, list[tuple[Any, ...]]]]:
        """All that it keeps, to be compared."""
        return self.files(), self.rows()

    def lines_of(self, table: str, where: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of one table as mappings."""
        with contextlib.closing(sqlite3.connect(self.data / "ledger.db")) as ledger:
            ledger.row_factory = sqlite3.Row
            found = ledger.execute(f'SELECT * FROM "{table}" WHERE {where}', values)  # noqa: S608
            return [dict(row) for row in found.fetchall()]


def running(
    kind: str, folder: Path, *, hooks: object | None = None, **settings: Any
) -> AbstractContextManager[Served]:
    """A server of that kind with these settings and hooks, until the `with` ends."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "granian":
        assert hooks is None, "a process of its own has none of ours"
        return _granian(folder, settings)
    return _uvicorn(kind, folder, settings, hooks)


@contextmanager
def _uvicorn(
    kind: str, folder: Path, settings: dict[str, Any], hooks: object | None
) -> Iterator[Served]:
    data, trust = folder / "data", None
    settings = {"data": data, "port": 0, "direct": kind != "plain", **settings}
    if kind == "tls":
        trust, key = make_certificate(folder)
        settings |= {"tls_cert": trust, "tls_key": key}
    urls: queue.Queue[str] = queue.Queue()
    serving = server(load(settings, environment=False), announce=urls.put, hooks=hooks)
    thread = threading.Thread(target=serving.run, name=f"server-{kind}", daemon=True)
    thread.start()
    try:
        yield Served(kind, urls.get(timeout=PATIENCE), data, trust)
    finally:
        serving.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not end"


@contextmanager
def _granian(folder: Path, settings: dict[str, Any]) -> Iterator[Served]:
    data, port = folder / "data", free_port()
    told = {"data": data, **settings}
    environment = {f"TOWPATH_{name.upper()}": str(value) for name, value in told.items()}
    words = ["granian", "--interface", "asgi", "--factory", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words, "towpath.asgi:from_environment"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until_it_listens(("127.0.0.1", port), process, folder / "log")
            yield Served("granian", f"http://127.0.0.1:{port}", data)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            with contextlib.suppress(ProcessLookupError):  # its workers may outlive it
                os.killpg(process.pid, signal.SIGKILL)


def until_it_listens(address: tuple[str, int], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody accepts there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.02)


class House:
    """Servers that tests share: one for each kind and settings, started when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Served] = {}
        self._stack = ExitStack()

    def get(self, kind: str, **settings: Any) -> Served:
        """The server of that kind and with these settings."""
        key = repr((kind, sorted(settings.items())))
        if key not in self._running:
            place = self._folder / f"{kind}{len(self._running)}"
            self._running[key] = self._stack.enter_context(running(kind, place, **settings))
        return self._running[key]

    def close(self) -> None:
        """End them all."""
        self._stack.close()
