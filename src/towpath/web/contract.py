"""Whether this uvicorn is one whose insides the direct protocol knows; else why not.

`web.direct` leans on private names of uvicorn's httptools protocol. It is on for the versions in
`SUPPORTED` only; with any other, bodies go the universal way, and whoever starts the server says
loudly what `available` returned.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towpath.web.registry import Registry

SUPPORTED = frozenset({(0, 54)})  # (major, minor) of each uvicorn that the tests have passed with


def available() -> str:
    """Return "" if the direct protocol can be used, else the reason, in a sentence."""
    if os.name != "posix" or not hasattr(os, "sendfile"):
        return "this platform has no sendfile(2) or no poll(2)"
    try:
        version = importlib.metadata.version("uvicorn")
        importlib.metadata.version("httptools")
    except importlib.metadata.PackageNotFoundError as error:
        return f"{error.name} is not installed"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers not in SUPPORTED:
        tested = ", ".join(f"{major}.{minor}" for major, minor in sorted(SUPPORTED))
        return f"uvicorn {version} is not among the versions it was tested with ({tested})"
    return ""


def http_class(registry: Registry) -> type[asyncio.Protocol] | str:
    """What to give uvicorn as `http=`: the direct protocol, or the name of the plain one.

    uvicorn makes one protocol object per connection and passes it nothing of ours, so the class
    carries the registry.
    """
    if available():
        return "auto"
    from towpath.web.direct import DirectProtocol  # noqa: PLC0415  # only for versions it fits

    return type("DirectProtocol", (DirectProtocol,), {"registry": registry})
