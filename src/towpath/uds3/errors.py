"""What goes wrong with operations, under the names that callers of this interface know.

Rules: each is one of towpath.errors, too; whichever ends an operation carries `operation_id`.
`kind_of` says which of the three words of `retry_on_errors` an error goes by.
"""

from __future__ import annotations

from collections.abc import Iterable

from towpath.errors import (
    DigestMismatch,
    Interrupted,
    LedgerError,
    LimitReached,
    StoreBusy,
    TowpathError,
    TransferError,
    WrongKey,
)
from towpath.uds3.coding import wrong_key

NETWORK = "NetworkError"
TIMEOUT = "TimeoutError"
CHECKSUM = "ChecksumMismatchError"


class NetworkError(TransferError):
    """The other side was not reached, or went away."""

    code = "network"
    retryable = True
    operation_id = ""


class StreamingTimeoutError(TransferError, TimeoutError):
    """Something took longer than `timeout_seconds`."""

    code = "streaming-timeout"
    retryable = True
    operation_id = ""


class ChecksumMismatchError(DigestMismatch):
    """Bytes are not the bytes that were sent."""

    code = "checksum-mismatch"
    operation_id = ""


class ChunkMetadataCorruptError(TransferError):
    """What was written down about an operation's chunks cannot be trusted."""

    code = "chunk-metadata-corrupt"
    operation_id = ""


class SagaRollbackRequired(TransferError):
    """An upload has failed for good, and what it left was removed.

    `message` says what failed, `reason` why, `retry_count` how many tries were repeated. If the
    remains could not be removed, `message` says so, and `cancel_operation` does it by hand.
    """

    code = "saga-rollback"

    def __init__(
        self,
        message: str,
        reason: str = "",
        retry_count: int = 0,
        *,
        operation_id: str = "",
        why: str = "",
        todo: str = "",
    ) -> None:
        super().__init__(message, why=why or reason, todo=todo)
        self.message = message
        self.reason = reason
        self.retry_count = retry_count
        self.operation_id = operation_id


def kind_of(error: BaseException) -> str:
    """The word by which `retry_on_errors` knows the error; its class's name if it has none."""
    if isinstance(error, DigestMismatch):
        return CHECKSUM
    if isinstance(error, TimeoutError):
        return TIMEOUT
    passing = (Interrupted, LedgerError, LimitReached, StoreBusy, ConnectionError)
    if isinstance(error, passing) or (isinstance(error, TransferError) and error.retryable):
        return NETWORK
    return type(error).__name__


def words_of(
    kinds: str | type[BaseException] | Iterable[str | type[BaseException]],
) -> frozenset[str]:
    """The words of `retry_on_errors`: one alone is meant as it is, and not as its letters."""
    several = [kinds] if isinstance(kinds, (str, type)) else kinds
    return frozenset(each if isinstance(each, str) else each.__name__ for each in several)


def named(error: BaseException) -> BaseException:
    """The same error as one of this interface's, where it has a name for it."""
    if isinstance(error, WrongKey):
        asked = wrong_key(error)
        asked.__cause__ = error
        return asked
    if not isinstance(error, TowpathError):
        return error
    kinds: dict[str, type[NetworkError | ChecksumMismatchError]] = {
        NETWORK: NetworkError,
        CHECKSUM: ChecksumMismatchError,
    }
    kind = kinds.get(kind_of(error))
    if kind is None or isinstance(error, kind):
        return error
    found = kind(error.what, why=error.why, todo=error.todo)
    found.retry_after = error.retry_after
    found.__cause__ = error
    return found
