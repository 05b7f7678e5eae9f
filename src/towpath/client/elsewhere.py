"""An upload of the same file that another machine began: found in the server's list, and gone on.

Rules: only what a fingerprint of the file's bytes says is the same, and is wanted in the very same
way, is taken up; only once it was left alone for a while, so that no two machines carry one upload.
A fingerprint looks at a few places of the file; all of it is held against the server at the end.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from towpath.client.blocks import Blocks
from towpath.client.peer import Peer, Reply, expect
from towpath.errors import BadAnswer, TowpathError

if TYPE_CHECKING:
    from towpath.client.records import UploadRecord
    from towpath.client.upload import UploadTask

FINGERPRINT = "fingerprint"
"""The metadata by which an upload is known again."""

_PLACES, SAMPLE = 8, 64 * 1024  # of a file that are looked at, from its first bytes to its last
_LEFT_ALONE = 60.0  # seconds after which nobody is taken to carry an upload any more
_LIST = 1000  # uploads that are looked through


def fingerprint(task: UploadTask, size: int, blocks: Blocks) -> str:
    """What the upload of a file is known by on any machine; it tells nothing of the file."""
    digest = hashlib.sha256(b"towpath fingerprint 1")
    said = [size, task.name, task.on_conflict, dict(task.metadata)]
    digest.update(json.dumps(said, sort_keys=True).encode("utf-8", "surrogateescape"))
    last = max(0, size - SAMPLE)
    for place in range(_PLACES):
        digest.update(blocks.read(last * place // (_PLACES - 1), SAMPLE))
    return digest.hexdigest()[:32]


def left_elsewhere(
    peer: Peer,
    name: str,
    said: tuple[str, str],
    check: Callable[[], None],
    *,
    length: int | None = None,
) -> UploadRecord | None:
    """The upload of that name that nobody carries, the one that is furthest; None if there is none.

    `said`: a key of its metadata, and what it says there. `length`: bytes of it; None: any.
    """
    with suppress(TowpathError):  # who may not look, or does not know how, begins anew
        url = peer.api("uploads", state="open,filled", limit=_LIST)
        reply = expect(peer.ask("GET", url, check=check, again=True))
        named = [each for each in _listed(reply) if each.get("name") == name]
        return _furthest(named, said, length, _now(reply)) if named else None
    return None


def _furthest(
    named: Iterable[Mapping[str, Any]], said: tuple[str, str], length: int | None, now: float
) -> UploadRecord | None:
    from towpath.client.records import UploadRecord, milliseconds  # noqa: PLC0415 - seldom needed

    key, value = said
    found = [
        each
        for each in map(UploadRecord.read, named)
        if each.metadata.get(key) == value
        and length in (None, each.length)
        and now - milliseconds(each.updated_at) / 1000 >= _LEFT_ALONE
    ]
    return max(found, key=lambda each: each.offset, default=None)


def _listed(reply: Reply) -> Iterator[Mapping[str, Any]]:
    listed = reply.json().get("uploads")
    if not isinstance(listed, list):
        raise BadAnswer("The server's list cannot be read.")
    for each in listed:
        if not isinstance(each, Mapping):
            raise BadAnswer("The server's list cannot be read.")
        yield each


def _now(reply: Reply) -> float:
    """Seconds since 1970, by the server's clock if it tells."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import

    with suppress(ValueError):
        return parsedate_to_datetime(reply.fields.get("date", "")).timestamp()
    return time.time()
