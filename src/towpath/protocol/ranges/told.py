"""What is told of an upload in our own dialect, and how a client reads it.

Rules: needs nothing of the server's facts, so that a client which begins has little to load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from towpath.core.digest import CRC64NVME, SHA256
from towpath.core.state import UploadState
from towpath.errors import BadAnswer

Run = tuple[int, int | None]
"""Bytes start <= b < end; None: up to an end that is not known yet."""


class Told(NamedTuple):
    """What an answer says of an upload. Sizes in bytes, times in milliseconds since 1970."""

    id: str
    state: UploadState
    length: int | None
    offset: int  # ends the durable prefix
    received: int  # durable bytes in all
    name: str | None = None
    reason: str = ""
    expires_at: int | None = None
    digests: Mapping[str, bytes] = MappingProxyType({})  # once it is complete


class Page(NamedTuple):
    """Some of an upload's extent. `next`: where the rest begins; None: this was all.

    `prefix`: where the durable bytes without a gap end, and their CRC64NVME; None: it is not told.
    """

    upload: Told
    durable: tuple[Run, ...]
    missing: tuple[Run, ...]
    next: int | None
    prefix: tuple[int, bytes] | None = None


class Held(NamedTuple):
    """An object with a digest that was asked for."""

    sha256: bytes
    id: str
    length: int


Answer = Told | Page | tuple[Held, ...] | None


def read(status: int, body: bytes) -> Answer:
    """What an answer says. Raises BadAnswer for what this dialect does not answer."""
    if status == 204:
        return None
    try:
        document = json.loads(body)
        if "have" in document:
            return tuple(
                Held(sha256=bytes.fromhex(e[SHA256]), id=str(e["id"]), length=int(e["length"]))
                for e in document["have"]
            )
        told = _read_told(document)
        if "durable" not in document:
            return told
        following, prefix = document["next"], document.get("prefix")
        return Page(
            upload=told,
            durable=_read_runs(document["durable"]),
            missing=_read_runs(document["missing"]),
            next=None if following is None else int(following),
            prefix=None if prefix is None else _read_prefix(prefix),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadAnswer(
            "The answer cannot be read.",
            why=f"{type(error).__name__}: {error}"[:200] + ".",
            todo="Look whether that address is a Towpath server's.",
        ) from error


def _read_told(document: Mapping[str, object]) -> Told:
    length, name, expires = document["length"], document["name"], document["expires_at"]
    digests = document["digests"]
    if not isinstance(digests, dict):
        raise TypeError("digests is no object")
    return Told(
        id=str(document["id"]),
        state=UploadState(str(document["state"])),
        length=None if length is None else _number(length),
        offset=_number(document["offset"]),
        received=_number(document["received"]),
        name=None if name is None else str(name),
        reason=str(document["reason"]),
        expires_at=None if expires is None else _read_time(str(expires)),
        digests={str(each): bytes.fromhex(str(value)) for each, value in digests.items()},
    )


def _read_runs(value: object) -> tuple[Run, ...]:
    if not isinstance(value, list):
        raise TypeError("ranges are no list")
    return tuple((_number(start), None if end is None else _number(end)) for start, end in value)


def _read_prefix(value: Mapping[str, object]) -> tuple[int, bytes]:
    return _number(value["end"]), bytes.fromhex(str(value[CRC64NVME]))


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} is no number of bytes")
    return value


def _read_time(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
