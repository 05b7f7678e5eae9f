"""When a store lost bytes that the ledger counts: count what is left, and say so loudly."""

from __future__ import annotations

import logging
from dataclasses import replace

from towpath.core.crc import crc
from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.ledger.base import Ledger, Update
from towpath.store.base import Store

_log = logging.getLogger("towpath.engine")


def recount(store: Store, ledger: Ledger, upload: Upload, held: int, *, now: int) -> Upload:
    """Take the upload's prefix back to the `held` bytes that are there. Blocks; reads them once."""
    _log.error(
        "the store lost bytes that were durable",
        extra={"upload": upload.id, "counted": upload.offset, "held": held},
    )
    value = 0
    if held:
        reading = store.read(upload.handle, 0, held)
        try:
            for block in reading:
                value = crc(block, value)
        finally:
            reading.close()
    shorter = replace(
        upload,
        offset=held,
        hasher=None,  # it may have gone further
        crc=value,
        updated_at=now,
        state=UploadState.OPEN,
        reason="The store lost bytes.",
    )
    ledger.commit([Update(shorter)])
    return replace(shorter, version=shorter.version + 1)
