"""The facts the ledger keeps, as frozen values.

Rules: a row never changes, it is replaced; every row has a tenant and an owner; times are whole
milliseconds since 1970 (UTC); `version` is set by the ledger alone and grows by one with every
update.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from towpath.core.state import UploadState


class OnConflict(StrEnum):
    """What completion does when the name already points to an object."""

    KEEP_BOTH = "keep-both"  # the newcomer gets a free name beside it
    REPLACE = "replace"  # the name points to the newcomer
    FAIL = "fail"  # the upload stays filled, without a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What all rows have. KEY names the fields that identify one."""

    KEY: ClassVar[tuple[str, ...]] = ("id",)

    tenant: str
    owner: str
    version: int = 0

    @property
    def key(self) -> tuple[str | int, ...]:
        """The values of the KEY fields, in order."""
        return tuple(getattr(self, field) for field in self.KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Row):
    """The resource while bytes arrive. `offset` ends the durable contiguous prefix."""

    id: str
    state: UploadState
    length: int | None  # bytes; None while it is not known
    offset: int = 0  # bytes
    crc: int = 0  # CRC64NVME of the prefix
    hasher: bytes | None = None  # saved state of a digest that follows the prefix
    handle: str  # what the store calls it
    fence: int = 0  # the newest lease's number; only grows
    name: str | None = None
    on_conflict: OnConflict = OnConflict.KEEP_BOTH
    replaces: str | None = None  # the only object that REPLACE may take the name from
    media_type: str | None = None
    metadata: str = ""  # as the client sent it, byte for byte
    dialect: str = ""
    completes: bool = True  # by itself once it is filled; else it waits to be told
    partial: bool = False  # only to be a part of another upload
    parts: str = ""  # ids of the uploads that this one is made of, in order
    expects: str = ""  # digests that the whole must have, as an RFC 9530 dictionary
    wants: str = ""  # algorithms to compute on the way, with spaces between
    memo: str = ""  # what the dialect keeps with it
    created_at: int
    updated_at: int
    expires_at: int | None
    reason: str = ""  # why it failed or was cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Island(Row):
    """A durable range beyond the prefix: start <= byte < end."""

    KEY: ClassVar[tuple[str, ...]] = ("upload", "start")

    upload: str
    start: int
    end: int
    crc: int  # CRC64NVME of the range


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Row):
    """The right to write start <= byte < end (None: to the end) of one upload."""

    KEY: ClassVar[tuple[str, ...]] = ("upload", "fence")

    upload: str
    fence: int
    start: int
    end: int | None
    holder: str  # which process
    granted_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Object(Row):
    """A complete upload; its bytes never change again. Its id is the upload's."""

    id: str
    length: int
    crc: int  # CRC64NVME of all bytes
    digests: str = ""  # further ones, as an RFC 9530 dictionary
    sha256: bytes | None = None  # for those who ask whether it is here
    media_type: str | None = None
    metadata: str = ""
    created_at: int
    scrubbed_at: int | None = None
    damaged: bool = False  # a scrub found bytes that do not match


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Row):
    """A run of an object's bytes in the store; an object is an ordered list of them."""

    KEY: ClassVar[tuple[str, ...]] = ("object", "position")

    object: str
    position: int
    address: str
    start: int  # within the address
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Row):
    """A path of a tenant that points to an object."""

    KEY: ClassVar[tuple[str, ...]] = ("tenant", "path")

    path: str
    object: str
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox(Row):
    """What must still be told or done about a fact, written in that fact's transaction."""

    id: str
    kind: str
    subject: str
    created_at: int
    due_at: int
    tries: int = 0
    payload: str = ""  # what is to be told


KINDS: tuple[type[Row], ...] = (Upload, Island, Lease, Object, Segment, Name, Outbox)
