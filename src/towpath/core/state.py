"""Where an upload is on its way."""

from __future__ import annotations

from enum import StrEnum


class UploadState(StrEnum):
    """Where an upload is on its way."""

    OPEN = "open"  # bytes may come
    FILLED = "filled"  # every byte is durable; not yet asked to complete
    SEALING = "sealing"  # the store is making the object
    COMPLETE = "complete"  # it is an object now
    CANCELLED = "cancelled"  # somebody gave it up
    EXPIRED = "expired"  # its time ran out
    FAILED = "failed"  # it can never complete

    @property
    def is_final(self) -> bool:
        """True when nothing can happen to the upload any more."""
        return self in _FINAL


_FINAL = frozenset(
    {UploadState.COMPLETE, UploadState.CANCELLED, UploadState.EXPIRED, UploadState.FAILED}
)
