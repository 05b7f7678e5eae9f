"""What the fake server knows, and how its control API shows it."""

from __future__ import annotations

import base64
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import quote

HELD = 256 * 1024  # bytes
MOMENT = "2026-11-21T08:00:00Z"
Records = dict[str, dict[str, object]]


@dataclass
class Fault:
    """What goes wrong with the next request of `method`."""

    method: str
    kind: str  # cut, reset, status, early, lose-answer, hold, wrong-digest, stale
    at: int = 0  # bytes of body before it happens
    status: int = 503
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Hangup(Exception):
    """The connection ends here."""


@dataclass
class Upload:
    """An upload or the object it became."""

    id: str
    length: int | None
    metadata: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    crc: int = 0
    size: int = 0
    name: str | None = None  # set when complete
    writer: socket.socket | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)

    @property
    def complete(self) -> bool:
        return self.size == self.length


def page(kind: str, records: Records, query: dict[str, list[str]]) -> dict[str, object]:
    """One page of records, in order."""
    prefix, after = (query.get(name, [""])[0] for name in ("prefix", "after"))
    limit = int(query.get("limit", ["1000"])[0])
    keys = [key for key in sorted(records) if key.startswith(prefix) and key > after]
    rows = [records[key] for key in keys[:limit]]
    return {kind: rows, "next": keys[limit - 1] if len(keys) > limit else None}


def listener() -> socket.socket:
    """Listens on a free port; few bytes of a body wait there, so few pass a `hold`."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD)  # of all that it accepts, too
    made.bind(("127.0.0.1", 0))
    made.listen(64)
    return made


def records_of(kind: str, uploads: list[Upload]) -> Records | None:
    """What the API lists of that kind, by its key; None if there is no such kind."""
    if kind == "names":
        return {each.name: name_record(each) for each in uploads if each.name}
    if kind == "uploads":
        return {each.id: upload_record(each) for each in uploads if not each.complete}
    return None


def name_record(upload: Upload) -> dict[str, object]:
    """A name as the API shows it."""
    return {
        "path": upload.name,
        "id": upload.id,
        "length": upload.size,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "version": 1,
        "media_type": None,
        "digests": {"crc64nvme": f"{upload.crc:016x}"},
        "damaged": False,
        "href": f"/files/{upload.id}",
        "etag": f'"{upload.id}-{upload.crc:x}"',
        "metadata": upload.metadata,
        "new in a later version": 1,
    }


def upload_record(upload: Upload) -> dict[str, object]:
    """An upload as the API shows it."""
    return {
        "id": upload.id,
        "name": upload.metadata["name"],
        "state": "open",
        "offset": upload.size,
        "length": upload.length,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "expires_at": None,
        "metadata": upload.metadata,
        "href": f"/files/{upload.id}",
    }


def digest(crc: int) -> str:
    """As a field's value."""
    return f"crc64nvme=:{base64.b64encode(crc.to_bytes(8, 'big')).decode()}:"


def facts(upload: Upload) -> dict[str, str]:
    """What is said of an object with its bytes."""
    etag = f'"{upload.id}-{upload.crc:x}"'
    known = {"ETag": etag, "Accept-Ranges": "bytes", "Repr-Digest": digest(upload.crc)}
    return {**known, "Content-Length": str(upload.size)}


def standing(upload: Upload, *, digests: bool) -> dict[str, str]:
    """Where an upload stands, as tus says it."""
    fields = {"Upload-Offset": str(upload.size), "Cache-Control": "no-store"}
    fields |= (
        {"Upload-Defer-Length": "1"}
        if upload.length is None
        else {"Upload-Length": str(upload.length)}
    )
    if upload.complete and digests:
        fields["Repr-Digest"] = digest(upload.crc)
        fields["Upload-Name"] = quote(upload.name or "")
    return fields
