"""The verbs on uploads: create write inspect claim complete cancel. The caller comes first.

Rules:
- A foreign upload is answered like one that does not exist.
- What is refused changes nothing: it is judged before a lease is given and a byte is read.
- Data durable, then ledger, then answer.
- Verbs run on the event loop; store and ledger are asked in worker threads.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import ParamSpec, TypeVar

from towpath.core.caller import Caller, Scope
from towpath.core.command import NewUpload
from towpath.core.limits import Limits
from towpath.core.model import Object, Upload, UploadState
from towpath.core.ports import Clock, Source
from towpath.core.ranges import Extent, Span
from towpath.core.transfer import (
    Write,
    admit,
    declare,
    filled,
    is_overdue,
    move,
    refuse_beyond,
    require_live,
)
from towpath.engine.admission import check_new, gives_way, no_such_upload
from towpath.engine.governor import Governor
from towpath.engine.lease import Lease, end_all
from towpath.engine.live import Live, load
from towpath.engine.lives import Lives
from towpath.engine.publish import publish
from towpath.engine.receive import Crew, Receive, expect_nothing
from towpath.engine.recount import recount
from towpath.engine.threads import result_of
from towpath.errors import LimitReached, NotFound, StateConflict
from towpath.ledger.base import Add, Ledger, Query
from towpath.store.base import Store

P = ParamSpec("P")
T = TypeVar("T")

GIVEN_UP = frozenset({UploadState.CANCELLED, UploadState.EXPIRED, UploadState.FAILED})
_UNSEALED = frozenset({UploadState.OPEN, UploadState.FILLED})
_DUE = frozenset({UploadState.FILLED, UploadState.SEALING})


class Engine:
    """Takes uploads in. Everything it needs is given to it."""

    def __init__(
        self, *, store: Store, ledger: Ledger, clock: Clock, limits: Limits, holder: str
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.clock = clock
        self.limits = limits
        self.governor = Governor(
            limits.memory,
            smallest=limits.block_smallest,
            largest=limits.block_largest,
            blocks=limits.workers,
        )
        self._holder = holder
        self._lives = Lives(self._load_soon)
        self._writing: set[Lease] = set()
        self._chunks = 0  # admitted, or about to be
        self._draining = False
        self.threads = ThreadPoolExecutor(8, "towpath-io")
        self._crew = Crew(
            store=store,
            limits=limits,
            governor=self.governor,
            clock=clock,
            receiving=ThreadPoolExecutor(limits.workers, "towpath-receive"),
            settling=ThreadPoolExecutor(8, "towpath-settle"),
            urgent=ThreadPoolExecutor(8, "towpath-urgent"),
        )

    @property
    def writing(self) -> int:
        """How many chunks are being received now."""
        return len(self._writing)

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
        name = check_new(caller, new, self.limits)
        await self._check_room(caller)
        now = self.clock.now()
        key = _new_key()
        handle = await self.do(self.store.create, key, new.length)
        upload = Upload(
            tenant=caller.tenant,
            owner=caller.subject,
            id=key,
            state=UploadState.FILLED if new.length == 0 else UploadState.OPEN,
            length=new.length,
            handle=handle,
            name=name,
            on_conflict=new.on_conflict,
            media_type=new.media_type,
            metadata=new.metadata,
            dialect=new.dialect,
            completes=new.completes,
            created_at=now,
            updated_at=now,
            expires_at=self._expiry(now),
        )
        try:
            await self.do(self.ledger.commit, [Add(upload)])
        except Exception:
            await self.do(self.store.remove, handle)
            raise
        if upload.state is UploadState.FILLED and upload.completes:
            return await self.claim(caller, key)
        return replace(upload, version=1)

    async def write(
        self, caller: Caller, key: str, write: Write, source: Callable[[], Source]
    ) -> Upload:
        """Receive a chunk; return the upload with all of it durable, complete if that filled it.

        `source` is called once the write is admitted. Ends whoever writes there now. Raises the
        Refused of core.transfer before a byte is read; Interrupted, TooLarge and StoreError after
        keeping what became durable.
        """
        caller.require(Scope.WRITE)
        with self._place():
            async with self._hold(caller, key) as live:
                async with live.turn:
                    lease, bound = await self._grant(live, write, source)
                if lease is not None:
                    await self._receive(live, lease, bound)
                elif write.length is None:
                    await expect_nothing(source(), self.threads)
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
        return self._draining

    async def drain(self) -> None:
        """Take no more chunks, and end those on their way with all they brought settled."""
        self._draining = True
        await end_all(list(self._writing))

    async def close(self) -> None:
        """Drain, wait for every verb that is under way, and let the threads go."""
        await self.drain()
        await self._lives.nobody()
        for pool in (self._crew.receiving, self._crew.settling, self._crew.urgent, self.threads):
            await asyncio.to_thread(pool.shutdown)

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
            await self.do(live.end, self.ledger, upload)
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
        upload = self.ledger.get(Upload, key)
        if upload is None:
            raise no_such_upload()
        held: int | None = None
        if upload.state in _UNSEALED:
            try:
                held = self.store.extent(upload.handle)
            except NotFound:
                # A filled one may be sealed already. An open one was not settled before a crash,
                # or the store lost it: then it begins anew.
                if upload.state is UploadState.OPEN:
                    self.store.create(upload.id, upload.length)
                    held = 0
        if held is not None and held < upload.offset:
            upload = recount(self.store, self.ledger, upload, held, now=self.clock.now())
        return load(self.ledger, upload, held)

    async def _check_room(self, caller: Caller) -> None:
        unfinished = (UploadState.OPEN, UploadState.FILLED, UploadState.SEALING)
        query = Query(where={"tenant": caller.tenant, "state": unfinished})
        if await self.do(self.ledger.count, Upload, query) >= self.limits.open_uploads:
            raise LimitReached(
                "Too many uploads are unfinished.",
                why=f"At most {self.limits.open_uploads} may be.",
                todo="Finish or cancel some.",
                retry_after=60,
            )

    def _expiry(self, now: int) -> int:
        return now + int(self.limits.lifetime * 1000)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for chunks, counted from its first step on. Raises LimitReached."""
        if self._draining or self._chunks >= self.limits.uploads:
            raise LimitReached(
                "The server takes no more chunks now.",
                why="It is stopping." if self._draining else "Too many are on their way.",
                todo="Try again soon.",
            )
        self._chunks += 1
        try:
            yield
        finally:
            self._chunks -= 1

    async def _grant(
        self, live: Live, write: Write, source: Callable[[], Source]
    ) -> tuple[Lease | None, int | None]:
        """A lease for the write, and where it must end; no lease when there is nothing to come."""
        now = self.clock.now()
        require_live(live.upload, now=now)
        if write.length:
            refuse_beyond(live.upload, write)
        await end_all([lease for lease in live.leases if gives_way(lease, write)])
        upload = live.upload
        if write.declares is not None:
            upload = declare(upload, write.declares, extent=live.extent, most=self.limits.length)
            upload = filled(upload, now=now)
        bound = admit(upload, live.extent, write, most=self.limits.length)
        length = upload.length
        if write.length == 0 or upload.state not in _UNSEALED:
            if length != live.upload.length:
                await self.do(live.learn, self.ledger, length, now=now)
            return None, bound
        lease = Lease(upload.fence + 1, write.offset, write.end, source())
        await self.do(live.grant, self.ledger, lease, length=length, holder=self._holder, now=now)
        live.leases.append(lease)
        self._writing.add(lease)
        if self._draining:
            lease.stop()
        return lease, bound

    async def _receive(self, live: Live, lease: Lease, bound: int | None) -> None:
        def settle(spans: Sequence[Span]) -> None:
            self.store.settle(live.upload.handle)
            now = self.clock.now()
            live.settle(self.ledger, spans, lease.fence, now=now, expires_at=self._expiry(now))

        try:
            handle = live.upload.handle
            await Receive(self._crew, handle, lease, live.extent, bound, settle).run()
        finally:
            self._writing.discard(lease)
            live.leases.remove(lease)
            lease.ended.set()

    async def _complete_if_due(self, live: Live) -> Upload:
        if live.upload.completes and live.upload.state in _DUE:
            await self._complete(live)
        return live.upload

    async def _complete(self, live: Live) -> Object:
        async with live.turn:
            require_live(live.upload, now=self.clock.now())
            return await self._publish(live)

    async def _publish(self, live: Live) -> Object:
        if live.upload.state in _DUE:
            await end_all(live.leases)  # who still compares repeated bytes
        return await self.do(publish, self.store, self.ledger, live, now=self.clock.now())


def _new_key() -> str:
    """160 random bits in [0-9a-z]: nobody guesses one."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(31))
