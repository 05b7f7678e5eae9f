"""What transfers return, as frozen values. Bytes are bytes."""

from __future__ import annotations

from typing import NamedTuple


class UploadResult(NamedTuple):
    """An upload that is complete."""

    transfer_id: str
    name: str  # as the server has it in the end
    path: str
    url: str
    length: int
    crc64nvme: str | None  # hex, of what was read here; None if nobody asked to verify
    verified: bool  # the server announced the same
    resumed_from: int
    sent_bytes: int
    seconds: float
    perhaps_twice: bool = False  # an answer was lost: another server may have it once more

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return self._asdict()


class DownloadResult(NamedTuple):
    """A download that lies under its final name."""

    transfer_id: str
    name: str
    path: str
    url: str
    length: int
    crc64nvme: str | None  # hex, of what was written; None if nobody asked to verify
    verified: bool  # the server announced the same
    resumed_from: int
    received_bytes: int
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return self._asdict()


class Arrived(NamedTuple):
    """An upload that is complete at the server."""

    url: str  # of the upload
    object: str  # the URL of what was made of it
    name: str | None  # as the server has it
    crc: int | None  # of what it has
    ours: int | None  # of what was read here; None if nobody asked to verify
    perhaps_twice: bool = False  # an answer was lost: the server may have it once more
