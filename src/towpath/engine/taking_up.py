"""What an upload is when it is first touched: what the ledger counts and the store still has.

Rules: durable is what both have; a store that lost bytes makes the upload shorter, loudly; an
upload whose bytes were never settled begins anew.
"""

from __future__ import annotations

from towpath.core.model import Upload
from towpath.core.state import UploadState
from towpath.engine.admission import no_such_upload
from towpath.engine.frontier import Frontiers
from towpath.engine.live import Live, load
from towpath.engine.recount import recount
from towpath.errors import NotFound
from towpath.ledger.base import Ledger
from towpath.store.base import Store

_UNSEALED = frozenset({UploadState.OPEN, UploadState.FILLED})
_UNFINISHED = _UNSEALED | {UploadState.SEALING}


def take_up(store: Store, ledger: Ledger, frontiers: Frontiers, key: str, *, now: int) -> Live:
    """What is known of the upload. Blocks. Raises NotFound, StoreError, LedgerError."""
    upload = ledger.get(Upload, key)
    if upload is None:
        raise no_such_upload()
    held = _held(store, upload)
    if held is not None and held < upload.offset:
        upload = recount(store, ledger, upload, held, now=now)
    live = load(ledger, upload, held)
    if upload.wants and upload.handle and upload.state in _UNFINISHED:
        live.frontier = frontiers.of(upload.handle, upload.hasher, upload.offset)
    return live


def _held(store: Store, upload: Upload) -> int | None:
    """How far the store has bytes of it; None if it cannot know, or has none of its own."""
    if not upload.handle or upload.state not in _UNSEALED:
        return None
    try:
        return store.extent(upload.handle)
    except NotFound:
        # A filled one may be sealed already. An open one was not settled before a crash, nor was
        # one of no bytes, or the store lost it: then it begins anew.
        if upload.state is UploadState.OPEN or not upload.offset:
            store.create(upload.id, upload.length)
            return 0
        return None
