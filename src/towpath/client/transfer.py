"""A transfer as its owner holds it: awaitable, iterable, to be paused, resumed, cancelled.

Rules: lives on one event loop; the bytes move in a worker thread that `Control` reaches and `Meter`
reports from; nobody who waits for a transfer ends it by no longer waiting.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from towpath.client.control import Control, Stop, Stopped
from towpath.client.disk import named
from towpath.client.lines import Share
from towpath.client.progress import Direction, Meter, Progress, TransferState
from towpath.client.retry import Patience
from towpath.client.throttle import Limit, Pace
from towpath.errors import Interrupted, TowpathError

_log = logging.getLogger(__name__)
_CALLBACK_SECONDS = 0.1  # between two calls of a progress callback

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
OnProgress = Callable[[Progress], Awaitable[None] | None]


class Flow(Protocol[R_co]):
    """What runs in the worker thread."""

    def run(self, patience: Patience) -> R_co:
        """Carry it through, or raise Stopped; it may be called again then."""
        ...

    def discard(self) -> None:
        """Give up what is half done, here and at the server."""
        ...


class Transfer(Generic[R]):
    """One upload or download that is under way. It starts by itself.

    `await transfer` gives its result or raises what ended it. `async for progress in transfer`
    gives the newest Progress whenever there is one: a slow reader misses values, never gets behind.
    Leaving `async with transfer` waits for it, unless it is paused; by an error it pauses it.
    """

    def __init__(
        self,
        transfer_id: str,
        direction: Direction,
        make: Callable[[Control, Meter], Flow[R]],
        *,
        pace: Pace,
        patience: Callable[[], Patience],
        gate: asyncio.Semaphore,
        lines: Share | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._home = threading.get_ident()
        self._changed = asyncio.Event()  # replaced with every change
        self._asked, self._go_on, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._gate = gate
        self._patience = patience
        self._control = Control(pace, lines)
        self._meter = Meter(transfer_id, direction, self._tell)
        self._progress = self._meter.snapshot()
        self._closing = self.collected = False
        self._flow = make(self._control, self._meter)
        self._task = asyncio.create_task(self._live(), name=f"towpath {direction} {transfer_id}")
        self._task.add_done_callback(lambda _: self._wake())
        self._reports = None
        if on_progress is not None:
            self._reports = asyncio.create_task(self._report(on_progress))

    @property
    def id(self) -> str:
        """What it is called on this machine; the same call has the same id."""
        return self._progress.transfer_id

    @property
    def progress(self) -> Progress:
        """The newest value."""
        return self._progress

    @property
    def done(self) -> bool:
        """True when `wait` returns at once."""
        return self._task.done()

    @property
    def paused(self) -> bool:
        """True from `pause` to `resume`: it does not go on by itself."""
        return self._asked.is_set() and not self._task.done()

    async def wait(self) -> R:
        """The result. Raises TowpathError when the transfer failed, Interrupted when cancelled."""
        self.collected = True
        try:
            return await asyncio.shield(self._task)
        finally:
            if self._reports is not None and self._task.done():
                await asyncio.wait({self._reports})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        heard = self.done and self.collected
        if error is not None:
            await self.pause()
        elif not heard and not self.paused:
            await self.wait()

    def __await__(self) -> Generator[object, None, R]:
        return self.wait().__await__()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        seen: Progress | None = None
        while True:
            changed, progress = self._changed, self._progress
            if progress is not seen:
                seen = progress
                yield progress
            elif self._task.done():
                return
            else:
                await changed.wait()

    async def pause(self) -> None:
        """Stop soon and keep everything; returns when no more bytes move."""
        self._control.stop(Stop.PAUSE)
        self._asked.set()
        await self._idle.wait()

    async def resume(self) -> None:
        """Go on after a pause."""
        self._control.renew()
        self._asked.clear()
        self._go_on.set()

    def set_limit(self, limit: Limit) -> None:
        """Bytes a second for this transfer from now on, beside what its client allows.

        A number, or a text such as `20M` or `08:00,512k 23:00,off`; None lifts it. Any thread
        may ask. Raises SettingsError.
        """
        self._control.pace.set_limit(limit)

    async def cancel(self, *, cleanup: bool = True) -> None:
        """End it for good. `cleanup`: also remove what is half done, here and at the server."""
        self._control.stop(Stop.CANCEL)
        self._asked.set()
        self._go_on.set()
        self.collected = True
        await asyncio.wait({self._task})
        if cleanup and self._progress.state is TransferState.CANCELLED:
            await in_thread(self._flow.discard)

    async def close(self) -> None:
        """Pause it and let it end: who waits gets Interrupted. It can go on in another client."""
        self._closing = True
        await self.pause()
        self._go_on.set()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()  # known: nobody need hear of it again
        if self._reports is not None:
            await asyncio.wait({self._reports})

    async def _live(self) -> R:
        try:
            while True:
                if await self._admitted():
                    try:
                        return await in_thread(self._carry)
                    except Stopped:
                        pass
                    finally:
                        self._gate.release()
                await self._stopped()
        except Exception as error:
            if self._progress.state not in (TransferState.CANCELLED, TransferState.PAUSED):
                self._meter.state(TransferState.FAILED)
            if not isinstance(error, TowpathError):
                _log.exception("Transfer %s ended in an unforeseen way.", self.id)
            raise
        finally:
            self._idle.set()

    def _carry(self) -> R:
        self._control.check()
        with self._control.lines.first(self._control.check):
            try:
                return self._flow.run(self._patience())
            except OSError as error:  # of a file that is carried, or of what is remembered
                raise named(error) from error

    async def _admitted(self) -> bool:
        """Wait for a turn; False when asked to stop before it comes."""
        self._idle.clear()
        turn = asyncio.ensure_future(self._gate.acquire())
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait((turn, asked), return_when=asyncio.FIRST_COMPLETED)
            return turn.done()
        finally:
            asked.cancel()
            if not turn.done():
                turn.cancel()

    async def _stopped(self) -> None:
        """Wait until it may go on. Raises Interrupted when it may not."""
        try:
            self._control.check()
        except Stopped as stop:
            if stop.why is Stop.CANCEL:
                self._meter.state(TransferState.CANCELLED)
                raise Interrupted("The transfer was cancelled.") from None
        self._meter.state(TransferState.PAUSED)
        self._idle.set()
        if not self._closing:
            await self._go_on.wait()
        self._go_on.clear()
        if self._closing:
            raise Interrupted(
                "The transfer was paused.",
                why="Its client was closed.",
                todo="Start the same transfer again: it goes on where it stopped.",
            )

    def _tell(self, progress: Progress) -> None:
        """Take a new value, from whichever thread it comes."""
        if threading.get_ident() == self._home:
            self._take(progress)
            return
        try:
            self._loop.call_soon_threadsafe(self._take, progress)
        except RuntimeError:  # the loop is closed: nobody looks any more
            self._control.stop(Stop.PAUSE)

    def _take(self, progress: Progress) -> None:
        self._progress = progress
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _report(self, callback: OnProgress) -> None:
        """Hand values to a callback; what it does wrong is its own affair."""
        async for progress in self:
            try:
                called = callback(progress)
                if inspect.isawaitable(called):
                    await called
            except BaseException as error:  # a stranger's code; nothing of it may end a transfer
                if _is_for_us(error):
                    raise
                _log.exception("The progress callback of transfer %s failed.", self.id)
            await asyncio.wait({self._task}, timeout=_CALLBACK_SECONDS)


def _is_for_us(error: BaseException) -> bool:
    """True if it was not the callback that raised it: our task ends, or somebody pressed Ctrl-C."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(error, KeyboardInterrupt):  # no other thread gets one from outside
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, GeneratorExit)


async def in_thread(work: Callable[[], R]) -> R:
    """Run blocking work in a thread of its own, one that does not keep the process alive."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def settle(result: R | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # the loop is closed: nobody waits
            _log.debug("Work ended after its event loop.")

    threading.Thread(target=run, name="towpath-transfer", daemon=True).start()
    return await future
