"""What is told of an upload to those who listen: Server-Sent Events, and the content of webhooks.

    id: <upload>:<version>      event: state created progress completed cancelled expired failed
    event: listening            how things stand has been said; news follow
    event: memory_warning       the memory for uploads is nearly used up

Rules: text/event-stream as the HTML standard has it; data is one line of JSON; names of fields are
those of /api/v1/uploads.
"""

from __future__ import annotations

import json

from towpath.core.digest import CRC64NVME, crc_bytes, parse_digests
from towpath.core.model import Object, Upload
from towpath.core.news import News, Pressure
from towpath.protocol.values import write_time

MEDIA_TYPE = "text/event-stream"
BEGIN = "retry: 2000\n\n"
"""The first words: who is cut off comes back after two seconds."""

ALIVE = ": alive\n\n"
"""A comment that keeps proxies from closing the line."""


def describe(upload: Upload) -> dict[str, object]:
    """The facts of an upload that every event has."""
    return {
        "id": upload.id,
        "name": upload.name,
        "state": upload.state.value,
        "offset": upload.offset,
        "length": upload.length,
        "owner": upload.owner,
        "created_at": write_time(upload.created_at),
        "updated_at": write_time(upload.updated_at),
        "expires_at": write_time(upload.expires_at),
        "reason": upload.reason,
    }


def write_news(news: News) -> str:
    """News as an event."""
    left = news.left
    data = {
        **describe(news.upload),
        "durable": news.extent.total,
        "received": news.received,
        "bytes_per_second": round(news.rate),
        "eta_seconds": None if left is None else round(left, 1),
    }
    return f"id: {event_id(news.upload)}\n{_event(news.kind, data)}"


def write_webhook(kind: str, upload: Upload, made: Object | None, *, now: int) -> str:
    """What a webhook says. `now`: milliseconds since 1970."""
    data = {
        **describe(upload),
        "tenant": upload.tenant,
        "media_type": upload.media_type,
        "metadata": upload.metadata,
        "dialect": upload.dialect,
    }
    if made is not None:
        digests = {CRC64NVME: crc_bytes(made.crc), **parse_digests(made.digests)}
        data["digests"] = {name: value.hex() for name, value in digests.items()}
    return json.dumps(
        {"type": f"upload.{kind}", "timestamp": write_time(now), "data": data},
        ensure_ascii=False,
    )


def event_id(upload: Upload) -> str:
    """What Last-Event-ID says of an upload as it is now."""
    return f"{upload.id}:{upload.version}"


def write_listening(uploads: int, *, more: bool) -> str:
    """The state of so many uploads has been said; `more`: there are others."""
    return _event("listening", {"uploads": uploads, "more": more})


def write_pressure(pressure: Pressure) -> str:
    """A warning."""
    return _event("memory_warning", {"used": pressure.used, "limit": pressure.limit})


def _event(kind: str, data: dict[str, object]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
