"""Checks of tus 1.0.0, section Concatenation, of complete and of unfinished parts.

Rules: as in `conformance`; what a final upload holds can only be checked where GET gives it back.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import Heard
from towpath.testing.tus_peer import TusPeer, new_checks

checks = new_checks()


def _part(peer: TusPeer, body: bytes) -> str:
    return peer.uploaded(body, {"Upload-Concat": "partial"})


def _join(peer: TusPeer, *parts: str) -> Heard:
    """Ask for the final upload of these parts."""
    return peer.post({"Upload-Concat": _final(*parts)})


def _final(*parts: str) -> str:
    return "final;" + " ".join(urlsplit(part).path for part in parts)


@checks.must("concatenation")
def a_part_says_that_it_is_one(peer: TusPeer) -> None:
    """HEAD of a partial upload has Upload-Concat: partial (Concatenation)."""
    url = peer.create(5, {"Upload-Concat": "partial"})
    peer.head(url).want_field("Upload-Concat", "partial")


@checks.must("concatenation")
def a_part_tells_its_offset(peer: TusPeer) -> None:
    """HEAD of a partial upload has Upload-Offset (Concatenation)."""
    url = peer.create(10, {"Upload-Concat": "partial"})
    peer.patch(url, 0, b"hello").want(204)
    peer.head(url).want_number("Upload-Offset", 5)


@checks.must("concatenation")
def parts_are_joined(peer: TusPeer) -> None:
    """A final upload of complete parts has their length, all of it there (Concatenation)."""
    made = _join(peer, _part(peer, b"hello"), _part(peer, b", world")).want(201)
    url = peer.location(made)
    peer.settled_offset(url, 12)
    head = peer.head(url).want_number("Upload-Length", 12)
    head.want_number("Upload-Offset", 12)


@checks.must("concatenation")
def parts_are_joined_in_the_order_of_the_list(peer: TusPeer) -> None:
    """The bytes are those of the parts, in the order listed (Concatenation)."""
    second, first = _part(peer, b", world"), _part(peer, b"hello")
    url = peer.location(_join(peer, first, second).want(201))
    peer.settled_offset(url, 12)
    body = peer.download(url)
    require(body == b"hello, world", f"GET gives {body[:40]!r}, not b'hello, world'")


@checks.must("concatenation")
def parts_may_be_named_by_absolute_urls(peer: TusPeer) -> None:
    """The URLs in the list are relative or absolute (Concatenation, Headers, Upload-Concat)."""
    parts = [_part(peer, b"hello"), _part(peer, b", world")]
    made = peer.post({"Upload-Concat": "final;" + " ".join(parts)}).want(201)
    url = peer.location(made)
    peer.settled_offset(url, 12)
    peer.head(url).want_number("Upload-Length", 12)


@checks.must("concatenation")
def a_final_upload_tells_what_it_was_made_of(peer: TusPeer) -> None:
    """HEAD of a final upload has Upload-Concat as it was sent (Concatenation)."""
    parts = [_part(peer, b"hello"), _part(peer, b", world")]
    url = peer.location(_join(peer, *parts).want(201))
    peer.head(url).want_field("Upload-Concat", _final(*parts))


@checks.must("concatenation")
def a_final_upload_takes_no_chunks(peer: TusPeer) -> None:
    """PATCH at a final upload gets 403 and changes nothing (Concatenation)."""
    url = peer.location(_join(peer, _part(peer, b"hello")).want(201))
    peer.settled_offset(url, 5)
    peer.patch(url, 5, b"more").want(403)
    peer.head(url).want_number("Upload-Length", 5).want_number("Upload-Offset", 5)


@checks.must("concatenation")
def a_final_upload_does_not_inherit_metadata(peer: TusPeer) -> None:
    """The parts' metadata do not go over to the final upload (Concatenation)."""
    part = peer.uploaded(b"hello", {"Upload-Concat": "partial", "Upload-Metadata": "mine aGk="})
    url = peer.location(_join(peer, part).want(201))
    peer.head(url).want_no("Upload-Metadata")


@checks.should("concatenation")
def a_final_upload_has_its_own_metadata(peer: TusPeer) -> None:
    """Metadata come with the request that joins the parts (Concatenation)."""
    fields = {"Upload-Concat": _final(_part(peer, b"hello")), "Upload-Metadata": "ours aGk="}
    url = peer.location(peer.post(fields).want(201))
    peer.head(url).want_field("Upload-Metadata", "ours aGk=")


@checks.should("concatenation")
def a_final_upload_of_missing_parts_is_refused(peer: TusPeer) -> None:
    """The list names partial uploads; one that is none cannot be joined (Concatenation)."""
    part = _part(peer, b"hello")
    _join(peer, part, peer.missing(part)).want_refused()


@checks.should("concatenation")
def unfinished_parts_are_joined_only_where_that_is_offered(peer: TusPeer) -> None:
    """Joining parts under way is a feature that has to be announced (Concatenation)."""
    if "concatenation-unfinished" in peer.extensions:
        raise Skipped("concatenation-unfinished is offered")
    _join(peer, peer.create(5, {"Upload-Concat": "partial"})).want_refused()


@checks.must("concatenation-unfinished")
def unfinished_parts_can_be_joined(peer: TusPeer) -> None:
    """The final upload may be asked for while its parts are under way (Concatenation)."""
    part = peer.create(5, {"Upload-Concat": "partial"})
    url = peer.location(_join(peer, part, _part(peer, b", world")).want(201))
    peer.patch(part, 0, b"hello").want(204)
    peer.settled_offset(url, 12)
    head = peer.head(url).want_number("Upload-Offset", 12)
    head.want_number("Upload-Length", 12)


@checks.must("concatenation-unfinished")
def the_length_of_unfinished_parts_is_told(peer: TusPeer) -> None:
    """HEAD has Upload-Length when the parts' lengths are known (Concatenation)."""
    part = peer.create(5, {"Upload-Concat": "partial"})
    url = peer.location(_join(peer, part, _part(peer, b", world")).want(201))
    peer.say("HEAD", url).want(200, 204).want_number("Upload-Length", 12)


@checks.should("concatenation-unfinished")
def no_offset_is_told_before_the_parts_are_joined(peer: TusPeer) -> None:
    """HEAD of a final upload has no Upload-Offset until it is joined (Concatenation)."""
    part = peer.create(5, {"Upload-Concat": "partial"})
    url = peer.location(_join(peer, part, _part(peer, b", world")).want(201))
    peer.say("HEAD", url).want(200, 204).want_no("Upload-Offset")
