"""Take back what an upload has left at the server: what is wrong, or is not wanted any more.

Rules: a complete upload goes with its name, and only if the name still points to it; parts go only
where the server says that uploads can be terminated.
"""

from __future__ import annotations

from towpath.client import words
from towpath.client.peer import Peer, expect
from towpath.client.resume import Note
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


def removed(*, gone: bool) -> str:
    """What to do about an upload that was wrong, whether it is gone from the server or not."""
    if gone:
        return "The upload was removed; send it again."
    return "The wrong upload could not be removed: remove it, and send it again."


def terminate(peer: Peer, note: Note) -> None:
    """Remove the parts of an upload, and what they were joined to. Raises TransferError."""
    if "termination" in peer.extensions():
        for url in filter(None, (note.url, *(url for _, _, url in note.parts))):
            peer.ask("DELETE", url, words.TUS, again=True)
