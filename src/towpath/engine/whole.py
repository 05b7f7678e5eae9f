"""Small uploads whose bytes come together with their creation: one step, and one commit.

Rules:
- Nothing of it is anywhere before every byte is here and proven. Then the store seals it, and its
  rows become true in one commit: data durable, then ledger, then answer. A crash in between leaves
  an object that no row knows: the sweep finds it.
- What does not come at once, or is not what was announced, goes the long way, with the bytes that
  were read already: so an upload is kept, and told, as if there were no other way.
- A creation whose sender tells its tries apart is done once: the same again, because an answer was
  lost, is answered with what the first one made. Of other bytes it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import islice

from towpath.core.caller import Caller, Scope
from towpath.core.command import Create, NewUpload
from towpath.core.crc import crc
from towpath.core.limits import KIB, Limits
from towpath.core.model import Name, Object, OnConflict, Upload
from towpath.core.names import alternatives
from towpath.core.ports import Ending, Source
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.engine.admission import check_new, first_row
from towpath.engine.endings import interrupted
from towpath.engine.engine import Engine
from towpath.engine.live import Live, told
from towpath.engine.proof import Proof
from towpath.engine.publish import check_free, commit_object, manifest_of, object_of
from towpath.engine.segments import whole
from towpath.engine.writing import expiry, proof_of
from towpath.errors import (
    DigestMismatch,
    Duplicate,
    LimitReached,
    NameConflict,
    Refused,
    Stale,
    StateConflict,
    TowpathError,
)
from towpath.ledger.base import Add, Change, Ledger

WHOLE = 64 * KIB
"""What is longer is no small upload. A smaller `block_smallest` bounds it, too."""

SOON = 0.25
"""Seconds that a block waits for the rest of its bytes."""

_MOST_NAMES = 1000

Sourcing = Callable[[], Source]


async def at_once(
    engine: Engine, caller: Caller, create: Create, source: Sourcing
) -> tuple[Upload | None, Sourcing]:
    """The upload, complete, if all of it comes now; else None, and what its bytes come from then.

    Raises what creating and completing do; then nothing of it is kept.
    """
    new, length = create.new, _length(create, engine.limits)
    if length is None:
        return None, source
    caller.require(Scope.WRITE)
    check_new(caller, new, engine.limits)
    with ExitStack() as held:
        try:
            held.enter_context(engine.place())
        except LimitReached:  # which the long way tells, too
            return None, source
        if not length:
            return await _make(engine, caller, new, memoryview(b"")), source
        coming = source()
        await coming.ready()
        block = await engine.governor.take()
        try:
            view = memoryview(block)[:length]
            proof = None if create.write is None else proof_of(create.write, None)
            early = await _gather(engine, coming, view, proof)
            if early is None and _holds(proof):
                return await _make(engine, caller, new, view), source
            early = bytes(view) if early is None else early
        finally:
            engine.governor.give(block)
        before = await engine.do(_before, engine.ledger, caller, new) if new.once else None
        if before is not None:
            made, upload = before
            length, value = await _drain(engine, coming, early, proof)
            _insist_on_same(made, length, value)
            return upload, source
    begun = Begun(early, coming)
    return None, lambda: begun


def _length(create: Create, limits: Limits) -> int | None:
    """Bytes of an upload that may be made at once; None if it may not."""
    new, write = create.new, create.write
    special = new.partial or not new.completes or new.digests or new.wants
    if special or new.length is None or new.length > min(WHOLE, limits.block_smallest):
        return None
    if write is None:
        return None if new.length else 0
    simple = write.completes is None and not write.trailing
    return new.length if simple and (write.offset, write.length) == (0, new.length) else None


async def _gather(
    engine: Engine, source: Source, view: memoryview, proof: Proof | None
) -> bytes | None:
    """Fill `view`: None when it has all there is, else what came and did not fit or was not all."""
    count, further = 0, memoryview(bytearray(1))
    while source.ending is None:
        if count and not await _soon(engine, source):
            return bytes(view[:count])
        room = view[count:] or further
        got = await engine.do(_read, source, room, proof)
        if got and room is further:
            return bytes(view) + bytes(further)
        count += got
    return None if (source.ending, count) == (Ending.WHOLE, len(view)) else bytes(view[:count])


def _read(source: Source, room: memoryview, proof: Proof | None) -> int:
    count = source.read_into(room)
    if proof is not None:
        proof.feed(room[:count])
    return count


async def _soon(engine: Engine, source: Source) -> bool:
    """Wait for bytes, but not for long; False if that was not enough."""
    ready = asyncio.ensure_future(source.ready())
    timer = asyncio.ensure_future(engine.clock.sleep(SOON))
    try:
        await asyncio.wait({ready, timer}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
        return ready.done()
    finally:
        ready.cancel()
        timer.cancel()


def _holds(proof: Proof | None) -> bool:
    try:
        if proof is not None:
            proof.hold({})
    except DigestMismatch:
        return False
    return True


async def _drain(
    engine: Engine, source: Source, early: bytes, proof: Proof | None
) -> tuple[int, int]:
    """Take what is sent again, and keep nothing of it: its length and its CRC64NVME.

    Raises Interrupted if it breaks off, DigestMismatch if it is not what was announced.
    """
    count, value = len(early), crc(early)
    while source.ending is None:
        await source.ready()
        block = await engine.governor.take()
        try:
            view = memoryview(block)
            got = await engine.do(_read, source, view, proof)
            count, value = count + got, crc(view[:got], value)
        finally:
            engine.governor.give(block)
    if source.ending is not Ending.WHOLE:
        raise interrupted(source.ending, count)
    if proof is not None:
        proof.hold({})
    return count, value


def _before(ledger: Ledger, caller: Caller, new: NewUpload) -> tuple[Object, Upload] | None:
    """What an earlier try of the very same creation made. Blocks."""
    for path in islice(alternatives(new.name or ""), _MOST_NAMES if new.name else 0):
        taken = ledger.get(Name, caller.tenant, path)
        if taken is None:
            return None
        made = ledger.get(Object, taken.object)
        if made is not None and (made.owner, made.metadata) == (caller.subject, new.metadata):
            upload = ledger.get(Upload, made.id)
            return None if upload is None else (made, upload)
        if new.on_conflict is not OnConflict.KEEP_BOTH:
            return None
    return None


def _insist_on_same(made: Object, length: int, value: int) -> None:
    """Raise StateConflict unless the object has that length and that CRC64NVME."""
    if (made.length, made.crc) != (length, value):
        raise StateConflict(
            "Another file was sent as this very upload before.",
            why="The mark that tells an upload from all others is that of a file with other bytes.",
            todo="Give each upload a mark of its own.",
        )


def _again(ledger: Ledger, caller: Caller, new: NewUpload, value: int) -> Upload | None:
    """What an earlier try made of the same bytes. Blocks. Raises StateConflict if of others."""
    before = _before(ledger, caller, new)
    if before is None:
        return None
    made, upload = before
    _insist_on_same(made, new.length or 0, value)
    return upload


async def _make(engine: Engine, caller: Caller, new: NewUpload, view: memoryview) -> Upload:
    new = await engine.hooks.before_create(caller, new)
    name, now = check_new(caller, new, engine.limits), engine.clock.now()
    first = first_row(caller, new, name, now=now, expires_at=expiry(engine.limits, now))
    filled = replace(first, state=UploadState.FILLED, offset=len(view), crc=crc(view, 0))
    await engine.hooks.before_complete(filled)

    again = partial(_again, engine.ledger, caller, new, filled.crc)
    async with engine.chosen.reserve(new.id, engine.do):
        made = await engine.do(_keep, engine, filled, view, now, again if new.once else _never)
    if made.id == first.id:
        engine.events.tell("created", first)
        engine.events.tell("completed", made)
    return made


def _never() -> None:
    """Nothing was made before."""


def _keep(
    engine: Engine,
    upload: Upload,
    view: memoryview,
    now: int,
    again: Callable[[], Upload | None],
) -> Upload:
    """Seal the bytes and commit what they are; or what `again` finds. Blocks."""
    store, ledger = engine.store, engine.ledger
    try:
        check_free(ledger, upload)
    except NameConflict:
        if (known := again()) is None:
            raise
        return known
    upload = replace(upload, handle=store.create(upload.id, len(view)))
    made = object_of(upload, now=now)
    try:
        if view:
            store.write(upload.handle, 1, 0, [view])
        address = store.seal(upload.handle, len(view), manifest_of(upload, made))
    except TowpathError:
        with suppress(TowpathError):  # what went wrong first is told; the sweep finds the rest
            store.remove(upload.handle)
        raise
    live = Newborn(upload, Extent(upload.offset, upload.crc, ()), ())
    live.notes, live.guesses = engine.notes, upload.replaces is None  # since most names are free
    facts = [Add(whole(made, address)), *told(engine.notes, upload, ())]
    enter = partial(commit_object, store, ledger, live, upload, made, facts, now=now)
    try:
        try:
            enter()
        except Duplicate:
            if (known := again()) is not None:
                store.remove(address)
                return known
            live.guesses = False
            enter()
    except (Refused, Duplicate, Stale):  # so it was not committed; of others nobody knows
        store.remove(address)
        raise
    return live.upload


class Newborn(Live):
    """An upload that gets its first row when it is complete."""

    def commit(
        self,
        ledger: Ledger,
        upload: Upload,
        changes: Sequence[Change] = (),
        extent: Extent | None = None,
    ) -> None:
        """Commit the row and `changes`. Blocks."""
        ledger.commit([Add(upload), *changes])
        self.facts = replace(upload, version=1), extent or self.extent

    def stands(self, ledger: Ledger) -> bool:
        """True while there is no row of it. Blocks."""
        return ledger.get(Upload, self.upload.id) is None


class Begun:
    """A source whose first bytes were read before: they come once more, then the rest does."""

    def __init__(self, early: bytes, rest: Source) -> None:
        self._early = memoryview(early)
        self._rest = rest
        self._stopped = False

    @property
    def length(self) -> int | None:
        """Bytes that are to come in all."""
        return self._rest.length

    @property
    def trailers(self) -> Mapping[str, str]:
        """Fields that came behind the bytes."""
        return {} if self._early else self._rest.trailers

    @property
    def ending(self) -> Ending | None:
        """None while more may come."""
        if self._stopped:
            return self._rest.ending if self._rest.ending is not Ending.WHOLE else Ending.STOPPED
        return None if self._early else self._rest.ending

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes into `view`."""
        if self.ending is not None:
            return 0
        if not self._early:
            return self._rest.read_into(view)
        count = min(len(view), len(self._early))
        view[:count] = self._early[:count]
        self._early = self._early[count:] or memoryview(b"")
        return count

    async def ready(self) -> None:
        """Return when there is something to read, or the end."""
        if not self._early and not self._stopped:
            await self._rest.ready()

    def stop(self) -> None:
        """End it now."""
        self._stopped = bool(self._early) or self._stopped
        self._rest.stop()
