"""How a chunk ends when it does not end well, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor

from towpath.core.ports import Ending, Source
from towpath.errors import Cut, Interrupted, TakenOver, TooLarge, TooSlow

_INTERRUPTIONS: dict[Ending | None, type[Interrupted]] = {
    Ending.STOPPED: TakenOver,
    Ending.SLOW: TooSlow,
    Ending.CUT: Cut,
}
_REASONS: dict[Ending | None, str] = {
    Ending.STOPPED: "Somebody else carries the upload on, or the server is stopping.",
    Ending.SLOW: "Bytes came too slowly.",
    Ending.CUT: "The connection ended.",
}


async def expect_nothing(source: Source, threads: Executor) -> Mapping[str, str]:
    """What comes behind no bytes. Raises TooLarge if one comes, Interrupted if it is cut."""
    block, loop = memoryview(bytearray(1)), asyncio.get_running_loop()
    while source.ending is None:
        await source.ready()
        if await loop.run_in_executor(threads, source.read_into, block):
            raise too_much(None)
    if source.ending is not Ending.WHOLE:
        raise interrupted(source.ending, 0)
    return source.trailers


def too_much(bound: int | None) -> TooLarge:
    """More came than there is room for; `bound` is where the upload ends, if it is to be said."""
    return TooLarge(
        "More bytes came than the upload has left.",
        why="It has all its bytes." if bound is None else f"It ends at {bound}.",
        todo="Ask for the offset and send only what is missing.",
    )


def interrupted(ending: Ending | None, position: int) -> Interrupted:
    """The source ended before the chunk was whole."""
    return _INTERRUPTIONS.get(ending, Cut)(
        f"The chunk ended at {position}.",
        why=_REASONS.get(ending, "The sender went away."),
        todo="Ask for the offset and send the rest.",
    )
