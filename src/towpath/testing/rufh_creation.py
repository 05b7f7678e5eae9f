"""Checks of Resumable Uploads for HTTP: Upload Creation, and its 104 (Upload Resumption Supported).

Rules: as in `conformance`; clauses are the headings of draft-ietf-httpbis-resumable-upload-12,
which earlier drafts name much alike; rows of `rufh_versions` say who asks what.
"""

from __future__ import annotations

import gzip
import time

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import CONTENT, Failed, Fields, Heard
from towpath.testing.rufh_peer import (
    INTEROP,
    RufhPeer,
    announcements,
    asked,
    limits,
    new_checks,
)

checks = new_checks()
_KIB_64 = 64 * 1024


@checks.must("creation")
def a_part_is_answered_with_the_location_of_the_rest(peer: RufhPeer) -> None:
    """A creation that is not complete succeeds with Location (4.2.2, Upload Creation, Server)."""
    heard = peer.start(b"hello").want_done()
    require(peer.offset(peer.location(heard)) == 5, "the offset is not that of the part")


@checks.should("creation")
def a_part_is_answered_with_201(peer: RufhPeer) -> None:
    """201 (Created) is recommended (4.2.2, Upload Creation, Server; a MUST until draft -03)."""
    peer.start(b"hello").want(201)


@checks.must("creation", asked("completeness of a creation"))
def a_part_is_answered_as_incomplete(peer: RufhPeer) -> None:
    """The answer says that the upload is not complete (Upload Creation, drafts -01 to -05)."""
    peer.want_state(peer.start(b"hello").want(201), complete=False)


@checks.must("creation", asked("offset in answers"))
def a_creation_tells_the_offset(peer: RufhPeer) -> None:
    """The answer has Upload-Offset (Upload Creation, drafts -01 to -05)."""
    peer.start(b"hello").want_done().want_number("Upload-Offset", 5)


@checks.must("creation")
def a_creation_may_have_no_content(peer: RufhPeer) -> None:
    """No content and not complete is a way to learn the URI (4.2.1, Upload Creation, Client)."""
    heard = peer.start(b"").want_done()
    require(peer.offset(peer.location(heard)) == 0, "the offset is not 0")


@checks.must("creation")
def whole_content_is_processed(peer: RufhPeer) -> None:
    """Complete content is processed like a plain request (4.2.2, Upload Creation, Server)."""
    heard = peer.start(b"hello, world", complete=True).want_done()
    if heard.has(peer.version.state):
        peer.want_state(heard, complete=True)


@checks.must("creation")
def an_empty_representation_is_processed(peer: RufhPeer) -> None:
    """No content and complete means an empty representation (4.2.1, Upload Creation, Client)."""
    peer.start(b"", complete=True).want_done()


@checks.should("creation")
def each_creation_has_a_uri_of_its_own(peer: RufhPeer) -> None:
    """An upload resource is unique (4, Upload Resource)."""
    urls = [peer.create() for _ in range(3)]
    require(len(set(urls)) == 3, f"three creations: {', '.join(urls)}")


@checks.must("creation", asked("length"))
def a_length_that_is_sent_is_recorded(peer: RufhPeer) -> None:
    """Upload-Length of a creation is recorded and told (4.2.2, Upload Creation, Server)."""
    peer.head(peer.create(b"hello", length=12)).want_number("Upload-Length", 12)


@checks.must("creation", asked("length"))
def lengths_of_one_creation_that_differ_are_refused(peer: RufhPeer) -> None:
    """Complete content of another length than Upload-Length is inconsistent (4.1.3, Length)."""
    peer.start(b"hello", complete=True, length=12).want_refused()


@checks.must("creation", asked("fields that cannot be read"))
def a_completeness_that_is_no_boolean_is_ignored(peer: RufhPeer) -> None:
    """Another value makes the field ignored: no resumable upload starts (4.1.2, Completeness)."""
    for value in ("1", "true", "?2", '"?1"'):
        heard = peer.start(b"hello", complete=True, fields={"Upload-Complete": value})
        require(not announcements(heard), f"{heard.asked}: 104 with a Location")


@checks.must("creation")
def a_chunked_creation_counts_what_the_chunks_hold(peer: RufhPeer) -> None:
    """Transfer codings do not count into the offset (9, Transfer Codings)."""
    heard = peer.start(CONTENT[:_KIB_64], chunked=True).want_done()
    seen = peer.offset(peer.location(heard))
    require(seen == _KIB_64, f"{_KIB_64} bytes, chunked: the offset is {seen}")


@checks.must("creation", asked("content codings"))
def a_content_coding_is_part_of_the_content(peer: RufhPeer) -> None:
    """Offsets count coded bytes (8, Content Codings)."""
    coded = gzip.compress(CONTENT[:_KIB_64])
    heard = peer.start(coded, fields={"Content-Encoding": "gzip"})
    if heard.status == 415:
        raise Skipped("the resource takes no gzip")
    seen = peer.offset(peer.location(heard.want_done()))
    require(seen == len(coded), f"{len(coded)} bytes of gzip: the offset is {seen}")


@checks.must("creation")
def a_creation_that_is_cut_is_not_complete(peer: RufhPeer) -> None:
    """An interrupted creation can be resumed and is not complete.

    (4.2.2, Upload Creation, Server)
    """
    url = _cut(peer)
    peer.want_state(peer.head(url), complete=False)


@checks.should("creation")
def a_creation_that_is_cut_keeps_what_came(peer: RufhPeer) -> None:
    """As much as possible is appended (4.2.2, Upload Creation, Server)."""
    seen = peer.offset(_cut(peer))
    require(seen == _KIB_64, f"POST cut after {_KIB_64} bytes: the offset is {seen}")


@checks.must("creation", asked("length"))
def a_complete_creation_that_is_cut_has_a_length(peer: RufhPeer) -> None:
    """Complete with Content-Length tells the length (4.1.3, Length)."""
    peer.head(_cut(peer)).want_number("Upload-Length", 2 * _KIB_64)


def _cut(peer: RufhPeer) -> str:
    """The URL of an upload whose creation was cut in the middle."""
    with peer.begin_start(2 * _KIB_64, complete=True) as begun:
        url = peer.announced(begun)
        begun.send(CONTENT[:_KIB_64])
        time.sleep(peer.noticed)
    time.sleep(peer.noticed)
    return url


# 104


@checks.should("104")
def a_creation_is_announced_before_its_content(peer: RufhPeer) -> None:
    """104 comes early, so that an interrupted creation can go on.

    (4.2.2, Upload Creation, Server)
    """
    with peer.begin_start(5, complete=True) as begun:
        try:
            peer.location(begun.next().want(104))
        except TimeoutError:
            raise Failed(f"{begun.asked}: no 104 before the content") from None
        begun.send(b"hello")
        begun.heard().want_done()


@checks.must("104")
def an_announcement_has_a_location(peer: RufhPeer) -> None:
    """A creation's first 104 leads to the upload resource (4.2.2, Upload Creation, Server)."""
    heard = peer.start(b"hello")
    seen = [answer for answer in heard.answer.interim if answer.status == 104]
    if not seen:
        raise Skipped("no 104 was sent")
    require("location" in seen[0].fields, f"104 without Location: {dict(seen[0].fields)}")


@checks.must("104", asked("one location"))
def all_answers_to_a_creation_have_one_location(peer: RufhPeer) -> None:
    """Location is the same in interim and final answers (4.2.2, Upload Creation, Server)."""
    heard = peer.start(b"hello").want_done()
    places = [answer.fields["location"] for answer in announcements(heard)]
    if not places:
        raise Skipped("no 104 was sent")
    places.append(heard.field("Location"))
    require(len(set(places)) == 1, f"Location: {', '.join(places)}")


@checks.must("104", asked("interop version"))
def an_announcement_has_the_interop_version(peer: RufhPeer) -> None:
    """104 says the interop version (Draft Version Identification)."""
    heard = peer.start(b"hello")
    seen = [answer for answer in heard.answer.interim if answer.status == 104]
    if not seen:
        raise Skipped("no 104 was sent")
    for answer in seen:
        said = answer.fields.get(INTEROP.lower(), "missing")
        require(said == peer.version.name, f"104 with {INTEROP}: {said}")


@checks.must("104", asked("interop version"))
def no_104_is_sent_without_an_interop_version(peer: RufhPeer) -> None:
    """Who does not say an interop version gets no 104 (Draft Version Identification)."""
    heard = peer.ask("POST", peer.url, peer.state(complete=True), b"hello")
    _want_no_104(heard)


@checks.must("104", asked("interop version"))
def no_104_is_sent_for_another_interop_version(peer: RufhPeer) -> None:
    """Who says another interop version gets no 104 (Draft Version Identification)."""
    _want_no_104(peer.start(b"hello", complete=True, fields={INTEROP: 2}))


@checks.must("104")
def a_plain_request_gets_no_104(peer: RufhPeer) -> None:
    """Only the field of completeness asks for a resumable upload.

    (4.2.1, Upload Creation, Client)
    """
    _want_no_104(peer.ask("POST", peer.url, peer.spoken(), b"hello"))


def _want_no_104(heard: Heard) -> None:
    seen = [answer.status for answer in heard.answer.interim]
    require(104 not in seen, f"{heard.asked}: 104")


@checks.must("104", asked("limits in 104"))
def an_announcement_has_the_limits(peer: RufhPeer) -> None:
    """104 has Upload-Limit if there are limits (4.2.2, Upload Creation, Server)."""
    heard = peer.start(b"hello").want_done()
    seen = announcements(heard)
    if not seen or not heard.has("Upload-Limit"):
        raise Skipped("no 104 was sent, or there are no limits")
    limits(Heard("104", seen[0]))


@checks.must("104", asked("100 beside 104"))
def a_104_does_not_replace_a_100(peer: RufhPeer) -> None:
    """Who expects 100 (Continue) gets it, 104 or not (5, Status Code 104)."""
    fields: Fields = {"Expect": "100-continue"}
    with peer.begin_start(5, complete=True, fields=fields) as begun:
        heard = begun.next()
        while heard.status in (102, 103, 104):
            if heard.has("Location"):
                peer.location(heard)
            heard = begun.next()
        if heard.status < 200:
            heard.want(100)
            begun.send(b"hello")
            begun.heard().want_done()
