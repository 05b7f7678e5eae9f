"""Answers of our own dialect, as the server writes them.

Rules: every answer about an upload is the same JSON object; a page of its extent has the ranges
beside it; nothing is told that is not durable.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from towpath.core.command import Cancel, Create
from towpath.core.digest import CRC64NVME, SHA256, crc_bytes
from towpath.core.model import Object, Upload
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.protocol.message import Head, Reply
from towpath.protocol.ranges.told import Answer, Held, Page, Told
from towpath.protocol.values import write_json, write_time


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


def render(command: object, answer: Answer, head: Head) -> Reply:
    """The reply to a command that was done."""
    if isinstance(command, Cancel) or answer is None:
        return Reply(status=204)
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
    if not isinstance(answer, Told):
        listed = [
            {SHA256: each.sha256.hex(), "id": each.id, "length": each.length} for each in answer
        ]
        return write_json({"have": listed})
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
