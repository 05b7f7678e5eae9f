"""What all connections of one server share: their limits, the pool that sends, who is at work."""

from __future__ import annotations

from concurrent.futures import Executor
from weakref import WeakSet

from towpath.web.limits import WireLimits
from towpath.web.socket_source import SocketSource


class Registry:
    """Made once per server, given to `contract.http_class` and kept by the application.

    `senders` is a bounded pool whose threads run sendfile(2); it belongs to the caller.
    """

    def __init__(self, limits: WireLimits, senders: Executor) -> None:
        self.limits = limits
        self.senders = senders
        self.active: WeakSet[SocketSource] = WeakSet()  # touched on the loop only

    def stop_all(self) -> None:
        """Stop every body that is being received: for a shutdown. On the loop."""
        for source in list(self.active):
            source.stop()
