"""Every error Towpath raises, in one tree. No HTTP here: `protocol/problem` maps it, once.

TowpathError
├── Refused                the caller asked for what cannot be; nothing was changed
│   ├── Malformed          a field cannot be read
│   ├── Unauthenticated    who asks is unknown
│   ├── Forbidden          who asks may not
│   ├── NotFound           there is none, or it is somebody else's
│   ├── Expired            there was one
│   ├── OffsetConflict     bytes would leave a gap or land on durable ones
│   ├── StateConflict      the upload is not in a state for this
│   │   └── LengthConflict its length is another than the one that was said
│   ├── NameConflict       the name is taken, or its version has moved
│   ├── TooLarge           more bytes than the upload or a limit allows
│   └── LimitReached       a count or rate is used up; later it may work
├── Interrupted            bytes stopped before the chunk was whole; what is durable stays
│   ├── Cut                the sender went away
│   ├── TakenOver          a newcomer claimed the range
│   └── TooSlow            the sender stayed below the slowest rate
├── Vetoed                 a hook said no, with a reason
├── Unanswered             whoever had to be asked or told did not answer as it should
├── DigestMismatch         bytes are not the bytes that were announced
├── Unreadable             what is stored is not of the form that it should have
│   └── WrongKey           it is encrypted, and not for the keys that were given
├── StoreError             the store could not do it
│   ├── StoreFull          no space or quota left; what is durable stays
│   ├── StoreReadOnly      the store takes no more writes until looked at
│   ├── StoreBusy          another process holds the data directory
│   └── StoreLost          bytes that the ledger counts are not in the store
├── LedgerError            the ledger could not do it
│   ├── Stale              a row has moved since it was read
│   └── Duplicate          a row with that key exists
├── SettingsError          a setting cannot be used
└── TransferError          a client's transfer failed
    ├── ServerUnreachable  nobody answered
    ├── SourceChanged      the local file is not the one this transfer began with
    └── BadAnswer          the server answered what the protocol does not allow
"""

from __future__ import annotations

from typing import ClassVar


class TowpathError(Exception):
    """Base of all errors: says what happened, why, and what to do.

    `code` is a stable word for programs; it never changes its meaning. `retry_after`: seconds to
    wait before the same may work; None where nobody said.
    """

    code: ClassVar[str] = "error"
    retry_after: float | None = None

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.todo) if part)


class Refused(TowpathError):
    """The caller asked for what cannot be; nothing was changed."""

    code = "refused"


class Malformed(Refused):
    """A field cannot be read. `field` names it."""

    code = "malformed"

    def __init__(self, what: str, *, field: str = "", why: str = "", todo: str = "") -> None:
        super().__init__(what, why=why, todo=todo)
        self.field = field


class Unauthenticated(Refused):
    """Who asks is unknown."""

    code = "unauthenticated"


class Forbidden(Refused):
    """Who asks may not do this."""

    code = "forbidden"


class NotFound(Refused):
    """There is no such thing, or it belongs to somebody else: the answer is the same."""

    code = "not-found"


class Expired(Refused):
    """There was such an upload; its time is over."""

    code = "expired"


class OffsetConflict(Refused):
    """Bytes would leave a gap or land on durable ones. `offset` is the true one."""

    code = "offset-conflict"

    def __init__(self, what: str, *, offset: int, why: str = "", todo: str = "") -> None:
        super().__init__(what, why=why, todo=todo)
        self.offset = offset


class StateConflict(Refused):
    """The upload is not in a state for this."""

    code = "state-conflict"


class LengthConflict(StateConflict):
    """The upload's length is another than the one that was said."""

    code = "length-conflict"


class NameConflict(Refused):
    """The name is taken, or its version has moved."""

    code = "name-conflict"


class TooLarge(Refused):
    """More bytes than the upload or a limit allows."""

    code = "too-large"


class LimitReached(Refused):
    """A count or a rate is used up; `retry_after` says for how long."""

    code = "limit-reached"
    retry_after: float

    def __init__(self, what: str, *, retry_after: int = 5, why: str = "", todo: str = "") -> None:
        super().__init__(what, why=why, todo=todo)
        self.retry_after = retry_after


class Interrupted(TowpathError):
    """Bytes stopped before the chunk was whole; what is durable stays."""

    code = "interrupted"


class Cut(Interrupted):
    """The sender went away."""

    code = "cut"


class TakenOver(Interrupted):
    """A newcomer claimed the range."""

    code = "taken-over"


class TooSlow(Interrupted):
    """The sender stayed below the slowest rate."""

    code = "too-slow"


class Vetoed(TowpathError):
    """A hook of those who run the server said no; `what` is its reason."""

    code = "vetoed"


class Unanswered(TowpathError):
    """Whoever had to be asked or told did not answer as it should; later it may.

    `reached`: whether what was said may have been heard.
    """

    code = "unanswered"
    retry_after: float

    def __init__(
        self,
        what: str,
        *,
        reached: bool = True,
        retry_after: int = 5,
        why: str = "",
        todo: str = "",
    ) -> None:
        super().__init__(what, why=why, todo=todo)
        self.reached = reached
        self.retry_after = retry_after


class DigestMismatch(TowpathError):
    """Bytes are not the bytes that were announced."""

    code = "digest-mismatch"


class Unreadable(TowpathError):
    """What is stored is not of the form that it should have, or goes beyond a limit."""

    code = "unreadable"


class WrongKey(Unreadable):
    """It is encrypted, and not for the keys that were given."""

    code = "wrong-key"


class StoreError(TowpathError):
    """The store could not do it. `written`: the offset after the last byte that it did write."""

    code = "store-error"

    def __init__(
        self, what: str, *, written: int | None = None, why: str = "", todo: str = ""
    ) -> None:
        super().__init__(what, why=why, todo=todo)
        self.written = written


class StoreFull(StoreError):
    """No space or quota left; what is durable stays."""

    code = "store-full"


class StoreReadOnly(StoreError):
    """The store takes no more writes until somebody looked at it."""

    code = "store-read-only"


class StoreBusy(StoreError):
    """Another process holds the data directory."""

    code = "store-busy"


class StoreLost(StoreError):
    """Bytes that the ledger counts are not in the store."""

    code = "store-lost"


class LedgerError(TowpathError):
    """The ledger could not do it."""

    code = "ledger-error"


class Stale(LedgerError):
    """A row has moved since it was read: read again and decide again."""

    code = "stale"


class Duplicate(LedgerError):
    """A row with that key exists."""

    code = "duplicate"


class SettingsError(TowpathError):
    """A setting cannot be used."""

    code = "settings"


class TransferError(TowpathError):
    """A client's transfer failed. `retryable` says whether the same call may work later."""

    code = "transfer"
    retryable: bool = False


class ServerUnreachable(TransferError):
    """Nobody answered. `offline`: this machine has no way out, whoever is spoken to."""

    code = "unreachable"
    retryable = True
    offline: bool = False


class SourceChanged(TransferError):
    """The local file is not the one that this transfer began with."""

    code = "source-changed"


class BadAnswer(TransferError):
    """The server answered what the protocol does not allow."""

    code = "bad-answer"
