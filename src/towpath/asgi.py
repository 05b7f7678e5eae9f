"""Towpath as an ASGI application, for servers and applications of other people.

With Granian:

    granian --interface asgi --factory --workers-kill-timeout 10s towpath.asgi:from_environment

Rules: the lifespan protocol is on; one process serves a data directory. Bodies come by ASGI
messages, and ASGI does not tell of a signal: uploads that are under way are not answered when the
server stops, only settled, and a server that waits for them, or for streams of events, needs a
limit for that.
"""

from __future__ import annotations

from towpath.assemble import application, edge, gate_of, service
from towpath.settings import Settings, load
from towpath.web.app import App
from towpath.web.log import configure

__all__ = ["app", "from_environment"]


def app(settings: Settings, *, hooks: object | None = None) -> App:
    """An application on a data directory of its own.

    `settings.host` says where the caller will listen. `hooks`: an object with some of the methods
    `before_create(caller, new)`, `while_receiving(upload)` and `before_complete(upload)`,
    asynchronous or not; they decide as `towpath.core.ports.Hooks` says.

    Raises SettingsError, StoreBusy, StoreError, LedgerError.
    """
    gate = gate_of(settings)
    edge(settings)  # refuses bad settings before a directory is made
    return application(service(settings, hooks), gate)


def from_environment() -> App:
    """What the variables TOWPATH_* describe; sends the process's logs to standard error."""
    settings = load({})
    configure(settings.log_level, settings.log_format)
    return app(settings)
