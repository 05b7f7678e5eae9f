"""Towpath hauls very large files into a Python system: resumable, verified, in bounded memory.

Rules: importing this costs next to nothing; each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towpath import errors
    from towpath.client import (
        AsyncClient,
        Client,
        DownloadResult,
        Progress,
        Transfer,
        TransferState,
        UploadResult,
    )
    from towpath.errors import TowpathError

__all__ = [
    "AsyncClient",
    "Client",
    "DownloadResult",
    "Progress",
    "TowpathError",
    "Transfer",
    "TransferState",
    "UploadResult",
    "__version__",
    "errors",
]

_HOMES = {**dict.fromkeys(__all__, "towpath.client"), "TowpathError": "towpath.errors"}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name == "errors":
        return import_module("towpath.errors")
    if name not in __all__:
        raise AttributeError(f"module 'towpath' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import

    try:
        return version("towpath")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"


__version__: str
