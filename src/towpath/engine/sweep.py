"""Removal of what has expired, and of what no fact points to.

Rules:
- An upload with a writer never expires. Its row stays a while, so that a latecomer is told.
- What is filled completes first, overdue or not, and is not given up because a disk failed once.
- Bytes whose row says they are to go are removed again after a crash.
- What is in the store without a row is moved to lost+found, never deleted, only when it is older
  than a grace time, and not while the store is newer than the ledger: then the ledger is the one
  that lost something, and `towpath ledger rebuild` is the answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from towpath.core.model import Object, Outbox, Segment, Upload
from towpath.core.state import UploadState
from towpath.engine.engine import GIVEN_UP, Engine
from towpath.engine.release import REMOVE, forget_object, note_of, unlink
from towpath.engine.segments import spread
from towpath.errors import NotFound, Refused, Stale, TowpathError
from towpath.ledger.base import Query, Remove
from towpath.store.base import Stored

_log = logging.getLogger("towpath.sweep")

_UNFINISHED = (UploadState.OPEN, UploadState.FILLED)
_TO_COMPLETE = (UploadState.FILLED, UploadState.SEALING)


@dataclass(slots=True)
class Swept:
    """What one sweep did."""

    expired: int = 0
    completed: int = 0
    forgotten: int = 0
    unlinked: int = 0
    orphans: int = 0


class Sweep:
    """One pass over everything, as often as it is asked for. Times in milliseconds."""

    def __init__(
        self, engine: Engine, *, grace: int = 3_600_000, remember: int = 7 * 86_400_000
    ) -> None:
        self._engine = engine
        self._grace = grace
        self._remember = remember

    async def run(self) -> Swept:
        """Sweep once. An error with one thing is logged with its cause and does not stop it."""
        swept = Swept()
        spared = await self.finish(swept)
        await self._expire(swept, spared)
        await self._forget(swept)
        await self._discard_parts(swept)
        await self._unlink(swept)
        await self._spread()
        await self._orphans(swept)
        return swept

    async def finish(self, swept: Swept) -> set[str]:
        """Complete what a crash left filled or sealing; return what may succeed another time."""
        spared: set[str] = set()
        query = Query(where={"state": _TO_COMPLETE})
        async for upload in self._uploads(query):
            if not upload.completes:
                continue
            try:
                await self._engine.finish(upload.id)
                swept.completed += 1
            except TowpathError as error:
                if not isinstance(error, Refused):
                    spared.add(upload.id)
                _log.warning(
                    "an upload could not be completed",
                    extra={"upload": upload.id, "error": str(error)},
                )
        return spared

    async def _expire(self, swept: Swept, spared: set[str]) -> None:
        now = self._engine.clock.now()
        query = Query(where={"state": _UNFINISHED}, below=("expires_at", now + 1))
        async for upload in self._uploads(query):
            if upload.id in spared:
                continue
            try:
                swept.expired += await self._engine.expire(upload.id)
            except TowpathError as error:
                _log.warning(
                    "an upload could not be expired",
                    extra={"upload": upload.id, "error": str(error)},
                )

    async def _forget(self, swept: Swept) -> None:
        """Remove bytes that a crash left with given-up uploads, and rows nobody asks for now."""
        horizon = self._engine.clock.now() - self._remember
        async for upload in self._uploads(Query(where={"state": tuple(GIVEN_UP)})):
            try:
                if upload.handle:
                    await self._engine.drop(upload.id)
                elif upload.updated_at < horizon:
                    remove = Remove(Upload, upload.key, upload.version)
                    await self._engine.do(self._engine.ledger.commit, [remove])
                    swept.forgotten += 1
            except (Stale, NotFound):
                continue  # somebody was quicker
            except TowpathError as error:
                _log.warning(
                    "bytes could not be removed",
                    extra={"upload": upload.id, "error": str(error)},
                )

    async def _discard_parts(self, swept: Swept) -> None:
        """Let go of parts whose time is over; bytes that a whole shares stay."""
        engine = self._engine
        now = engine.clock.now()
        query = Query(
            where={"state": UploadState.COMPLETE, "partial": True}, below=("expires_at", now + 1)
        )
        async for upload in self._uploads(query):
            changes, _ = await engine.do(forget_object, engine.ledger, upload.id, now=now)
            try:
                await engine.do(engine.ledger.commit, changes)
                swept.expired += 1
            except Stale:
                continue  # somebody was quicker

    async def _unlink(self, swept: Swept) -> None:
        engine = self._engine
        notes = await engine.do(engine.ledger.list, Outbox, Query(where={"kind": REMOVE}))
        for note in notes:
            try:
                await engine.do(unlink, engine.store, engine.ledger, note)
                swept.unlinked += 1
            except TowpathError as error:
                _log.warning(
                    "an object's bytes could not be removed",
                    extra={"address": note.subject, "error": str(error)},
                )

    async def _spread(self) -> None:
        """Write rows of segments that were put off, so that what is put off never piles up."""
        try:
            await self._engine.do(spread, self._engine.ledger)
        except TowpathError as error:
            _log.warning("segments could not be written", extra={"error": str(error)})

    async def _orphans(self, swept: Swept) -> None:
        """Move to lost+found what no row points to."""
        engine = self._engine
        oldest = engine.clock.now() - self._grace
        after = ""
        while page := await engine.do(engine.store.list, after):
            after = page[-1].at
            for stored in page:
                if stored.changed_at > oldest or await engine.do(self._is_known, stored):
                    continue
                if await engine.do(self._newer_than_ledger, stored):
                    _log.error(
                        "the store is newer than the ledger; nothing is moved away",
                        extra={"at": stored.at, "todo": "towpath ledger rebuild"},
                    )
                    return
                try:
                    await engine.do(engine.store.remove, stored.at, keep=True)
                except TowpathError as error:
                    _log.warning(
                        "could not be moved to lost+found",
                        extra={"at": stored.at, "error": str(error)},
                    )
                    continue
                _log.warning("moved to lost+found", extra={"at": stored.at, "kind": stored.kind})
                swept.orphans += 1

    def _is_known(self, stored: Stored) -> bool:
        ledger = self._engine.ledger
        if stored.kind == "upload":
            return ledger.count(Upload, Query(where={"handle": stored.at})) > 0
        if ledger.count(Segment, Query(where={"address": stored.at})) > 0:
            return True
        if ledger.get(Outbox, note_of(stored.at)) is not None:
            return True
        # Sealed before a crash: its upload is still to be completed.
        key = "" if stored.manifest is None else str(stored.manifest.record.get("id", ""))
        upload = ledger.get(Upload, key)
        return upload is not None and upload.state in _TO_COMPLETE

    def _newer_than_ledger(self, stored: Stored) -> bool:
        """True if the ledger knows nothing that happened after this came into the store."""
        ledger = self._engine.ledger
        known = ledger.count(Upload, Query()) + ledger.count(Object, Query())
        before = Query(below=("created_at", stored.changed_at - self._grace))
        older = ledger.count(Upload, before) + ledger.count(Object, before)
        return stored.kind == "object" and known == older

    async def _uploads(self, query: Query) -> AsyncIterator[Upload]:
        engine = self._engine
        while page := await engine.do(engine.ledger.list, Upload, query):
            for upload in page:
                yield upload
            query = replace(query, after=page[-1].key)
