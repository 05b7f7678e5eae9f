"""Have you got this: an upload whose SHA-256 is known may consist of an object that is here.

Rules: only of the caller's tenant, only what it may read, only if both sides want to share.
"""

from __future__ import annotations

from towpath.core.caller import Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.digest import SHA256
from towpath.engine.shelf import find
from towpath.ledger.base import Ledger


def same_as(ledger: Ledger, caller: Caller, new: NewUpload) -> str | None:
    """An object of the caller's tenant that it may read and that has the wanted SHA-256. Blocks."""
    digest = new.digests.get(SHA256)
    own = new.partial or not new.shares
    if digest is None or own or Scope.READ not in caller.scopes:
        return None
    found = find(ledger, caller, digest)
    return None if found is None or new.length not in {None, found.length} else found.id
