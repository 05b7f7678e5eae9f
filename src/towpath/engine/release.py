"""Letting go of an object when its last name goes.

Rules: bytes that another object shares stay; the ledger forgets first and notes in the same
commit, in the outbox, what the store must remove; then the store removes it and the note goes. A
crash in between leaves the note. Whoever came to share the bytes before that commit is seen after
it, when they are to be removed; after it nobody can, because what is shared must still be there.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from towpath.core.model import Name, Object, Outbox, Segment, Upload
from towpath.engine.companion import companion_of, companion_of_upload
from towpath.engine.live import Live
from towpath.engine.segments import segments, spread
from towpath.errors import Stale, StoreError
from towpath.ledger.base import Add, Change, Ledger, Query, Remove
from towpath.store.base import Store

REMOVE = "remove"
"""Kind of an outbox row whose subject is an address that the store must remove."""

_MOST_TRIES = 5


def forget_name(
    store: Store, ledger: Ledger, name: Name, *, now: int
) -> tuple[list[Change], list[Outbox]]:
    """Changes that let go of what `name` points to if no other name does, and what to unlink.

    Does not remove the name itself: it may get another object. The record of the object's keys
    goes with it. Blocks.
    """
    where = {"tenant": name.tenant, "object": name.object}
    if ledger.count(Name, Query(where=where)) > 1:
        return [], []
    changes, notes = forget_object(ledger, name.object, now=now)
    more, others = forget_companion(store, ledger, name, now=now)
    return [*changes, *more], [*notes, *others]


def forget_companion(
    store: Store, ledger: Ledger, name: Name, *, now: int
) -> tuple[list[Change], list[Outbox]]:
    """The same for the record of the keys of what `name` points to, and its name. Blocks."""
    found = companion_of(store, ledger, name)
    if found is None:
        return [], []
    changes, notes = forget_name(store, ledger, found.name, now=now)
    return [Remove(Name, found.name.key, found.name.version), *changes], notes


def give_up(store: Store, ledger: Ledger, live: Live, upload: Upload) -> None:
    """Commit `upload`, which ends without an object; the record of its keys goes with it. Blocks.

    Raises Stale when the upload is no longer what `live` knows of it.
    """
    for left in reversed(range(_MOST_TRIES)):
        found = companion_of_upload(store, ledger, upload)
        changes: list[Change] = []
        notes: list[Outbox] = []
        if found is not None:
            gone, notes = forget_name(store, ledger, found.name, now=upload.updated_at)
            changes = [Remove(Name, found.name.key, found.name.version), *gone]
        try:
            live.end(ledger, upload, changes)
        except Stale:
            if found is None or not left or not live.stands(ledger):
                raise
            continue  # the record was written anew at this moment
        with suppress(StoreError):  # the notes stay, and the sweep does it
            for note in notes:
                unlink(store, ledger, note)
        return


def forget_object(ledger: Ledger, key: str, *, now: int) -> tuple[list[Change], list[Outbox]]:
    """Changes that let go of an object without names, and what to unlink after. Blocks."""
    made = ledger.get(Object, key)
    if made is None:
        return [], []
    spread(ledger)
    had = segments(ledger, made)
    own = Counter(segment.address for segment in had)
    unshared = [
        address
        for address, count in own.items()
        if ledger.count(Segment, Query(where={"address": address})) == count
    ]
    notes = [
        Outbox(
            tenant=made.tenant,
            owner=made.owner,
            id=note_of(address),
            kind=REMOVE,
            subject=address,
            created_at=now,
            due_at=now,
        )
        for address in unshared
    ]
    changes: list[Change] = [
        Remove(Object, (key,), made.version),
        *(Remove(Segment, segment.key) for segment in had),
        Remove(Upload, (key,)),
        *(Add(note) for note in notes),
    ]
    return changes, notes


def note_of(address: str) -> str:
    """The id of the note that says that an address must be removed."""
    return f"{REMOVE}:{address}"


def unlink(store: Store, ledger: Ledger, note: Outbox) -> None:
    """Do what a note of kind REMOVE says, and take the note away. Blocks; may be repeated."""
    spread(ledger)
    if not ledger.count(Segment, Query(where={"address": note.subject})):
        store.remove(note.subject)
    ledger.commit([Remove(Outbox, note.key)])
