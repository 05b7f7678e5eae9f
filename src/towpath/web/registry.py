"""What all connections of one server share: their limits, the pool that sends, who is at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from weakref import WeakSet

from towpath.protocol.cors import Pairs
from towpath.web.limits import WireLimits
from towpath.web.socket_source import SocketSource


class Registry:
    """Made once per server, given to `contract.http_class` and kept by the application.

    `senders` is a bounded pool whose threads run sendfile(2); it belongs to the caller.
    `shared` gives what also those answers have that never reach the application, from the
    request's fields.
    """

    def __init__(
        self,
        limits: WireLimits,
        senders: Executor,
        shared: Callable[[Mapping[str, str]], Pairs] | None = None,
    ) -> None:
        self.limits = limits
        self.shared = shared
        self.senders = senders
        self.active: WeakSet[SocketSource] = WeakSet()  # touched on the loop only

    def stop_all(self) -> None:
        """Stop every body that is being received: for a shutdown. On the loop."""
        for source in list(self.active):
            source.stop()
