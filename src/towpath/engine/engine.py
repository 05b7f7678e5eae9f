"""The verbs on uploads: create write inspect claim complete cancel. The caller comes first.

Rules:
- A foreign upload is answered like one that does not exist.
- What is refused changes nothing: it is judged before a lease is given and a byte is read.
- Data durable, then ledger, then answer.
- Verbs run on the event loop; store and ledger are asked in worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

from towpath.core.caller import Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.limits import Limits
from towpath.core.model import Object, Upload
from towpath.core.ports import Clock, EventSink, Hooks, Notes, Source
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.core.transfer import Write, end, is_overdue, move, require_live
from towpath.engine.admission import check_new, check_room, first_row, no_such_upload
from towpath.engine.chosen import Chosen
from towpath.engine.compose import Parts, survey
from towpath.engine.duplicates import same_as
from towpath.engine.endings import expect_nothing
from towpath.engine.governor import Governor
from towpath.engine.lease import Lease, end_all
from towpath.engine.live import Live, told
from towpath.engine.lives import Lives
from towpath.engine.proof import Behind, Proof
from towpath.engine.publish import publish
from towpath.engine.release import give_up
from towpath.engine.silence import CONSENT, NOTHING, SILENCE
from towpath.engine.taking_up import take_up
from towpath.engine.threads import result_of
from towpath.engine.writing import Writing, expiry, proof_of
from towpath.errors import DigestMismatch, LengthConflict, NotFound, Refused, StateConflict, Vetoed
from towpath.ledger.base import Add, Ledger, Query
from towpath.store.base import Store

P = ParamSpec("P")
T = TypeVar("T")

GIVEN_UP = frozenset({UploadState.CANCELLED, UploadState.EXPIRED, UploadState.FAILED})
_DUE = frozenset({UploadState.FILLED, UploadState.SEALING})


class Engine:
    """Takes uploads in. Everything it needs is given to it."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        limits: Limits,
        holder: str,
        events: EventSink = SILENCE,
        hooks: Hooks = CONSENT,
        notes: Notes = NOTHING,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.clock = clock
        self.limits = limits
        self.events = events
        self.hooks = hooks
        self.notes = notes
        self.chosen = Chosen(ledger)
        self._parts = Parts(ledger)
        self.threads = ThreadPoolExecutor(8, "towpath-io")
        self._lives = Lives(self._load_soon)
        self._writing = Writing(
            store=store,
            ledger=ledger,
            clock=clock,
            limits=limits,
            holder=holder,
            events=events,
            hooks=hooks,
            do=self.do,
        )

    @property
    def writing(self) -> int:
        """How many chunks are being received now."""
        return self._writing.count

    def place(self) -> AbstractContextManager[None]:
        """One of the places for chunks. Raises LimitReached."""
        return self._writing.place()

    def moving(self) -> Iterator[tuple[Upload, Extent, int]]:
        """Each upload that receives now, what of it is durable, and how much has come."""
        return self._writing.moving()

    @property
    def governor(self) -> Governor:
        """The memory that bytes in flight take."""
        return self._writing.governor

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work of store and ledger in a worker thread, to its end."""
        loop = asyncio.get_running_loop()
        return await result_of(loop.run_in_executor(self.threads, lambda: work(*args, **kwargs)))

    # --- verbs -------------------------------------------------------------------------------

    async def create(self, caller: Caller, new: NewUpload) -> Upload:
        """A new upload, durable in the ledger. One of no bytes is complete at once.

        Raises Forbidden, Malformed, TooLarge, LimitReached, StoreError.
        """
        caller.require(Scope.WRITE)
        new = await self.hooks.before_create(caller, new)
        same = await self.do(same_as, self.ledger, caller, new)
        if same is not None:
            try:
                return await self._at_once(caller, await self._begin(caller, new, parts=(same,)))
            except NotFound:  # it was removed at this very moment
                pass
        upload = await self._begin(caller, new)
        if upload.state is UploadState.FILLED and upload.completes:
            return await self._at_once(caller, upload)
        return upload

    async def _at_once(self, caller: Caller, upload: Upload) -> Upload:
        """The upload complete; or an error, and nothing of it."""
        try:
            return await self.claim(caller, upload.id)
        except Refused:
            await self.cancel(caller, upload.id, reason="it could not be completed at once")
            raise

    async def concatenate(self, caller: Caller, new: NewUpload, parts: Sequence[str]) -> Upload:
        """An upload made of others of the caller's, in their order; no byte is moved.

        Complete at once if they all are; else it is when it is asked for and they are. Raises
        NotFound, Forbidden, TooLarge, NameConflict.
        """
        caller.require(Scope.WRITE)
        new = await self.hooks.before_create(caller, new)
        found = await self.do(survey, self._parts, caller, parts)
        upload = await self._begin(caller, replace(new, length=found.length), parts=tuple(parts))
        async with self.hold(upload.id) as live:
            live.composed = found.composed
            try:
                return await self.claim(caller, upload.id)
            except (NotFound, LengthConflict):
                await self.cancel(caller, upload.id, reason="its parts do not fit")
                raise

    async def write(
        self,
        caller: Caller,
        key: str,
        write: Write,
        source: Callable[[], Source],
        behind: Behind | None = None,
    ) -> Upload:
        """Receive a chunk; return the upload with all of it durable, complete if that filled it.

        `source` is called once the write is admitted; `behind` reads digests from its trailers.
        Ends whoever writes there now. Raises the Refused of core.transfer before a byte is read;
        Interrupted, TooLarge, DigestMismatch and StoreError after keeping what became durable.
        """
        caller.require(Scope.WRITE)
        proof = proof_of(write, behind)
        with self._writing.place():
            async with self._hold(caller, key) as live:
                async with live.turn:
                    lease, bound = await self._writing.grant(live, write, source)
                if lease is not None:
                    await self._receive(live, lease, bound, proof)
                else:
                    trailers: Mapping[str, str] = {}
                    if write.length is None:
                        trailers = await expect_nothing(source(), self.threads)
                    if proof is not None:
                        proof.hold(trailers)
                if write.completes:
                    ended = partial(end, extent=live.extent, now=self.clock.now())
                    await self.do(live.change, self.ledger, ended)
                return await self._complete_if_due(live)

    async def inspect(self, caller: Caller, key: str) -> tuple[Upload, Extent]:
        """The upload and what of it is durable. Disturbs nobody. Raises NotFound, Expired."""
        async with self._hold(caller, key) as live:
            require_live(live.upload, now=self.clock.now())
            return live.facts

    async def claim(self, caller: Caller, key: str) -> Upload:
        """End whoever writes, at once, and return the upload with its true offset.

        Completes it if all bytes are there. Raises NotFound, Expired.
        """
        caller.require(Scope.WRITE)
        async with self._hold(caller, key) as live:
            async with live.turn:
                await end_all(live.leases)
                require_live(live.upload, now=self.clock.now())
            return await self._complete_if_due(live)

    async def complete(self, caller: Caller, key: str) -> Object:
        """Make the upload an object. Asking again gives the same.

        Raises StateConflict while bytes are missing, NameConflict, StoreError.
        """
        caller.require(Scope.WRITE)
        async with self._hold(caller, key) as live:
            return await self._complete(live)

    async def cancel(self, caller: Caller, key: str, *, reason: str = "") -> None:
        """Give the upload up: its writers end, its bytes go. Raises StateConflict once complete."""
        caller.require(Scope.WRITE)
        async with self._hold(caller, key) as live, live.turn:
            why = reason or "cancelled by its owner"
            await self._abandon(live, UploadState.CANCELLED, why)

    async def fail(self, caller: Caller, key: str, reason: str) -> None:
        """Make the upload one that can never complete; its bytes go."""
        caller.require(Scope.WRITE)
        async with self._hold(caller, key) as live, live.turn:
            await self._abandon(live, UploadState.FAILED, reason)

    async def list(
        self,
        caller: Caller,
        *,
        states: Sequence[UploadState] = (),
        after: str | None = None,
        limit: int = 100,
    ) -> list[Upload]:
        """The caller's uploads in any of `states` (none: all), ordered by id."""
        caller.require(Scope.LIST)
        where: dict[str, str | tuple[str, ...]] = {"tenant": caller.tenant}
        if Scope.ADMIN not in caller.scopes:
            where["owner"] = caller.subject
        if states:
            where["state"] = tuple(states)
        query = Query(where=where, after=None if after is None else (after,), limit=limit)
        return await self.do(self.ledger.list, Upload, query)

    @property
    def draining(self) -> bool:
        """True once no more chunks are taken."""
        return self._writing.draining

    async def drain(self) -> None:
        """Take no more chunks, and end those on their way with all they brought settled."""
        await self._writing.drain()

    async def close(self) -> None:
        """Drain, wait for every verb that is under way, and let the threads go."""
        await self.drain()
        await self._lives.nobody()
        await self._writing.close()
        await asyncio.to_thread(self.threads.shutdown)

    # --- what sweep uses too -----------------------------------------------------------------

    async def finish(self, key: str) -> None:
        """Complete what a crash left filled or sealing, overdue or not: all its bytes came.

        Raises what `complete` does.
        """
        async with self._lives.hold(key) as live:
            if live.upload.completes and live.upload.state in _DUE:
                async with live.turn:
                    await self._publish(live)

    async def expire(self, key: str) -> bool:
        """End the upload if its time is over and nobody writes to it; return whether it was."""
        async with self._lives.hold(key) as live, live.turn:
            overdue = is_overdue(live.upload, now=self.clock.now())
            if overdue and not live.leases:
                await self._abandon(live, UploadState.EXPIRED, "its time was over")
            return overdue and not live.leases

    async def drop(self, key: str) -> None:
        """Remove the bytes of an upload that was given up, if a crash left them."""
        async with self._lives.hold(key) as live, live.turn:
            if live.upload.state in GIVEN_UP:
                await self._drop_bytes(live)

    async def _abandon(self, live: Live, state: UploadState, reason: str) -> None:
        """End the upload without an object: ledger first, then its bytes go. In its turn."""
        await end_all(live.leases)
        if not live.upload.state.is_final:
            upload = move(live.upload, state, now=self.clock.now(), reason=reason)
            await self.do(give_up, self.store, self.ledger, live, upload)
            self.events.tell(state.value, *live.facts)
        elif live.upload.state is UploadState.COMPLETE:
            raise StateConflict(
                "The upload is complete and cannot be given up.",
                why="It is an object now.",
                todo="Remove the object instead.",
            )
        await self._drop_bytes(live)

    async def _drop_bytes(self, live: Live) -> None:
        if live.upload.handle:
            await self.do(self.store.remove, live.upload.handle)
            await self.do(live.end, self.ledger, replace(live.upload, handle=""))

    def hold(self, key: str) -> AbstractAsyncContextManager[Live]:
        """Keep what is known of an upload at hand for several verbs. Raises NotFound."""
        return self._lives.hold(key)

    # --- inside ------------------------------------------------------------------------------

    @asynccontextmanager
    async def _hold(self, caller: Caller, key: str) -> AsyncIterator[Live]:
        async with self._lives.hold(key) as live:
            if not caller.owns(live.upload.tenant, live.upload.owner):
                raise no_such_upload()
            yield live

    def _load_soon(self, key: str) -> asyncio.Future[Live]:
        return asyncio.get_running_loop().run_in_executor(self.threads, self._load, key)

    def _load(self, key: str) -> Live:
        frontiers, now = self._writing.frontiers, self.clock.now()
        live = take_up(self.store, self.ledger, frontiers, key, now=now)
        live.notes = self.notes
        return live

    async def _receive(
        self, live: Live, lease: Lease, bound: int | None, proof: Proof | None
    ) -> None:
        try:
            await self._writing.receive(live, lease, bound, proof)
        except Vetoed as error:
            async with live.turn:
                await self._abandon(live, UploadState.FAILED, str(error))
            raise

    async def _begin(
        self, caller: Caller, new: NewUpload, *, parts: tuple[str, ...] = ()
    ) -> Upload:
        name = check_new(caller, new, self.limits)
        await self.do(check_room, self.ledger, caller, self.limits)
        now = self.clock.now()
        ends = expiry(self.limits, now)
        upload = first_row(caller, new, name, parts=parts, now=now, expires_at=ends)
        async with self.chosen.reserve(new.id, self.do):
            handle = "" if parts else await self.do(self.store.create, upload.id, new.length)
            upload = replace(upload, handle=handle)
            try:
                await self.do(self.ledger.commit, [Add(upload), *told(self.notes, upload, ())])
            except Exception:
                if handle and new.id is None:
                    await self.do(self.store.remove, handle)
                raise
        upload = replace(upload, version=1)
        self.events.tell("created", upload)
        return upload

    async def _complete_if_due(self, live: Live) -> Upload:
        upload = live.upload
        composed = bool(upload.parts) and upload.state is UploadState.OPEN
        if upload.completes and (upload.state in _DUE or composed):
            try:
                await self._complete(live)
            except StateConflict as error:
                if not composed or isinstance(error, LengthConflict):
                    raise  # else a part is unfinished, and so is the whole
        return live.upload

    async def _complete(self, live: Live) -> Object:
        async with live.turn:
            require_live(live.upload, now=self.clock.now())
            return await self._publish(live)

    async def _publish(self, live: Live) -> Object:
        if live.upload.state in _DUE:
            await end_all(live.leases)  # who still compares repeated bytes
        fresh = not live.upload.state.is_final
        try:
            if fresh:
                await self.hooks.before_complete(live.upload)
            made = await self.do(publish, self.store, self._parts, live, now=self.clock.now())
        except (DigestMismatch, Vetoed) as error:
            await self._abandon(live, UploadState.FAILED, str(error))
            raise
        if fresh:
            self.events.tell("completed", live.upload)
        return made
