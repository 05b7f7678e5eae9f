"""What a dialect asks of the engine, in the engine's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath.core.model import OnConflict
from towpath.core.transfer import Write


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What a caller says when it creates an upload. `metadata` is kept as it was sent."""

    length: int | None
    id: str | None = None  # none: one that nobody guesses is drawn
    name: str | None = None
    on_conflict: OnConflict = OnConflict.KEEP_BOTH
    replaces: str | None = None  # the only object that REPLACE may take the name from
    media_type: str | None = None
    metadata: str = ""
    dialect: str = ""
    completes: bool = True
    digests: Mapping[str, bytes] = field(default_factory=dict)  # what the whole must have
    wants: tuple[str, ...] = ()  # digests to compute on the way beside CRC64NVME
    shares: bool = True  # may consist at once of an object that is here and has the digest
    once: bool = False  # its metadata tells it from all others: the same again is the same upload
    partial: bool = False  # only to be a part of another upload: no name, nobody is told
    memo: str = ""  # what the dialect wants back


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Begin an upload; `write` when its first bytes come along."""

    new: NewUpload
    write: Write | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concatenate:
    """Make an upload of other ones, one behind the other."""

    new: NewUpload
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Tell what is durable, and disturb nobody."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """Make an object of an upload whose bytes have all come."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Write a chunk."""

    key: str
    write: Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """End other writers and tell the true offset."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Give an upload up, or remove the object that it became."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discover:
    """Tell what is offered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Read a finished object."""

    key: str


Command = Create | Concatenate | Append | Claim | Inspect | Complete | Cancel | Discover | Fetch
