"""Waiting on the event loop for work in threads.

Rules: work that has begun is waited for, even by who is cancelled meanwhile: a thread that is left
alone would go on with blocks, rows and turns that are somebody else's by then.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

T = TypeVar("T")


async def end_of(future: asyncio.Future[Any]) -> None:
    """Return when the work has ended in whatever way; whoever wants its result asks the future.

    A cancellation that comes meanwhile is raised after that.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    if not future.cancelled():
        future.exception()  # seen: nobody need ask
    if cancelled is not None:
        raise cancelled


async def result_of(future: asyncio.Future[T]) -> T:
    """What the work came to, once it has ended."""
    await end_of(future)
    return future.result()
