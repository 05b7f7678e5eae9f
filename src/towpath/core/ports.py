"""What siblings share: interfaces whose two sides may not import each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Object, Outbox, Upload
from towpath.core.ranges import Extent


class Ending(Enum):
    """How the bytes of a chunk came to an end."""

    WHOLE = "whole"  # the sender said so
    CUT = "cut"  # the sender went away
    STOPPED = "stopped"  # we were told to stop: a claim, a cancel, a shutdown
    SLOW = "slow"  # the sender stayed below the slowest rate


class Source(Protocol):
    """Where the bytes of one chunk come from, whatever carries them.

    One worker thread at a time calls `read_into`; the event loop calls `ready`; `stop` may be
    called from anywhere, any number of times. A source never holds more memory than its budget
    and does not take more from its sender while nobody reads.
    """

    @property
    def length(self) -> int | None:
        """Bytes that are to come in all; None if the sender did not say."""
        ...

    @property
    def trailers(self) -> Mapping[str, str]:
        """Fields that came behind the bytes, lower-case; empty before WHOLE and where none are."""
        ...

    @property
    def ending(self) -> Ending | None:
        """None while more may come. Once set it stays, and `read_into` returns 0."""
        ...

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`; return how many. Called in a worker thread.

        Waits briefly (tens of milliseconds) for the first byte. 0 means dry: nothing has come,
        or `ending` is set. Never raises for what the network does.
        """
        ...

    async def ready(self) -> None:
        """Return when `read_into` has something to give or `ending` is set. Holds no thread."""
        ...

    def stop(self) -> None:
        """End it now: a waiting `read_into` or `ready` returns at once, `ending` is STOPPED."""
        ...


class EventSink(Protocol):
    """Is told what happens to uploads."""

    def tell(self, kind: str, upload: Upload, extent: Extent | None = None) -> None:
        """`kind`: created, progress, completed, cancelled, expired or failed.

        Called from any thread; must neither block nor raise. What is told is a hint: the ledger
        has the facts. `extent`: what is durable, if it is more than the prefix.
        """
        ...


class Notes(Protocol):
    """Says what must be told of an upload: rows that are committed with what they tell of."""

    def of(self, kind: str, upload: Upload, made: Object | None, *, now: int) -> Sequence[Outbox]:
        """`kind`: created, completed, cancelled, expired or failed; `made`: the new object."""
        ...


class Hooks(Protocol):
    """What those who run a server may decide. Each may raise Vetoed or Refused with a reason.

    Unanswered, when it cannot be decided now: nothing is lost, and the client may try again.
    """

    watches: bool
    """whether `while_receiving` wants to be asked"""

    async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        """Refuse an upload, or set its id, name and metadata.

        Whoever sets an id sees to it that nobody guesses one.
        """
        ...

    async def while_receiving(self, upload: Upload) -> None:
        """Stop an upload while it runs: it fails, with the reason.

        Called from time to time while bytes come.
        """
        ...

    async def before_complete(self, upload: Upload) -> None:
        """Refuse an upload at its end: it fails, with the reason."""
        ...


class Clock(Protocol):
    """Time, so that tests can hold it."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
