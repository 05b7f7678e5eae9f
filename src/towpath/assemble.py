"""The composition root: the only file that names concrete stores, ledgers and servers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from towpath.core.model import Name, Upload
from towpath.core.news import WARN_ABOVE, weighs
from towpath.core.ports import Clock
from towpath.core.ranges import Extent
from towpath.engine.engine import Engine
from towpath.engine.hub import Hub
from towpath.engine.outbox import Chores
from towpath.engine.rebuild import Rebuilt, rebuild
from towpath.engine.scrub import Scrub
from towpath.engine.shelf import Shelf
from towpath.engine.sweep import Sweep, Swept
from towpath.errors import SettingsError
from towpath.ledger.base import Ledger
from towpath.ledger.sql import SqlLedger
from towpath.protocol.cors import Sharing
from towpath.protocol.rooms import client_of
from towpath.settings import Settings, load
from towpath.store.base import Store
from towpath.store.local import LocalStore
from towpath.web.app import DOCUMENTS, FILES, NAMES, RANGES, SINGLE, STREAMING, App
from towpath.web.calls import Calls, calls_of
from towpath.web.contract import available, http_class
from towpath.web.control import control
from towpath.web.documents import Documents, Terms
from towpath.web.edge import Edge, edge_of, sharing_of
from towpath.web.events import Events
from towpath.web.files import Files
from towpath.web.gate import Gate, LoopbackGate, TokenGate, is_loopback, read_tokens
from towpath.web.limits import WireLimits
from towpath.web.local_socket import LocalSocket
from towpath.web.log import configure
from towpath.web.named import Named
from towpath.web.ranges import Ranges
from towpath.web.registry import Registry
from towpath.web.rooms import Rooms
from towpath.web.server import Server, run
from towpath.web.server import server as make_server
from towpath.web.single import Single
from towpath.web.streaming import Streaming

WARNING = "warning"
"""How what /readyz tells of a part begins if it works and will soon not."""

_log = logging.getLogger("towpath")


class SystemClock:
    """The time of this machine."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Service:
    """A server's engine with what runs beside it, from its beginning to its end."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        calls: Calls | None = None,
    ) -> None:
        calls = calls or Calls()
        self.settings = settings
        self.store = store
        self.ledger = ledger
        self.hub = Hub(clock, label=client_of, most=settings.listeners)
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

    async def begin(self) -> None:
        """Complete what a crash left, then sweep and scrub from time to time."""
        await self._sweep.finish(Swept())
        self._upkeep.append(asyncio.create_task(self.hub.run(self.engine.moving, self._memory)))
        self._upkeep.append(asyncio.create_task(self._chores.run()))
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


def service(settings: Settings, hooks: object | None = None) -> Service:
    """A service on the data directory. `hooks`: see engine.hooks.Callables.

    Raises SettingsError, StoreBusy, StoreError, LedgerError.
    """
    clock = SystemClock()
    calls = calls_of(settings, clock, hooks)
    store, ledger = open_data(settings, clock)
    return Service(settings, store=store, ledger=ledger, clock=clock, calls=calls)


def open_data(settings: Settings, clock: Clock) -> tuple[LocalStore, SqlLedger]:
    """The store and the ledger in the data directory; the store's lock guards both."""
    store = LocalStore(
        settings.data,
        durability=settings.durability,
        min_free=settings.min_free,
        clock=clock,
    )
    try:
        folder = settings.state or settings.data
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / 'ledger.db').absolute()}"
        return store, SqlLedger(url, durability=settings.durability)
    except BaseException:
        store.close()
        raise


def wire_limits(settings: Settings) -> WireLimits:
    """The bounds of connections."""
    return WireLimits(
        header_bytes=settings.header_bytes,
        head_seconds=settings.head_seconds,
        body_idle_seconds=settings.idle_seconds,
        slowest_bytes_per_second=settings.slowest_rate,
    )


def sharing(settings: Settings) -> Sharing:
    """Which pages of other origins may ask. Raises SettingsError."""
    return sharing_of(
        settings.cors_origins,
        credentials=settings.cors_credentials,
        max_age=settings.cors_max_age,
    )


def edge(settings: Settings) -> Edge:
    """What stands around the application. Raises SettingsError."""
    shared = sharing(settings)
    return edge_of(settings.base_path, settings.proxies, settings.proxy_fields, shared)


def application(running: Service, gate: Gate) -> App:
    """The ASGI application of a service."""
    settings = running.settings
    limits, around = wire_limits(settings), edge(settings)
    return App(
        files=Files(
            running.engine,
            running.shelf,
            informational=settings.informational,
            trailers=settings.trailers,
        ),
        control=Events(
            running.engine,
            running.hub,
            control(running.engine, running.shelf, files=FILES, about=running.about),
        ),
        gate=gate,
        health=running,
        life=running,
        limits=limits,
        edge=around,
        sockets=Rooms(running.engine, running.hub, gate, limits, around),
        dialects={
            SINGLE: Single(running.engine, files=FILES),
            STREAMING: Streaming(running.engine, running.shelf, files=FILES),
            DOCUMENTS: Documents(running.engine, running.shelf, terms_of(settings)),
            RANGES: Ranges(running.engine, running.shelf),
            NAMES: Named(running.engine, running.shelf),
        },
    )


def terms_of(settings: Settings) -> Terms:
    """What binds document sessions alone."""
    return Terms(
        length=settings.document_length or None,
        chunk=settings.document_chunk,
        uploads=settings.document_uploads,
        memory=settings.document_memory,
    )


def gate_of(settings: Settings) -> Gate:
    """Who is let in. Raises SettingsError when that would be everybody from everywhere."""
    if settings.tokens is not None:
        return TokenGate(read_tokens(settings.tokens))
    local, shared = settings.unix_socket is not None, sharing(settings)
    if not local and not is_loopback(settings.host) and not settings.anonymous_anywhere:
        raise SettingsError(
            f"Without tokens the server does not listen on {settings.host}.",
            why="Everybody who reaches that address could read and write everything.",
            todo="Make a token file with `towpath token new` and give it with --tokens, or say "
            "--anonymous-anywhere if that is what you want.",
        )
    if shared.anyone and not settings.anonymous_anywhere:
        raise SettingsError(
            "Without tokens the server does not answer to pages of all origins.",
            why="Every page that a browser on this machine opens could read and write everything.",
            todo="Name the origins in cors_origins, set tokens, or say --anonymous-anywhere.",
        )
    own = () if local else (f"[{settings.host}]" if ":" in settings.host else settings.host,)
    hosts = own + settings.hosts
    return LoopbackGate(hosts, anywhere=settings.anonymous_anywhere, allows=shared.allows)


def server(
    settings: Settings, *, announce: Callable[[str], None], hooks: object | None = None
) -> Server:
    """A server that is ready to run. `announce` is told its URL once it listens.

    `hooks`: see engine.hooks.Callables.

    Raises SettingsError, StoreBusy, StoreError, LedgerError.
    """
    gate, around = gate_of(settings), edge(settings)  # refuses bad settings before it makes a file
    at: tuple[str, int] | LocalSocket = settings.host, settings.port
    if settings.unix_socket is not None:
        at = LocalSocket(settings.unix_socket, int(settings.unix_mode, 8))
    try:
        running = service(settings, hooks)
    except BaseException:
        if isinstance(at, LocalSocket):
            at.close()
        raise
    senders = ThreadPoolExecutor(16, "towpath-send")
    registry = Registry(wire_limits(settings), senders, around.shared)
    http = http_class(registry) if settings.direct else "httptools"
    if settings.direct and (why := available()):
        _log.warning("bodies are received the slow way", extra={"why": why})
    tls = settings.tls_cert, settings.tls_key
    return make_server(
        application(running, gate),
        at=at,
        http=http,
        tls=(tls[0], tls[1]) if tls[0] and tls[1] else None,
        patience=settings.shutdown_seconds,
        drain=running.drain,
        announce=lambda url: announce(url if url.startswith("unix:") else url + around.base),
    )


def serve(*, config: Path | None = None, **flags: object) -> int:
    """Run a server until it is told to stop; return the exit code.

    Raises SettingsError, StoreBusy, StoreError, LedgerError before it listens.
    """
    settings = load(flags, file=config)
    _allow_files()
    configure(settings.log_level, settings.log_format)
    run(server(settings, announce=_announce))
    return 0


def rebuild_ledger(*, config: Path | None = None, **flags: object) -> Rebuilt:
    """Add to the ledger every object whose manifest it does not know. The server must not run."""
    settings = load(flags, file=config)
    store, ledger = open_data(settings, SystemClock())
    try:
        return rebuild(store, ledger)
    finally:
        ledger.close()
        store.close()


def _allow_files() -> None:
    """Let this process open as many files as the system lets it: a body in flight costs three."""
    try:
        import resource  # noqa: PLC0415  # POSIX only
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _announce(url: str) -> None:
    print(f"Towpath listens on {url}", flush=True)  # noqa: T201  # what a starter waits for


def _resident() -> int | None:
    """Bytes of memory that this process has in RAM; None where that cannot be known."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
