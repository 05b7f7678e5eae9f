"""The client: uploads and downloads that survive cuts and restarts, over HTTP.

Rules: imports only errors, core, codec and protocol from the rest of Towpath; works on Linux, macOS
and Windows; each name is fetched when it is first used, so that a command pays for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towpath.client.aio import AsyncClient
    from towpath.client.progress import Direction, Progress, TransferState
    from towpath.client.reader import AsyncReader
    from towpath.client.records import LinkRecord, NameRecord, UploadRecord
    from towpath.client.results import DownloadResult, UploadResult
    from towpath.client.resume import Note
    from towpath.client.sync import BlockingTransfer, Client
    from towpath.client.transfer import Transfer
    from towpath.client.writer import AsyncWriter, ObjectWriter

_HOMES = {
    "AsyncClient": "aio",
    "AsyncReader": "reader",
    "AsyncWriter": "writer",
    "BlockingTransfer": "sync",
    "Client": "sync",
    "Direction": "progress",
    "DownloadResult": "results",
    "LinkRecord": "records",
    "NameRecord": "records",
    "Note": "resume",
    "ObjectWriter": "writer",
    "Progress": "progress",
    "Transfer": "transfer",
    "TransferState": "progress",
    "UploadRecord": "records",
    "UploadResult": "results",
}

__all__ = [
    "AsyncClient",
    "AsyncReader",
    "AsyncWriter",
    "BlockingTransfer",
    "Client",
    "Direction",
    "DownloadResult",
    "LinkRecord",
    "NameRecord",
    "Note",
    "ObjectWriter",
    "Progress",
    "Transfer",
    "TransferState",
    "UploadRecord",
    "UploadResult",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'towpath.client' has no attribute {name!r}")
    return getattr(import_module(f"towpath.client.{_HOMES[name]}"), name)
