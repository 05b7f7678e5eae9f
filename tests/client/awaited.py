"""AsyncClient with the face of Client, so that one test holds for both.

Its event loop is somebody else's, in another thread: nothing of Towpath's blocking side is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from inspect import iscoroutine
from typing import Any, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from towpath.client import AsyncClient, AsyncReader, AsyncWriter, Client, Transfer

Either = Callable[..., AbstractContextManager[Client]]


class Awaited:
    """Something asynchronous whose methods wait, and give what is asynchronous in the same way."""

    def __init__(self, portal: BlockingPortal, it: Any) -> None:
        self._portal = portal
        self._it = it

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._it, name)
        return partial(self._wait, found) if callable(found) else found

    def result(self, timeout: float | None = None) -> Any:
        """What a transfer ends with."""
        return self._wait(self._it.wait, timeout=timeout)

    def _wait(
        self, method: Callable[..., Any], *args: Any, timeout: float | None = None, **rest: Any
    ) -> Any:
        async def run() -> Any:
            returned = method(*args, **rest)
            return await returned if iscoroutine(returned) else returned  # a Transfer stays one

        returned = self._portal.start_task_soon(run).result(timeout)
        if isinstance(returned, AsyncIterator):
            return self._each(returned)
        if isinstance(returned, (Transfer, AsyncReader, AsyncWriter)):
            return Awaited(self._portal, returned)
        return returned

    def _each(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        async def step() -> list[Any]:
            async for value in values:
                return [value]
            return []

        while found := self._wait(step):
            yield found[0]

    def __iter__(self) -> Iterator[Any]:
        return self._each(aiter(self._it))

    def __enter__(self) -> Awaited:
        self._wait(self._it.__aenter__)
        return self

    def __exit__(self, *error: object) -> None:
        self._wait(self._it.__aexit__, *error)


@contextmanager
def awaited(*args: Any, **options: Any) -> Iterator[Client]:
    """An AsyncClient of these arguments."""
    with start_blocking_portal() as portal:
        client = portal.call(partial(AsyncClient, *args, **options))
        with Awaited(portal, client) as face:
            yield cast("Client", face)
