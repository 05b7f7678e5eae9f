"""/ws/{client_id}: what is said in the rooms of document sessions.

    upload_progress   data: how far the session is                 at least twice a second
    chunk_progress    flat: a chunk more is here                   at most once a second
    upload_status     flat: the session is in another state        whenever it is
    memory_warning    data: the memory for uploads is nearly used up

A client may say {"type": "join" or "leave", "room": "upload_{session_id}"} and {"type": "ping"}.

Rules: progress counts bytes that have come; chunks count once they are durable. A field of another
name is never there; one that is not known is null.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from towpath.core.limits import MIB
from towpath.core.model import Upload
from towpath.core.news import News, Pressure
from towpath.core.ranges import Extent
from towpath.core.state import UploadState
from towpath.errors import Malformed, TowpathError
from towpath.protocol import documents, session
from towpath.protocol.message import Reply
from towpath.protocol.problem import refuse

PREFIX = "upload_"
MOST_MESSAGE = 16 * 1024
"""Bytes that a client may say at once."""

CHUNK_SECONDS = 1.0
"""Seconds between two chunk_progress of one session."""

_STATUS = {
    UploadState.OPEN: "uploading",
    UploadState.FILLED: "processing",
    UploadState.SEALING: "processing",
    UploadState.COMPLETE: "completed",
    UploadState.CANCELLED: "cancelled",
    UploadState.EXPIRED: "expired",
    UploadState.FAILED: "failed",
}
_SAID = {
    "initializing": "The session is open; send its chunks.",
    "uploading": "Chunks are arriving.",
    "processing": "All chunks are here; complete the session.",
    "completed": "The document is complete.",
    "cancelled": "The upload was cancelled.",
    "expired": "The session's time was over.",
    "failed": "The upload failed.",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a client was told of a session last."""

    status: str = ""
    chunks: int = 0
    extent: Extent = field(default_factory=Extent)
    chunk_at: float = -CHUNK_SECONDS  # seconds, when chunk_progress was said


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client says: `word` is join, leave or ping."""

    word: str
    key: str = ""


def client_of(upload: Upload) -> str | None:
    """The client whose session the upload is; None if no client has said that it is its own."""
    return None if upload.length is None else session.session_of(upload).client or None


def read_wish(text: str | None) -> Wish:
    """What a client says. Raises Malformed."""
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        found = None
    word = found.get("type") if isinstance(found, dict) else None
    if word == "ping":
        return Wish("ping")
    if word not in {"join", "leave", "join_room", "leave_room"} or not isinstance(found, dict):
        raise Malformed(
            "That message is not understood.",
            field="type",
            why="It is not a JSON object whose type is join, leave or ping.",
            todo='Send {"type": "join", "room": "upload_<session_id>"}.',
        )
    room = found.get("room")
    key = room.removeprefix(PREFIX) if isinstance(room, str) else ""
    if not isinstance(room, str) or not room.startswith(PREFIX) or not 0 < len(key) <= 64:
        raise Malformed(
            "There is no such room.",
            field="room",
            why="A room is called upload_ and the session's id.",
            todo="Use the websocket_room that /initiate answered.",
        )
    return Wish(word.removesuffix("_room"), key)


def write_connected(client: str) -> str:
    """The first words to a client."""
    said = "Connected; sessions that are opened with this client_id are heard of here."
    return json.dumps({"type": "connected", "client_id": client, "message": said})


def write_wish(wish: Wish) -> str:
    """That a wish was fulfilled."""
    if wish.word == "ping":
        return json.dumps({"type": "pong"})
    done = "joined" if wish.word == "join" else "left"
    return json.dumps({"type": done, "room": f"{PREFIX}{wish.key}"})


def write_error(error: TowpathError, key: str = "") -> str:
    """That a wish was refused, with the members of its problem document."""
    problem = json.loads(refuse(error).body)
    room = {"room": f"{PREFIX}{key}"} if key else {}
    message = f"{problem['title']} {problem['todo']}"
    return json.dumps({**problem, **room, "type": "error", "message": message}, ensure_ascii=False)


def write_pressure(pressure: Pressure) -> str:
    """The memory for uploads is nearly used up."""
    share = round(100 * pressure.used / pressure.limit)
    return json.dumps(
        {
            "type": "memory_warning",
            "data": {
                "memory_usage_mb": round(pressure.used / MIB, 2),
                "memory_limit_mb": round(pressure.limit / MIB, 2),
                "warning": f"{share} % of the memory for uploads is in use; uploads slow down.",
            },
        }
    )


def count(news: News, said: Said, *, now: float) -> int:
    """How many messages news become."""
    return 1 + (_status(news) != said.status) + _has_chunk(news, said, now)


def write_news(news: News, said: Said, *, now: float) -> tuple[list[str], Said]:
    """The messages that news become, and what the client knows then.

    `now`: seconds that only grow.
    """
    texts = [news.once("upload_progress", _progress)]
    status, chunks = _status(news), int(news.once("chunks", _count))
    if status != said.status:
        texts.append(news.once("upload_status", _write_status))
    if _has_chunk(news, said, now):
        texts.append(_chunk(news, chunks, said.extent))
        return texts, Said(status, chunks, news.extent, now)
    if news.kind == "state":
        return texts, Said(status, chunks, news.extent, said.chunk_at)
    return texts, replace(said, status=status)


def _has_chunk(news: News, said: Said, now: float) -> bool:
    """Whether a chunk more is to be told of: not too often, but always at the end."""
    late = now - said.chunk_at >= CHUNK_SECONDS or news.upload.state is not UploadState.OPEN
    return late and news.kind != "state" and int(news.once("chunks", _count)) > said.chunks


def _status(news: News) -> str:
    opened = news.upload.state is UploadState.OPEN and not news.received
    return "initializing" if opened else _STATUS[news.upload.state]


def _count(news: News) -> str:
    return str(_total(news.upload) - _missing(news))


def _total(upload: Upload) -> int:
    return session.cut_of(upload).total


def _missing(news: News) -> int:
    if session.is_whole(news.upload):
        return 0
    return session.cut_of(news.upload).missing(news.extent).count


def _received(news: News) -> int:
    length = news.upload.length or 0
    return length if session.is_whole(news.upload) else min(news.received, length)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 100.0


def _left(news: News) -> float | None:
    if session.is_whole(news.upload):
        return 0.0
    return None if news.left is None else round(news.left, 1)


def _said(news: News) -> str:
    status = _status(news)
    if news.upload.reason and status in {"cancelled", "failed", "expired"}:
        return news.upload.reason
    if status == "uploading":
        return f"{_count(news)} of {_total(news.upload)} chunks are here."
    return _SAID[status]


def _progress(news: News) -> str:
    upload = news.upload
    cut, came = session.cut_of(upload), _received(news)
    first = None
    if not session.is_whole(upload):
        first = cut.missing(news.extent).first
    data = {
        "session_id": upload.id,
        "status": _status(news),
        "uploaded_bytes": came,
        "total_bytes": cut.length,
        "uploaded_chunks": int(news.once("chunks", _count)),
        "total_chunks": cut.total,
        "progress_percentage": _percent(came, cut.length),
        "upload_speed_bps": round(news.rate),
        "estimated_time_remaining": _left(news),
        "current_chunk": max(cut.total - 1, 0) if first is None else first,
        "message": _said(news),
    }
    return json.dumps({"type": "upload_progress", "data": data}, ensure_ascii=False)


def _write_status(news: News) -> str:
    return json.dumps(
        {
            "type": "upload_status",
            "session_id": news.upload.id,
            "status": _status(news),
            "message": _said(news),
        },
        ensure_ascii=False,
    )


def _chunk(news: News, chunks: int, before: Extent) -> str:
    upload, came = news.upload, _received(news)
    length = session.cut_of(upload).length
    return json.dumps(
        {
            "type": "chunk_progress",
            "session_id": upload.id,
            "chunk_id": _newest(news, before),
            "chunks_uploaded": chunks,
            "total_chunks": _total(upload),
            "bytes_uploaded": came,
            "total_bytes": length,
            "progress_percentage": _percent(came, length),
            "upload_speed_bps": round(news.rate),
            "eta_seconds": _left(news),
        }
    )


def _newest(news: News, before: Extent) -> int:
    """The highest chunk that is here now and was not before."""
    cut = session.cut_of(news.upload)
    if session.is_whole(news.upload):
        missing = before.missing(cut.length)
        return (missing[-1][1] - 1) // cut.chunk if missing else max(cut.total - 1, 0)
    now = news.extent
    for start, end in [
        *((island.start, island.end) for island in reversed(now.islands)),
        (0, now.offset),
    ]:
        fresh = [run for run in before.runs(start, end) if not run[2]]
        whole = end // cut.chunk if end < cut.length else cut.total
        if fresh and whole * cut.chunk > start:
            return max(whole - 1, 0)
    return 0


def refuse_handshake(error: BaseException) -> Reply:
    """The answer to a handshake that is not accepted."""
    return documents.refuse(error)
