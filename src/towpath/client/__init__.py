"""The client: uploads and downloads that survive cuts and restarts, over HTTP.

Rules: imports only errors and core from the rest of Towpath; imports and works on Linux, macOS and
Windows; nothing here is slow to import that a transfer does not need at once.
"""

from towpath.client.aio import AsyncClient
from towpath.client.progress import Direction, Progress, TransferState
from towpath.client.reader import AsyncReader
from towpath.client.records import DownloadResult, NameRecord, UploadRecord, UploadResult
from towpath.client.resume import Note
from towpath.client.sync import BlockingTransfer, Client
from towpath.client.transfer import Transfer
from towpath.client.writer import AsyncWriter, ObjectWriter

__all__ = [
    "AsyncClient",
    "AsyncReader",
    "AsyncWriter",
    "BlockingTransfer",
    "Client",
    "Direction",
    "DownloadResult",
    "NameRecord",
    "Note",
    "ObjectWriter",
    "Progress",
    "Transfer",
    "TransferState",
    "UploadRecord",
    "UploadResult",
]
