"""Take back an upload whose bytes turned out wrong.

Rules: a complete upload goes with its name, and only if the name still points to it.
"""

from __future__ import annotations

from towpath.client import words
from towpath.client.peer import Peer, expect
from towpath.errors import TowpathError


def withdraw(peer: Peer, url: str, name: str) -> bool:
    """Remove what the server made of the upload at `url`; True when it is gone."""
    try:
        if peer.ask("DELETE", url, words.TUS, again=True).ok:
            return True
        record = peer.api("names", name)
        found = expect(peer.ask("GET", record, again=True)).json().get("href")
        ours = isinstance(found, str) and peer.address(found) == url
        return ours and peer.ask("DELETE", record, again=True).ok
    except TowpathError:
        return False
