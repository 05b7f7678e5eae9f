"""A wire to a server that resets its connections, once, after so many bytes have passed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from towpath.testing.plan import Fault, Lane, Plan
from towpath.testing.wire import Wire, threaded

GONE = Plan(up=Lane(fault=Fault.RESET))  # a connection that no byte passes


class Cutter:
    """A wire, and how often it has cut."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.url = f"http://127.0.0.1:{wire.port}"
        self.cuts = 0

    def cut(self) -> None:
        """Reset every connection that lives."""
        self.cuts += 1
        self.wire.sever()


@contextmanager
def cutting(
    target: tuple[str, int],
    *,
    up: int | None = None,
    down: int | None = None,
    rate: float | None = None,
    for_good: bool = False,
) -> Iterator[Cutter]:
    """A wire that cuts once `up` bytes have reached the server, or `down` the client.

    `rate`: bytes a second that it carries up, so that what is small is not over before the cut.
    `for_good`: no later connection passes either. A client that connects anew for each request
    may have its answer already when the wire cuts, and would never notice.
    """

    def plan(_: int) -> Plan:
        return GONE if for_good and cutter.cuts else Plan(up=Lane(rate=rate))

    with threaded(Wire(*target, plan=plan)) as wire:
        cutter = Cutter(wire)
        reached = wire.when(
            lambda: (up is not None and wire.up >= up) or (down is not None and wire.down >= down)
        )
        reached.add_done_callback(lambda future: None if future.cancelled() else cutter.cut())
        yield cutter
