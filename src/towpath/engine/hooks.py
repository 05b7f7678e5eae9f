"""Hooks in Python, and several hooks in a row.

Rules: a hook may be asynchronous or not; one that is not runs in a worker thread, since it may
block. What it raises beside Vetoed and Refused is its own mistake: logged, and no answer.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from towpath.core.caller import Caller
from towpath.core.command import NewUpload
from towpath.core.model import Upload
from towpath.core.ports import Hooks
from towpath.engine.threads import result_of
from towpath.errors import SettingsError, TowpathError, Unanswered

_log = logging.getLogger("towpath.hooks")
_NAMES = ("before_create", "while_receiving", "before_complete")


class Callables:
    """Hooks of an object that has some of `before_create`, `while_receiving`, `before_complete`.

    `before_create(caller, new)` returns the upload to begin, or None for the one that was asked
    for; the others take the upload. Raises SettingsError for an object that has none of them.
    """

    def __init__(self, made: object) -> None:
        self._calls: dict[str, Callable[..., Any]] = {
            name: getattr(made, name) for name in _NAMES if callable(getattr(made, name, None))
        }
        if not self._calls:
            raise SettingsError(
                "Those are no hooks.",
                why=f"An object with {', '.join(_NAMES)} is expected, or some of them.",
                todo="Give it at least one of these methods.",
            )
        self.watches = "while_receiving" in self._calls
        self._threads = ThreadPoolExecutor(4, "towpath-hook")

    async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        found = await self._call("before_create", caller, new)
        if found is None:
            return new
        if not isinstance(found, NewUpload):
            raise _failed(f"before_create returned a {type(found).__name__}.")
        return found

    async def while_receiving(self, upload: Upload) -> None:
        await self._call("while_receiving", upload)

    async def before_complete(self, upload: Upload) -> None:
        await self._call("before_complete", upload)

    async def _call(self, name: str, *arguments: object) -> object:
        call = self._calls.get(name)
        if call is None:
            return None
        try:
            if inspect.iscoroutinefunction(call):
                return await call(*arguments)
            return await _in_thread(self._threads, call, *arguments)
        except TowpathError:
            raise
        except Exception as error:
            _log.exception("a hook failed", extra={"hook": name})
            raise _failed(f"It raised {type(error).__name__}.") from error


class Several:
    """Hooks that are asked one after the other; the first no counts."""

    def __init__(self, *hooks: Hooks) -> None:
        self._hooks = hooks
        self.watches = any(each.watches for each in hooks)

    async def before_create(self, caller: Caller, new: NewUpload) -> NewUpload:
        for each in self._hooks:
            new = await each.before_create(caller, new)
        return new

    async def while_receiving(self, upload: Upload) -> None:
        for each in self._hooks:
            await each.while_receiving(upload)

    async def before_complete(self, upload: Upload) -> None:
        for each in self._hooks:
            await each.before_complete(upload)


async def _in_thread(
    threads: ThreadPoolExecutor, call: Callable[..., Any], *arguments: object
) -> object:
    loop = asyncio.get_running_loop()
    found = await result_of(loop.run_in_executor(threads, lambda: call(*arguments)))
    return await found if isinstance(found, Awaitable) else found


def _failed(why: str) -> Unanswered:
    return Unanswered(
        "It cannot be decided now whether the upload may go on.",
        why=f"A hook of those who run the server failed. {why}",
        todo="Try again in a moment; if it stays, ask who runs the server.",
    )
