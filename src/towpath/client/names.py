"""What a client asks of the control API about names beside reading them: to move, to link.

Rules: blocking, called in worker threads; a link is a secret and is logged nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from towpath.client.location import insist_on_name
from towpath.client.peer import Peer, expect
from towpath.client.records import LinkRecord
from towpath.errors import BadAnswer


def move(peer: Peer, name: str, to: str, *, on_conflict: str = "") -> str:
    """Call `name` `to` instead; what it is called then. Raises NotFound, NameConflict."""
    said = {"path": insist_on_name(to), "on_conflict": on_conflict or None}
    moved = tell(peer, "PATCH", peer.api("names", name), said).get("path")
    if not isinstance(moved, str):
        raise BadAnswer("The server did not say what the name is now.")
    return moved


def link_to_read(
    peer: Peer,
    name: str,
    *,
    seconds: int | None = None,
    disposition: str = "",
    filename: str = "",
) -> LinkRecord:
    """An address from which whoever has it reads the object. Raises NotFound, Forbidden."""
    key = expect(peer.ask("GET", peer.api("names", name), again=True), api=True).json().get("id")
    if not isinstance(key, str):
        raise BadAnswer("The server did not say which object that is.")
    said = {"seconds": seconds, "disposition": disposition or None, "filename": filename or None}
    return _link(peer, tell(peer, "POST", peer.api("objects", key, "links"), said))


def link_to_write(peer: Peer, upload: str, *, seconds: int | None = None) -> LinkRecord:
    """An address at which whoever has it sends the bytes of an unfinished upload."""
    url = peer.api("uploads", upload, "links")
    return _link(peer, tell(peer, "POST", url, {"seconds": seconds}))


def tell(peer: Peer, method: str, url: str, said: Mapping[str, object]) -> dict[str, Any]:
    """Send a JSON object, without what is None; the object that is answered."""
    body = json.dumps({key: value for key, value in said.items() if value is not None}).encode()
    fields = {"Content-Type": "application/json"}
    with peer.open(method, url, fields, length=len(body)) as exchange:
        exchange.send(memoryview(body))
        return expect(exchange.reply(), api=True).json()


def _link(peer: Peer, made: Mapping[str, Any]) -> LinkRecord:
    record = LinkRecord.read(made)
    return LinkRecord(href=peer.address(record.href), expires_at=record.expires_at)
