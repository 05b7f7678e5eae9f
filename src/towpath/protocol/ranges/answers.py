"""Answers of our own dialect: what is told of an upload, written by the server, read by a client.

Rules: every answer about an upload is the same JSON object; a page of its extent has the ranges
beside it; nothing is told that is not durable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from towpath.core.command import Cancel, Create
from towpath.core.digest import CRC64NVME, SHA256, crc_bytes
from towpath.core.model import Object, Upload, UploadState
from towpath.core.ranges import Extent
from towpath.errors import BadAnswer
from towpath.protocol.message import Head, Reply
from towpath.protocol.values import write_json, write_time

Run = tuple[int, int | None]
"""Bytes start <= b < end; None: up to an end that is not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says of an upload. Sizes in bytes, times in milliseconds since 1970."""

    id: str
    state: UploadState
    length: int | None
    offset: int  # ends the durable prefix
    received: int  # durable bytes in all
    name: str | None = None
    reason: str = ""
    expires_at: int | None = None
    digests: Mapping[str, bytes] = field(default_factory=dict)  # once it is complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of an upload's extent. `next`: where the rest begins; None: this was all.

    `prefix`: where the durable bytes without a gap end, and their CRC64NVME; None: it is not told.
    """

    upload: Told
    durable: tuple[Run, ...]
    missing: tuple[Run, ...]
    next: int | None
    prefix: tuple[int, bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An object with a digest that was asked for."""

    sha256: bytes
    id: str
    length: int


Answer = Told | Page | tuple[Held, ...] | None


def tell(upload: Upload, extent: Extent, made: Object | None = None) -> Told:
    """What is told of an upload; `made`: the object that it became, if the caller may read it."""
    done = upload.state is UploadState.COMPLETE
    digests = {CRC64NVME: crc_bytes(upload.crc)} if done else {}
    if made is not None and made.sha256 is not None:
        digests[SHA256] = made.sha256
    return Told(
        id=upload.id,
        state=upload.state,
        length=upload.length,
        offset=upload.offset,
        received=upload.offset if done else extent.total,
        name=upload.name,
        reason=upload.reason,
        expires_at=upload.expires_at,
        digests=digests,
    )


def page(told: Told, extent: Extent, *, after: int, limit: int) -> Page:
    """The first `limit` ranges of the extent from the byte `after` on."""
    if told.state is UploadState.COMPLETE:
        extent = Extent(told.offset, int.from_bytes(told.digests[CRC64NVME], "big"))
    runs = list(islice(extent.runs(after, told.length), limit + 1))
    shown = runs[:limit]
    return Page(
        upload=told,
        durable=tuple((start, end) for start, end, durable in shown if durable),
        missing=tuple((start, end) for start, end, durable in shown if not durable),
        next=shown[-1][1] if len(runs) > limit else None,
        prefix=(extent.offset, crc_bytes(extent.crc)),
    )


def held(found: Iterable[tuple[bytes, Object]]) -> tuple[Held, ...]:
    """What is told of the objects that were found."""
    return tuple(Held(sha256=digest, id=made.id, length=made.length) for digest, made in found)


# --- answers, as the server writes them ----------------------------------------------------------


def render(command: object, answer: Answer, head: Head) -> Reply:
    """The reply to a command that was done."""
    if isinstance(command, Cancel) or answer is None:
        return Reply(status=204)
    if isinstance(answer, tuple):
        listed = [
            {SHA256: each.sha256.hex(), "id": each.id, "length": each.length} for each in answer
        ]
        return write_json({"have": listed})
    if isinstance(answer, Page):
        shown: dict[str, object] = {
            **_document(answer.upload),
            "durable": answer.durable,
            "missing": answer.missing,
            "next": answer.next,
        }
        if answer.prefix is not None:
            end, value = answer.prefix
            shown["prefix"] = {"end": end, CRC64NVME: value.hex()}
        return write_json(shown)
    if isinstance(command, Create):
        where = f"{head.base}/{answer.id}"
        return write_json(_document(answer), status=201, fields=(("location", where),))
    return write_json(_document(answer))


def _document(told: Told) -> dict[str, object]:
    return {
        "id": told.id,
        "state": told.state.value,
        "length": told.length,
        "offset": told.offset,
        "received": told.received,
        "name": told.name,
        "reason": told.reason,
        "expires_at": write_time(told.expires_at),
        "digests": {name: value.hex() for name, value in told.digests.items()},
    }


# --- answers, as a client reads them -------------------------------------------------------------


def read(reply: Reply) -> Answer:
    """What an answer says. Raises BadAnswer for what this dialect does not answer."""
    if reply.status == 204:
        return None
    try:
        document = json.loads(reply.body)
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
            why=f"{type(error).__name__}: {error}"[:200],
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
