"""The engine of a data folder inside this process, on an event loop in a thread of its own.

Rules: one engine a folder, shared by all who enter; it ends with the last who leaves, or when the
interpreter ends. Then whoever asked for it is called first, while threads may still be started.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from towpath.assemble import SystemClock, service
from towpath.core.model import Upload
from towpath.errors import Duplicate
from towpath.ledger.base import Add
from towpath.settings import Settings
from towpath.web.calls import calls_of

T = TypeVar("T")

_CANCELLED = "cancelled"


class House:
    """A running engine. Raises SettingsError, StoreBusy, StoreError, LedgerError when made."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = settings.data.resolve()
        self.users = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="towpath-house", daemon=True)
        try:
            self.service = service(settings)
        except BaseException:
            self._loop.close()
            raise
        self._thread.start()
        try:
            self.call(self.service.begin())
        except BaseException:
            self.end()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for what it returns."""
        return self.submit(work).result()

    def tell_cancelled(self, upload: Upload) -> None:
        """See to it that webhooks hear of a cancelled upload, also if they hear only of others."""
        if _CANCELLED in self.settings.webhook_events or not self.settings.webhooks:
            return  # it was told with the rest, or there is nobody to tell
        clock = SystemClock()
        notes = calls_of(replace(self.settings, webhook_events=(_CANCELLED,)), clock).notes
        rows = notes.of(_CANCELLED, upload, None, now=clock.now())
        try:
            self.service.ledger.commit([Add(row) for row in rows])
        except Duplicate:  # it was told before
            return
        self.service.tell(_CANCELLED, upload)

    def end(self) -> None:
        """Settle what is on its way, and end everything."""
        try:
            self.call(self.service.drain())
            self.call(self.service.end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


_GUARD = threading.Lock()
_OPEN: dict[Path, House] = {}
_WAITERS: list[weakref.WeakMethod[Callable[[], None]]] = []


def enter(settings: Settings) -> House:
    """The engine of the settings' data folder. Raises what House raises."""
    where = settings.data.resolve()
    with _GUARD:
        house = _OPEN.get(where)
        if house is None:
            house = _OPEN[where] = House(settings)
        house.users += 1
        return house


def leave(house: House) -> None:
    """Need the engine no longer."""
    with _GUARD:
        house.users -= 1
        if house.users == 0:
            _OPEN.pop(house.where, None)
            house.end()


def before_exit(call: Callable[[], None]) -> None:
    """Call the method when the interpreter is about to end, while threads may still be started."""
    with _GUARD:
        _WAITERS[:] = [each for each in _WAITERS if each() is not None]
        _WAITERS.append(weakref.WeakMethod(call))


def _end_all() -> None:
    for waiter in tuple(_WAITERS):
        if (call := waiter()) is not None:
            call()
    with _GUARD:
        houses = list(_OPEN.values())
        _OPEN.clear()
        for house in houses:
            house.end()


# The pools of an engine take no work once `atexit` runs: this runs before they are told to stop.
getattr(threading, "_register_atexit", atexit.register)(_end_all)
