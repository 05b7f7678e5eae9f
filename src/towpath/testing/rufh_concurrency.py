"""Checks of Resumable Uploads for HTTP: Upload Cancellation, Concurrency, progress.

Rules: as in `conformance`; clauses are the headings of draft-ietf-httpbis-resumable-upload-12,
which earlier drafts name much alike; rows of `rufh_versions` say who asks what.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import CONTENT, Begun, Failed
from towpath.testing.rawhttp import Gone
from towpath.testing.rufh_peer import RufhPeer, asked, new_checks

checks = new_checks()
_KIB_64 = 64 * 1024
_SOON = 3.0  # seconds in which a stalled request is ended for a newcomer
_PROGRESS = 4.0  # seconds that a slow body lasts


# Upload Cancellation


@checks.must("cancellation", asked("204 for a cancellation"))
def a_cancellation_is_answered_with_204(peer: RufhPeer) -> None:
    """DELETE gets 204 (Upload Cancellation, drafts -01 to -08)."""
    peer.ask("DELETE", peer.create(b"hello"), peer.spoken()).want(204)


@checks.should("cancellation")
def an_upload_can_be_cancelled(peer: RufhPeer) -> None:
    """DELETE succeeds and deactivates the upload (4.5.2, Upload Cancellation, Server)."""
    url = peer.create(b"hello")
    peer.ask("DELETE", url, peer.spoken()).want_done()
    peer.require_inactive(url, "DELETE")


@checks.must("cancellation")
def a_cancelled_upload_takes_nothing_more(peer: RufhPeer) -> None:
    """What is deactivated is not appended to (4.5.2, Upload Cancellation, Server)."""
    url = peer.create(b"hello")
    if not peer.ask("DELETE", url, peer.spoken()).done:
        raise Skipped("the upload cannot be cancelled")
    peer.append(url, 5, b", world", complete=True).want_refused()


@checks.must("cancellation", asked("bare requests"))
def a_cancellation_with_fields_of_the_upload_is_a_bad_request(peer: RufhPeer) -> None:
    """DELETE with Upload-Offset or completeness gets 400.

    (Upload Cancellation, drafts -01 to -05)
    """
    url = peer.create(b"hello")
    for fields in ({"Upload-Offset": 5}, peer.state(complete=False)):
        peer.ask("DELETE", url, peer.spoken(fields)).want(400)


@checks.should("cancellation", asked("termination of requests"))
def a_cancellation_ends_what_is_under_way(peer: RufhPeer) -> None:
    """A request to the upload is ended before the answer (4.5.2, Upload Cancellation, Server)."""
    url = peer.create(b"hello")
    with _stalled(peer, url, 5) as begun:
        peer.ask("DELETE", url, peer.spoken()).want_done()
        _want_ended(begun, "DELETE")
    peer.require_inactive(url, "DELETE")


# Concurrency


def _stalled(peer: RufhPeer, url: str, offset: int) -> Begun:
    """An append of which half has come, and nothing more comes."""
    begun = peer.begin_append(url, offset, 2 * _KIB_64)
    begun.send(CONTENT[:_KIB_64])
    time.sleep(peer.noticed)
    return begun


def _want_ended(begun: Begun, by: str) -> None:
    if not begun.ended_within(_SOON):
        raise Failed(f"{by}: the stalled PATCH is still open {_SOON:g} s later")


@checks.must("concurrency")
def an_offset_told_while_an_append_stalls_is_accepted(peer: RufhPeer) -> None:
    """The offset that HEAD tells can be used (4.6, Concurrency)."""
    url = peer.create()
    with _stalled(peer, url, 0):
        offset = peer.offset(url)
        heard = peer.appended(url, offset, CONTENT[offset : 2 * _KIB_64])
        peer.require_offset(url, 2 * _KIB_64, heard)


@checks.must("concurrency")
def bytes_that_come_late_are_not_appended(peer: RufhPeer) -> None:
    """Who was overtaken changes nothing any more (4.6, Concurrency)."""
    url = peer.create()
    with _stalled(peer, url, 0) as begun:
        offset = peer.offset(url)
        heard = peer.appended(url, offset, CONTENT[: 2 * _KIB_64])
        peer.require_offset(url, offset + 2 * _KIB_64, heard)
        begun.send(CONTENT[:_KIB_64])
        time.sleep(peer.noticed)
        peer.require_offset(url, offset + 2 * _KIB_64, heard)


@checks.should("concurrency")
def a_newcomer_ends_an_append_that_stalls(peer: RufhPeer) -> None:
    """A previous request is terminated before a new one is processed (4.6, Concurrency)."""
    url = peer.create()
    with _stalled(peer, url, 0) as begun:
        began = time.monotonic()
        peer.offset(url)
        took = time.monotonic() - began
        require(took < _SOON, f"HEAD during a stalled PATCH was answered after {took:.1f} s")
        _want_ended(begun, "HEAD")


@checks.should("concurrency")
def what_came_of_an_append_that_stalls_is_kept(peer: RufhPeer) -> None:
    """As much as possible is appended (4.4.2, Upload Append, Server)."""
    url = peer.create()
    with _stalled(peer, url, 0):
        seen = peer.offset(url)
    require(seen == _KIB_64, f"PATCH stalled after {_KIB_64} bytes: the offset is {seen}")


@checks.must("concurrency")
def of_appends_at_one_offset_one_counts(peer: RufhPeer) -> None:
    """Parallel appends do not damage the upload (4.6, Concurrency)."""
    url = peer.create()

    def append(_: int) -> int:
        try:
            return peer.append(url, 0, CONTENT[:_KIB_64]).status
        except (Gone, OSError):
            return 0

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(append, range(4)))
    counted = sum(200 <= status < 300 for status in statuses)
    offset = peer.offset(url)
    seen = f"four appends of {_KIB_64} bytes at 0: {statuses}, then the offset is {offset}"
    require(counted <= 1 and (offset == _KIB_64 or (not counted and offset < _KIB_64)), seen)


# Progress


def _slow_append(peer: RufhPeer, url: str) -> list[tuple[int, dict[str, str]]]:
    """The 104s of an append that takes its time, each with the bytes that were sent before it."""
    told: list[tuple[int, dict[str, str]]] = []
    steps = 16
    with peer.begin_append(url, 0, steps * _KIB_64) as begun:
        for step in range(1, steps):
            begun.send(CONTENT[:_KIB_64])
            begun.line.socket.settimeout(_PROGRESS / steps)
            try:
                heard = begun.next()
            except TimeoutError:
                continue
            heard.want(104)
            told.append((step * _KIB_64, dict(heard.answer.fields)))
        begun.line.socket.settimeout(peer.timeout)
        begun.send(CONTENT[:_KIB_64])  # what is heard from now on may be the answer
        last = begun.heard().want_done()
    told += [
        (steps * _KIB_64, dict(each.fields)) for each in last.answer.interim if each.status == 104
    ]
    return told


@checks.should("progress", asked("progress"))
def an_append_tells_its_progress(peer: RufhPeer) -> None:
    """104s with Upload-Offset are sent while content comes (4.4.2, Upload Append, Server)."""
    told = _slow_append(peer, peer.create())
    seen = any("upload-offset" in fields for _, fields in told)
    require(seen, f"no 104 in {_PROGRESS:g} s of an append")


@checks.must("progress", asked("no location in progress"))
def progress_has_no_location(peer: RufhPeer) -> None:
    """A 104 of an append has no Location (4.4.2, Upload Append, Server)."""
    told = _slow_append(peer, peer.create())
    if not told:
        raise Skipped("no 104 was sent")
    require(not any("location" in fields for _, fields in told), "104 with Location")


@checks.must("progress", asked("no location in progress"))
def progress_is_never_more_than_was_sent(peer: RufhPeer) -> None:
    """Offsets of 104s grow, and are of bytes that were processed (4.1.1, Offset)."""
    told = [
        (sent, int(fields["upload-offset"]))
        for sent, fields in _slow_append(peer, peer.create())
        if "upload-offset" in fields
    ]
    if not told:
        raise Skipped("no 104 was sent")
    require(all(offset <= sent for sent, offset in told), f"sent and told: {told}")
    offsets = [offset for _, offset in told]
    require(offsets == sorted(offsets), f"offsets told: {offsets}")
