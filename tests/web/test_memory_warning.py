"""The thresholds of memory: a warning in what tells of health, then a message to who listens."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.web.forming import Forms
from tests.web.listening import room
from tests.web.running import PATIENCE, Served
from tests.web.sessions import BASE
from tests.web.talk import Tus
from towpath.assemble import application, service
from towpath.engine.engine import Engine
from towpath.settings import load
from towpath.web.gate import LoopbackGate
from towpath.web.server import server as make_server

T = TypeVar("T")
MIB = 1 << 20


@dataclass
class Made:
    """What stands behind a server in this process."""

    engine: Engine
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on its loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


@contextmanager
def serving(data: Path, **settings: Any) -> Iterator[tuple[Served, Made]]:
    """A server, and what stands behind it."""
    behind = service(load({"data": data, **settings}, environment=False))
    urls: queue.Queue[tuple[str, asyncio.AbstractEventLoop]] = queue.Queue()
    server = make_server(
        application(behind, LoopbackGate()),
        at=("127.0.0.1", 0),
        http="httptools",
        tls=None,
        patience=5,
        drain=behind.drain,
        announce=lambda url: urls.put((url, asyncio.get_running_loop())),
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        url, loop = urls.get(timeout=PATIENCE)
        yield Served("plain", url, data), Made(behind.engine, loop)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def test_memory_that_is_nearly_used_up_is_warned_of_everywhere(tmp_path: Path) -> None:
    taken: list[bytearray] = []
    with serving(tmp_path / "data", memory=MIB, workers=64) as (served, made):
        governor, client = made.engine.governor, Forms(served, BASE)

        def take(share: float) -> None:
            """Hold so much of the memory for uploads."""
            while governor.reserved < share * governor.budget:
                taken.append(made.run(governor.take()))

        with room(served, "x") as socket:
            socket.until(type="connected")
            take(0.75)
            assert client.ask("GET", "/memory-stats").document["status"] == "healthy"
            assert b"[+] memory ok" in Tus(served).ask("GET", "/readyz?verbose").body
            take(0.85)
            assert client.ask("GET", "/memory-stats").document["status"] == "warning"
            ready = Tus(served).ask("GET", "/readyz?verbose")
            assert ready.status == 200
            assert b"[!] memory warning: 88 % of it is in use" in ready.body
            assert socket.quiet(0.6)
            take(0.91)
            warned = socket.until(type="memory_warning")
            assert warned.keys() == {"type", "data"}
            assert warned["data"].pop("warning")
            assert warned["data"] == {"memory_usage_mb": 0.94, "memory_limit_mb": 1.0}
            assert socket.quiet(0.6), "once is enough for a while"
        for block in taken:
            governor.give(block)
