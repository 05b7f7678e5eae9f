"""A server's engine with what runs beside it, from its beginning to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from towpath.core.model import Name, Upload
from towpath.core.news import WARN_ABOVE, weighs
from towpath.core.ports import Clock
from towpath.core.ranges import Extent
from towpath.engine.completions import Completions, Told
from towpath.engine.engine import Engine
from towpath.engine.hub import Hub
from towpath.engine.outbox import Chores
from towpath.engine.scrub import Scrub
from towpath.engine.shelf import Shelf
from towpath.engine.sweep import Sweep, Swept
from towpath.ledger.base import Ledger
from towpath.protocol.rooms import client_of
from towpath.settings import Settings
from towpath.store.base import Store
from towpath.web.calls import Calls

_log = logging.getLogger("towpath")

WARNING = "warning"
"""How a part begins that works, and may soon not."""

_FEW_FILES = 100


class Service:
    """A server's engine with what runs beside it, from its beginning to its end."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        link_keys: Mapping[str, bytes],
        calls: Calls | None = None,
        told: Told | None = None,
    ) -> None:
        """`told` is called with every object, once its upload is complete."""
        calls = calls or Calls()
        self.settings = settings
        self.link_keys = link_keys
        self.store = store
        self.ledger = ledger
        self.hub = Hub(clock, label=client_of, most=settings.listeners)
        self._completions = None if told is None else Completions(ledger, clock, told)
        self.engine = Engine(
            store=store,
            ledger=ledger,
            clock=clock,
            limits=settings.limits(),
            holder=f"{socket.gethostname()}:{os.getpid()}",
            events=self,
            hooks=calls.hooks,
            notes=calls.notes,
        )
        self._chores = Chores(
            ledger, clock, self.engine.do, calls.work, patience=settings.call_seconds + 30.0
        )
        self.shelf = Shelf(store=store, ledger=ledger, clock=clock, threads=self.engine.threads)
        self._sweep = Sweep(self.engine)
        self._scrub = Scrub(
            self.engine, every=int(settings.scrub_every * 1000), rate=settings.scrub_rate
        )
        self._clock = clock
        self._began = clock.monotonic()
        self._upkeep: list[asyncio.Task[None]] = []

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """What the engine tells; see `EventSink`."""
        self.hub.tell(kind, upload, extent)
        self._chores.tell(kind, upload, extent)
        if self._completions is not None:
            self._completions.tell(kind, upload)

    async def begin(self) -> None:
        """Complete what a crash left, then sweep and scrub from time to time."""
        await self._sweep.finish(Swept())
        self._upkeep.append(asyncio.create_task(self.hub.run(self.engine.moving, self._memory)))
        self._upkeep.append(asyncio.create_task(self._chores.run()))
        if self._completions is not None:
            self._upkeep.append(asyncio.create_task(self._completions.run()))
        if self.settings.sweep_seconds:
            self._upkeep.append(asyncio.create_task(self._from_time_to_time(self._sweep)))
        if self.settings.scrub_every:
            self._upkeep.append(asyncio.create_task(self._from_time_to_time(self._scrub)))

    async def drain(self) -> None:
        """End what is being received, with all of it settled. Called when the server stops."""
        await self.engine.drain()
        self.hub.close()

    async def end(self) -> None:
        """End everything."""
        self.hub.close()
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        await self.engine.close()
        await asyncio.to_thread(self.ledger.close)
        await asyncio.to_thread(self.store.close)

    async def check(self) -> tuple[bool, dict[str, str]]:
        """What /readyz tells."""
        parts = await self.engine.do(self._look)
        if self.engine.draining:
            parts["server"] = "is stopping"
        elif (governor := self.engine.governor).short and governor.waiting > governor.blocks:
            parts["memory"] = f"{governor.waiting} chunks wait for memory"
        elif weighs(*self._memory(), WARN_ABOVE):
            used, limit = self._memory()
            parts["memory"] = f"{WARNING}: {round(100 * used / limit)} % of it is in use"
        return all(said.startswith(("ok", WARNING)) for said in parts.values()), parts

    def about(self) -> dict[str, Any]:
        """What /api/v1/server tells. Blocks."""
        space, governor = self.store.space(), self.engine.governor
        return {
            "version": version("towpath"),
            "uptime_seconds": round(self._clock.monotonic() - self._began, 3),
            "writing": self.engine.writing,
            "durability": self.settings.durability,
            "settle_bytes": self.settings.settle_bytes,
            "memory": {
                "budget": governor.budget,
                "reserved": governor.reserved,
                "peak": governor.peak,
                "waiting": governor.waiting,
                "rss": _resident(),
            },
            "store": {"free": space.free, "total": space.total, "read_only": space.read_only},
        }

    def _memory(self) -> tuple[int, int]:
        """Bytes that uploads hold, and how many they may: the budget, or less for documents."""
        governor, told = self.engine.governor, self.settings.document_memory
        return governor.reserved, min(governor.budget, told or governor.budget)

    def _look(self) -> dict[str, str]:
        space = self.store.space()
        parts = {"server": "ok", "memory": "ok", "store": "ok", "ledger": "ok"}
        if space.read_only:
            parts["store"] = f"takes no writes: {space.read_only}"
        elif space.free is not None and space.free <= self.settings.min_free:
            parts["store"] = f"is full: {space.free} bytes are free"
        elif space.files is not None and space.files < _FEW_FILES:
            parts["store"] = f"is full: {space.files} more files can be made"
        try:
            self.ledger.get(Name, "", "")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            parts["ledger"] = f"does not answer: {error}"
        return parts

    async def _from_time_to_time(self, chore: Sweep | Scrub) -> None:
        while True:
            try:
                await chore.run()
            except Exception:  # noqa: BLE001  # a chore that fails must not end the others
                _log.exception("upkeep failed; it is tried again later")
            await self._clock.sleep(self.settings.sweep_seconds or 600.0)


def _resident() -> int | None:
    """Bytes of memory that this process has in RAM; None where that cannot be known."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
