"""Towpath as an ASGI application, for servers and applications of other people.

Inside another application, with its own authentication:

    towpath = app(Settings(data=Path("data")), authorize=who, on_complete=done)
    outer = FastAPI(lifespan=lambda _app: towpath.running())
    outer.mount("/uploads", towpath)

With Granian, alone:

    granian --interface asgi --factory --workers-kill-timeout 10s towpath.asgi:from_environment

Rules: the lifespan protocol is on, or `running` is used; one process serves a data directory.
Bodies come by ASGI messages, and ASGI does not tell of a signal: uploads that are under way are
not answered when the server stops, only settled, and a server that waits for them, or for streams
of events, needs a limit for that.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from towpath.assemble import application, edge, gate_of, service
from towpath.core.caller import Caller, Scope
from towpath.core.model import Object
from towpath.settings import Settings, load
from towpath.web.log import configure
from towpath.web.outer import Authorize, Mounted, Once, OuterGate

__all__ = [
    "Authorize",
    "Caller",
    "Mounted",
    "Object",
    "Scope",
    "Settings",
    "app",
    "from_environment",
]


def app(
    settings: Settings,
    *,
    authorize: Authorize | None = None,
    on_complete: Callable[[Object], Awaitable[None] | None] | None = None,
    hooks: object | None = None,
) -> Mounted:
    """An application on a data directory of its own.

    `authorize` says from the ASGI scope of a request who asks; None: nobody that is known. It is
    called before a body is read; it may be async, else it runs in a thread. Without it tokens or
    this machine's callers are let in, as `settings` say; `settings.host` is where you will listen.
    `on_complete` is called with each object after its upload is complete: at least once, also
    after a crash, and again later if it raises. `hooks`: an object with some of the methods
    `before_create(caller, new)`, `while_receiving(upload)` and `before_complete(upload)`,
    asynchronous or not; they decide as `towpath.core.ports.Hooks` says. Raises SettingsError,
    StoreBusy, StoreError, LedgerError.
    """
    gate = gate_of(settings) if authorize is None else OuterGate(authorize)
    edge(settings)  # refuses bad settings before a directory is made
    told = None if on_complete is None else _awaited(on_complete)
    running = service(settings, hooks=hooks, told=told)
    life = Once(running)
    outer = gate if isinstance(gate, OuterGate) else None
    return Mounted(application(running, gate, life=life), life, outer)


def from_environment() -> Mounted:
    """What the variables TOWPATH_* describe; sends the process's logs to standard error."""
    settings = load({})
    configure(settings.log_level, settings.log_format)
    return app(settings)


def _awaited(
    call: Callable[[Object], Awaitable[None] | None],
) -> Callable[[Object], Awaitable[None]]:
    """The call as an async one; what is not runs in a thread."""

    async def called(made: Object) -> None:
        if inspect.iscoroutinefunction(call):
            await call(made)
            return
        found = await asyncio.to_thread(call, made)
        if inspect.isawaitable(found):
            await found

    return called
