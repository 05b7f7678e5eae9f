"""Towpath inside an application of somebody else: their word on who asks, their lifetime.

Rules: whoever mounts us is asked before anything of the request's body is read, once a request;
their word counts for that request alone; what they raise is answered as an error of theirs. The
engine begins once and ends once, whoever asks for it first: a lifespan, `running`, or a request.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from towpath.core.caller import Caller
from towpath.errors import Unauthenticated

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Authorize = Callable[[Scope], Caller | Awaitable[Caller | None] | None]
"""Says who asks, from the ASGI scope of a request; None: nobody that is known."""

_word: ContextVar[Caller | Exception | None] = ContextVar("outer_word", default=None)


class Life(Protocol):
    """What begins and ends."""

    async def begin(self) -> None:
        """Called before the first request."""
        ...

    async def end(self) -> None:
        """Called after the last one."""
        ...


class Once:
    """A life that begins at most once, however often it is asked to, and ends at most once."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._turn = asyncio.Lock()
        self._begun = self._ended = False

    async def begin(self) -> None:
        """Return when it has begun. Raises what its beginning raises; it may be tried again."""
        if self._begun:
            return
        async with self._turn:
            if not self._begun:
                await self._life.begin()
                self._begun = True

    async def end(self) -> None:
        """Return when it has ended; one that has not begun lets go of what it holds, too."""
        async with self._turn:
            if not self._ended:
                self._begun = self._ended = True
                await self._life.end()


class OuterGate:
    """The gate that stands where the outer application says who asks."""

    def __init__(self, authorize: Authorize) -> None:
        self._authorize = authorize

    async def ask(self, scope: Scope) -> None:
        """Ask, and keep the word for this request. What is not async runs in a thread."""
        try:
            if inspect.iscoroutinefunction(self._authorize):
                _word.set(await self._authorize(scope))
            else:
                found = await asyncio.to_thread(self._authorize, scope)
                _word.set(await found if inspect.isawaitable(found) else found)
        except Exception as error:  # noqa: BLE001  # raised where the caller is needed
            _word.set(error)

    def admit(self, fields: Mapping[str, str], peer: str | None = None) -> Caller:
        """The caller. Raises Unauthenticated, and what `authorize` raised."""
        word = _word.get()
        if isinstance(word, Exception):
            raise word
        if word is None:
            raise Unauthenticated(
                "You are not known here.",
                why="The application that this is a part of does not know who asks.",
                todo="Sign in there, and ask again.",
            )
        return word


class Mounted:
    """An application to be mounted in another one, or to be run alone."""

    def __init__(self, app: Asgi, life: Once, gate: OuterGate | None) -> None:
        """`gate`: where the outer application says who asks; None: `app` knows."""
        self._app = app
        self._life = life
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3. A mounted application gets no lifespan: the first request begins it."""
        if scope["type"] != "lifespan":
            await self._life.begin()
            if self._gate is not None:
                await self._gate.ask(scope)
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begin, and end when the block ends: for the lifespan of the outer application."""
        await self._life.begin()
        try:
            yield
        finally:
            await self._life.end()
