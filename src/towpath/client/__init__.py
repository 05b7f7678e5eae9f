"""The client: uploads and downloads that survive cuts and restarts, over HTTP.

Rules: imports only errors, core and codec from the rest of Towpath; imports and works on Linux,
macOS and Windows; nothing here is slow to import that a transfer does not need at once.
"""

from towpath.client.aio import AsyncClient
from towpath.client.progress import Direction, Progress, TransferState
from towpath.client.records import DownloadResult, NameRecord, UploadRecord, UploadResult
from towpath.client.resume import Note
from towpath.client.sync import BlockingTransfer, Client
from towpath.client.transfer import Transfer

__all__ = [
    "AsyncClient",
    "BlockingTransfer",
    "Client",
    "Direction",
    "DownloadResult",
    "NameRecord",
    "Note",
    "Progress",
    "Transfer",
    "TransferState",
    "UploadRecord",
    "UploadResult",
]
