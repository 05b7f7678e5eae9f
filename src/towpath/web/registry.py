"""What all connections of one server share: their limits, and the pool that sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from towpath.protocol.cors import Pairs
from towpath.web.limits import WireLimits


class Registry:
    """Made once per server, and given to `contract.http_class`.

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
