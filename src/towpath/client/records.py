"""What a client tells of names and uploads, as frozen values. Times are RFC 3339 text.

Rules: made from the server's JSON by name; unknown fields are passed over, so that a newer server
can say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from towpath.errors import BadAnswer


def milliseconds(rfc3339: str) -> int:
    """A moment, in milliseconds since 1970. Raises BadAnswer."""
    try:
        return round(datetime.fromisoformat(rfc3339).timestamp() * 1000)
    except ValueError as error:
        raise BadAnswer(f"The server's time {rfc3339!r:.40} cannot be read.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """From the server's JSON. Raises BadAnswer when a field is missing."""
        known = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        try:
            return cls(**known)
        except TypeError as error:
            raise BadAnswer("The server's answer lacks a field.", why=f"{error}.") from error

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord(_Record):
    """A name on the server and the object it points to."""

    path: str
    id: str
    length: int
    created_at: str
    updated_at: str = ""
    version: int = 0
    media_type: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    damaged: bool = False  # the server found bytes that are not the ones it took
    modified_at: str | None = None  # of the file that was sent, if its sender said so
    href: str = ""
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def modified(self) -> int | None:
        """`modified_at` in milliseconds since 1970. Raises BadAnswer."""
        return milliseconds(self.modified_at) if self.modified_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord(_Record):
    """An upload that the server knows."""

    id: str
    state: str
    offset: int
    length: int | None = None
    name: str | None = None
    created_at: str = ""
    updated_at: str = ""
    expires_at: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord(_Record):
    """An address that whoever has it may use until it expires: a secret."""

    href: str
    expires_at: str | None = None
