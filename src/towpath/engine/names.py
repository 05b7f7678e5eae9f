"""What names point to, what lies in a folder of them, and how one becomes another.

Rules: a caller with a prefix sees only names that begin with it, and the folders that lead there; a
folder is where a name goes on behind a slash: it has no row of its own; a name moves in one commit,
and the record of its object's keys with it, so that the object is never without either. Functions
block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from towpath.core.caller import Caller
from towpath.core.model import Name, Object, OnConflict, Outbox
from towpath.core.names import alternatives, check_name
from towpath.engine.companion import companion_of
from towpath.engine.release import forget_name
from towpath.errors import Duplicate, Forbidden, NameConflict, NotFound, Stale
from towpath.ledger.base import Add, Change, Ledger, Query, Remove, Update
from towpath.store.base import Store

Entries = list[tuple[Name, Object]]

_PAGE = 1000
_MOST_TRIES = 10_000
_LAST = "\U0010ffff"  # behind every character that a name may have


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies in a folder: an object under a name, or (both None) a folder below it."""

    label: str  # a folder's ends with a slash
    name: Name | None = None
    object: Object | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Some entries of a folder, in order of their labels' paths."""

    entries: tuple[Entry, ...]
    next: str | None  # the label to go on behind; None: nothing more


def pointed(ledger: Ledger, caller: Caller, path: str) -> tuple[Name, Object] | None:
    """The name and what it points to, if the caller reaches it."""
    name = ledger.get(Name, caller.tenant, path) if caller.reaches(path) else None
    made = None if name is None else ledger.get(Object, name.object)
    return None if name is None or made is None else (name, made)


def list_names(
    ledger: Ledger, caller: Caller, prefix: str, after: str | None, limit: int
) -> Entries:
    """Names that begin with `prefix`, in order, from behind `after` on."""
    return _with_objects(ledger, _rows(ledger, caller, prefix, after, limit))


def _rows(ledger: Ledger, caller: Caller, prefix: str, after: str | None, limit: int) -> list[Name]:
    if not prefix.startswith(caller.prefix):
        if not caller.prefix.startswith(prefix):
            return []
        prefix = caller.prefix
    query = Query(
        where={"tenant": caller.tenant},
        prefix=("path", prefix) if prefix else None,
        after=None if after is None else (caller.tenant, after),
        limit=limit,
    )
    return ledger.list(Name, query)


def _with_objects(ledger: Ledger, names: list[Name]) -> Entries:
    ids = tuple({name.object for name in names})
    found = ledger.list(Object, Query(where={"id": ids}, limit=len(ids))) if ids else []
    objects = {made.id: made for made in found}
    return [(name, objects[name.object]) for name in names if name.object in objects]


def list_folder(
    ledger: Ledger, caller: Caller, folder: str, after: str | None, limit: int
) -> Listing:
    """At most `limit` entries of the folder, from behind the label `after` on.

    `folder` is empty or ends with a slash. What lies in a folder below it is skipped, not read.
    """
    entries: list[Entry] = []
    behind = None if after is None else _behind(folder, after)
    while True:
        page = _rows(ledger, caller, folder, behind, _PAGE)
        for name, made in _with_objects(ledger, page):
            label, slash, _ = name.path[len(folder) :].partition("/")
            if slash and entries and entries[-1].label == label + slash:
                continue
            if len(entries) == limit:
                return Listing(tuple(entries), entries[-1].label)
            entries.append(Entry(label + slash) if slash else Entry(label, name, made))
        if len(page) < _PAGE:
            return Listing(tuple(entries), None)
        behind = max(page[-1].path, _behind(folder, entries[-1].label) if entries else "")


def _behind(folder: str, label: str) -> str:
    """The path behind which the entry after `label` begins."""
    return folder + label + (_LAST if label.endswith("/") else "")


def no_such_name() -> NotFound:
    """A name out of reach is answered like one that does not exist."""
    return NotFound(
        "There is no object of that name.",
        why="It never was, it was removed, or you may not see it.",
        todo="List the names to see what there is.",
    )


def move_name(
    store: Store, ledger: Ledger, caller: Caller, path: str, to: str, rule: OnConflict, *, now: int
) -> tuple[Name, list[Outbox]]:
    """Call what `path` points to `to` instead: the name as it is now, and what to unlink.

    `rule` says what to do when `to` is taken; what is replaced goes with its last name. The record
    of an encrypted object's keys moves along. Raises
    NotFound, Forbidden, Malformed for what cannot be a name, NameConflict.
    """
    to = check_name(to, field="path")
    if not caller.reaches(to):
        raise Forbidden(
            "You may not use that name.",
            why=f"Your names begin with “{caller.prefix}”.",
            todo="Choose a name there.",
        )
    places = alternatives(to)
    place = next(places)
    for _ in range(_MOST_TRIES):
        found = pointed(ledger, caller, path)
        if found is None:
            raise no_such_name()
        name = found[0]
        if place == name.path:
            return name, []
        taken = ledger.get(Name, caller.tenant, place)
        if taken is not None and rule is OnConflict.FAIL:
            raise _taken(place)
        if taken is not None and rule is OnConflict.KEEP_BOTH:
            place = next(places)
            continue
        moved = replace(name, path=place, updated_at=now, version=taken.version if taken else 0)
        changes: list[Change] = [Add(moved)]
        leftovers: list[Outbox] = []
        if taken is not None:
            gone, leftovers = forget_name(store, ledger, taken, now=now)
            changes = [Update(moved), *gone]
        along = _along(store, ledger, name, moved, changes)
        try:
            ledger.commit([Remove(Name, name.key, name.version), *changes, *along])
        except (Duplicate, Stale):
            continue  # one of the two has moved in between: look at both again
        return replace(moved, version=moved.version + 1), leftovers
    raise _taken(to)


def _along(
    store: Store, ledger: Ledger, name: Name, moved: Name, changes: Sequence[Change]
) -> list[Change]:
    """Changes that take the record of its keys along. Raises NameConflict if there is no room."""
    found = companion_of(store, ledger, name)
    if found is None:
        return []
    if moved.path == found.name.path:  # which would be the end of the keys
        raise _taken(moved.path)
    there = found.place(moved.path)
    goes = any(isinstance(each, Remove) and each.key == there.key for each in changes)
    taken = None if goes or there.path == found.name.path else ledger.get(Name, *there.key)
    if taken is not None:
        raise _taken(there.path)
    return found.move(there, now=moved.updated_at)


def _taken(path: str) -> NameConflict:
    return NameConflict(
        f"The name “{path}” is taken.",
        why="An object has it.",
        todo="Choose another name, or say to replace that object or to keep both.",
    )
