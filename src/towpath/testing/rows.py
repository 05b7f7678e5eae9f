"""Rows to test with: every field filled in, so that a test says only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from towpath.core.model import Island, Lease, Name, Object, OnConflict, Outbox, Row, Segment, Upload
from towpath.core.state import UploadState


def upload(id_: str = "u1", **fields: Any) -> Upload:
    """Return an upload with every field filled in; `fields` say which ones matter."""
    row = Upload(
        tenant="t1",
        owner="ann",
        id=id_,
        state=UploadState.OPEN,
        length=10,
        handle="h1",
        created_at=1,
        updated_at=2,
        expires_at=3,
    )
    return replace(row, **fields)


def island(start: int, upload_id: str = "u1", **fields: Any) -> Island:
    """Return an island of one byte."""
    row = Island(tenant="t1", owner="ann", upload=upload_id, start=start, end=start + 1, crc=7)
    return replace(row, **fields)


def name(path: str, tenant: str = "t1", **fields: Any) -> Name:
    """Return a name that points to object o1."""
    row = Name(tenant=tenant, owner="ann", path=path, object="o1", updated_at=1)
    return replace(row, **fields)


def full_rows() -> list[Row]:
    """Return one row of each kind with the largest and strangest values its fields take."""
    who: dict[str, Any] = {"tenant": "tenant ü", "owner": "名"}
    largest = 2**63 - 1
    return [
        upload(
            **who,
            state=UploadState.SEALING,
            length=largest,
            offset=largest,
            crc=2**64 - 1,
            hasher=bytes(range(256)),
            fence=largest,
            name="a/ü%_\U0010ffff\ue000\ud7ff'\"\\",
            on_conflict=OnConflict.REPLACE,
            replaces="o1",
            media_type="text/plain",
            metadata="filename d29ybGQ=,x",
            dialect="tus",
            reason="because",
        ),
        Island(**who, upload="u1", start=0, end=largest, crc=2**63),
        Lease(**who, upload="u1", fence=largest, start=0, end=None, holder="p", granted_at=-1),
        Object(**who, id="o1", length=0, crc=2**63 - 1, created_at=0, damaged=True),
        Segment(**who, object="o1", position=0, address="a", start=0, end=largest),
        Name(**who, path="\n \t", object="o1", updated_at=0),
        Outbox(
            **who,
            id="x",
            kind="k",
            subject="s",
            created_at=0,
            due_at=-(2**63),
            tries=1,
            payload="{}",
        ),
    ]
