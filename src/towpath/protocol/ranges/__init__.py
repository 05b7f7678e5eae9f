"""Our own dialect: ranges of one upload, written by many connections at once.

    POST   /       JSON: an upload         PUT   /{id}           a range of it (Content-Range)
    GET    /{id}   its extent, in pages    POST  /{id}/complete  once its name is free, say
    DELETE /{id}   gives it up             POST  /have           which SHA-256 may I read here
    POST   /{id}/copy  fills ranges of it from an object here    GET  /{id}/chunks  an object's map

Rules: an upload completes when it is filled; a chunk with a digest counts whole or not at all, and
a coded chunk needs one; a repeat of durable bytes is a success. docs/reference/ranges.md is exact.
Each name is fetched when it is first used: a client needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towpath.protocol.ranges.answers import held, page, render, tell
    from towpath.protocol.ranges.requests import (
        NAME,
        Command,
        Have,
        Look,
        asks,
        compose,
        has_values,
        parse,
    )
    from towpath.protocol.ranges.reuse import MAP_TYPE, MOST_COPIED, MOST_COPIES, Copy, Map
    from towpath.protocol.ranges.told import Answer, Held, Page, Told, read

__all__ = [
    "MAP_TYPE",
    "MOST_COPIED",
    "MOST_COPIES",
    "NAME",
    "Answer",
    "Command",
    "Copy",
    "Have",
    "Held",
    "Look",
    "Map",
    "Page",
    "Told",
    "asks",
    "compose",
    "has_values",
    "held",
    "page",
    "parse",
    "read",
    "render",
    "tell",
]

_HOMES = {
    **dict.fromkeys(("held", "page", "render", "tell"), "answers"),
    **dict.fromkeys(("MAP_TYPE", "MOST_COPIED", "MOST_COPIES", "Copy", "Map"), "reuse"),
    **dict.fromkeys(("Answer", "Held", "Page", "Told", "read"), "told"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'towpath.protocol.ranges' has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'requests')}"), name)
    globals()[name] = found  # from now on it is there
    return found
