"""The composition root: the only file that names concrete stores, ledgers and servers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from towpath.core.ports import Clock
from towpath.engine.completions import Told
from towpath.engine.rebuild import Rebuilt, rebuild
from towpath.errors import SettingsError
from towpath.ledger.sql import SqlLedger
from towpath.protocol.cors import Sharing
from towpath.settings import Settings, load
from towpath.store.local import LocalStore
from towpath.web.app import (
    API,
    DOCUMENTS,
    FILES,
    NAMES,
    RANGES,
    SINGLE,
    STREAMING,
    App,
    Life,
)
from towpath.web.calls import calls_of
from towpath.web.contract import available, http_class
from towpath.web.control import control
from towpath.web.documents import Documents, Terms
from towpath.web.edge import Edge, edge_of, sharing_of
from towpath.web.events import Events
from towpath.web.files import Files
from towpath.web.gate import Gate, LoopbackGate, TokenGate, is_loopback
from towpath.web.limits import WireLimits
from towpath.web.links import own_keys, read_keys
from towpath.web.local_socket import LocalSocket
from towpath.web.log import configure
from towpath.web.named import Named
from towpath.web.openapi.document import pages
from towpath.web.ranges import Ranges
from towpath.web.reading import reading
from towpath.web.registry import Registry
from towpath.web.rooms import Rooms
from towpath.web.server import Server, run
from towpath.web.server import server as make_server
from towpath.web.service import Service
from towpath.web.single import Single
from towpath.web.streaming import Streaming
from towpath.web.token_file import TokenFile

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


def service(
    settings: Settings, *, hooks: object | None = None, told: Told | None = None
) -> Service:
    """A service on the data directory. Raises SettingsError, StoreBusy, StoreError, LedgerError.

    `hooks`: see engine.hooks.Callables. `told` is called with every object, once its upload is
    complete.
    """
    keys = None if settings.link_keys is None else read_keys(settings.link_keys)
    clock = SystemClock()
    calls = calls_of(settings, clock, hooks)
    store, ledger = open_data(settings, clock)
    try:
        keys = keys or own_keys((settings.state or settings.data) / "link-keys.toml")
    except BaseException:
        ledger.close()
        store.close()
        raise
    return Service(
        settings, store=store, ledger=ledger, clock=clock, link_keys=keys, calls=calls, told=told
    )


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
    return edge_of(
        settings.base_path,
        settings.proxies,
        settings.proxy_fields,
        shared,
        absolute=settings.absolute_locations,
    )


def application(running: Service, gate: Gate, *, life: Life | None = None) -> App:
    """The ASGI application of a service. `life`: what begins and ends it; itself by default."""
    settings = running.settings
    limits, around = wire_limits(settings), edge(settings)
    links, downloads = reading(running.engine, running.shelf, running.link_keys, settings)
    api = control(running.engine, running.shelf, links, about=running.about)
    return App(
        files=Files(
            running.engine,
            running.shelf,
            links,
            downloads,
            informational=settings.informational,
            trailers=settings.trailers,
        ),
        control=Events(running.engine, running.hub, api),
        pages=pages(api.openapi(), api=API),
        gate=gate,
        health=running,
        life=life or running,
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
        return TokenGate(TokenFile(settings.tokens))
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
        running = service(settings, hooks=hooks)
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


def serve(
    *, config: Path | None = None, kept: Mapping[str, object] | None = None, **flags: object
) -> int:
    """Run a server until it is told to stop; return the exit code. `kept`: see settings.load.

    Raises SettingsError, StoreBusy, StoreError, LedgerError before it listens.
    """
    settings = load(flags, file=config, kept=kept)
    _allow_files()
    configure(settings.log_level, settings.log_format)
    run(server(settings, announce=_announce))
    return 0


def rebuild_ledger(
    *, config: Path | None = None, kept: Mapping[str, object] | None = None, **flags: object
) -> Rebuilt:
    """Add to the ledger every object whose manifest it does not know. The server must not run.

    `kept`: see settings.load.
    """
    settings = load(flags, file=config, kept=kept)
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
