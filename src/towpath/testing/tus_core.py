"""Checks of tus 1.0.0, section Core Protocol.

Rules: as in `conformance`; the clause is the specification's heading, below its section.
"""

from __future__ import annotations

import time

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import CONTENT, Fields
from towpath.testing.tus_peer import BODY, TusPeer, always, new_checks

checks = new_checks()
_KIB_64 = 64 * 1024
_NOTICED = 0.5  # seconds in which a server reads what came before a cut


@checks.must("core", always)
def options_succeeds_and_lists_the_versions(peer: TusPeer) -> None:
    """OPTIONS succeeds with 200 or 204 and Tus-Version (Core Protocol, Requests, OPTIONS)."""
    heard = peer.ask("OPTIONS", peer.url).want(200, 204)
    require("1.0.0" in heard.words("Tus-Version"), f"Tus-Version: {heard.field('Tus-Version')}")


@checks.must("core", always)
def options_ignores_the_version_that_is_sent(peer: TusPeer) -> None:
    """OPTIONS takes no notice of Tus-Resumable (Core Protocol, Requests, OPTIONS)."""
    heard = peer.ask("OPTIONS", peer.url, {"Tus-Resumable": "0.0.1"})
    heard.want(200, 204).field("Tus-Version")


@checks.must("core", always)
def options_omits_the_extensions_when_there_are_none(peer: TusPeer) -> None:
    """Tus-Extension is left out rather than empty (Core Protocol, Headers, Tus-Extension)."""
    heard = peer.ask("OPTIONS", peer.url)
    if heard.has("Tus-Extension"):
        require(heard.field("Tus-Extension"), "Tus-Extension is there and empty")


@checks.must("core", always)
def options_tells_the_largest_size_as_a_number(peer: TusPeer) -> None:
    """Tus-Max-Size is a number that is not negative (Core Protocol, Headers, Tus-Max-Size)."""
    heard = peer.ask("OPTIONS", peer.url)
    if not heard.has("Tus-Max-Size"):
        raise Skipped("there is no Tus-Max-Size")
    heard.number("Tus-Max-Size")


@checks.must("core")
def answers_name_the_version(peer: TusPeer) -> None:
    """Every answer but that of OPTIONS has Tus-Resumable.

    (Core Protocol, Headers, Tus-Resumable)
    """
    created = peer.post({"Upload-Length": 10}).want(201)
    url = peer.location(created)
    for heard in (created, peer.head(url), peer.patch(url, 0, b"hello").want(204)):
        heard.want_field("Tus-Resumable", "1.0.0")


@checks.must("core")
def refusals_name_the_version(peer: TusPeer) -> None:
    """An error is an answer too, so it has Tus-Resumable.

    (Core Protocol, Headers, Tus-Resumable)
    """
    url = peer.create(10)
    for heard in (
        peer.patch(url, 7, b"x"),
        peer.say("HEAD", peer.missing(url)),
        peer.patch(peer.missing(url), 0, b"x"),
        peer.say("POST", peer.url),
    ):
        heard.want_refused().want_field("Tus-Resumable", "1.0.0")


@checks.must("core")
def another_version_is_answered_with_412_and_ours(peer: TusPeer) -> None:
    """A version that is not spoken gets 412 and Tus-Version.

    (Core Protocol, Headers, Tus-Resumable)
    """
    url = peer.create(5)
    old = {"Tus-Resumable": "0.2.2"}
    for heard in (
        peer.say("POST", peer.url, {**old, "Upload-Length": 5}),
        peer.say("HEAD", url, old),
        peer.patch(url, 0, b"hello", old),
    ):
        heard.want(412)
        require("1.0.0" in heard.words("Tus-Version"), f"{heard.asked}: 412 without Tus-Version")


@checks.must("core")
def a_request_of_another_version_is_not_processed(peer: TusPeer) -> None:
    """A PATCH in a version that is not spoken changes nothing.

    (Core Protocol, Headers, Tus-Resumable)
    """
    url = peer.create(5)
    peer.require_offset(url, 0, peer.patch(url, 0, b"hello", {"Tus-Resumable": "0.2.2"}))


@checks.must("core")
def head_tells_the_offset_of_a_new_upload(peer: TusPeer) -> None:
    """HEAD has Upload-Offset even when it is 0 (Core Protocol, Requests, HEAD)."""
    peer.head(peer.create(10)).want_number("Upload-Offset", 0)


@checks.must("core")
def head_tells_the_offset_of_a_part(peer: TusPeer) -> None:
    """HEAD has Upload-Offset while the upload is under way (Core Protocol, Requests, HEAD)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    peer.head(url).want_number("Upload-Offset", 5)


@checks.must("core")
def head_tells_the_offset_of_a_complete_upload(peer: TusPeer) -> None:
    """HEAD has Upload-Offset even when the upload is complete (Core Protocol, Requests, HEAD)."""
    peer.head(peer.uploaded(b"hello")).want_number("Upload-Offset", 5)


@checks.must("core")
def head_tells_the_length(peer: TusPeer) -> None:
    """HEAD has Upload-Length when the size is known (Core Protocol, Requests, HEAD)."""
    peer.head(peer.create(12_345)).want_number("Upload-Length", 12_345)


@checks.must("core")
def head_must_not_be_stored(peer: TusPeer) -> None:
    """HEAD says Cache-Control: no-store (Core Protocol, Requests, HEAD)."""
    heard = peer.head(peer.create(10))
    words = [word.lower() for word in heard.words("Cache-Control")]
    require("no-store" in words, f"HEAD: Cache-Control is {', '.join(words) or 'missing'}")


@checks.should("core")
def head_of_a_missing_upload_has_no_offset(peer: TusPeer) -> None:
    """HEAD where nothing is: 404, 410 or 403, without Upload-Offset.

    (Core Protocol, Requests, HEAD)
    """
    heard = peer.say("HEAD", peer.missing(peer.create(10)))
    heard.want(404, 410, 403).want_no("Upload-Offset")


@checks.must("core")
def patch_answers_204_with_the_new_offset(peer: TusPeer) -> None:
    """A chunk is answered by 204 and the sum of offset and bytes.

    (Core Protocol, Requests, PATCH)
    """
    url = peer.create(_KIB_64)
    for start in range(0, _KIB_64, 16 * 1024):
        heard = peer.patch(url, start, CONTENT[start : start + 16 * 1024])
        heard.want(204).want_number("Upload-Offset", start + 16 * 1024)


@checks.must("core")
def patch_without_bytes_keeps_the_offset(peer: TusPeer) -> None:
    """The new offset is the sum, also when a chunk is empty (Core Protocol, Requests, PATCH)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    peer.patch(url, 5, b"").want(204).want_number("Upload-Offset", 5)


@checks.should("core")
def patch_takes_a_chunked_body(peer: TusPeer) -> None:
    """A PATCH at any upload URL is applied, however framed (Core Protocol, Requests, PATCH)."""
    url = peer.create(_KIB_64)
    heard = peer.patch(url, 0, CONTENT[:_KIB_64], chunked=True)
    heard.want(204).want_number("Upload-Offset", _KIB_64)


@checks.must("core")
def patch_before_the_offset_is_a_conflict(peer: TusPeer) -> None:
    """A smaller offset gets 409 and changes nothing (Core Protocol, Requests, PATCH)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    peer.require_offset(url, 5, peer.patch(url, 2, b"llo!").want(409))


@checks.must("core")
def patch_beyond_the_offset_is_a_conflict(peer: TusPeer) -> None:
    """A larger offset gets 409 and changes nothing (Core Protocol, Requests, PATCH)."""
    url = peer.create(10)
    peer.require_offset(url, 0, peer.patch(url, 3, b"lo").want(409))


@checks.must("core")
def patch_without_an_offset_changes_nothing(peer: TusPeer) -> None:
    """A chunk's offset must equal the upload's; one that has none is refused.

    (Core Protocol, Requests, PATCH)
    """
    url = peer.create(10)
    peer.require_offset(url, 0, peer.patch(url, None, b"hello").want_refused())


@checks.must("core")
def patch_with_an_offset_that_is_no_number_changes_nothing(peer: TusPeer) -> None:
    """Upload-Offset is an integer that is not negative (Core Protocol, Headers, Upload-Offset)."""
    url = peer.create(10)
    for offset in ("-1", "zero", "0x0", "0.0", "+0"):
        peer.require_offset(url, 0, peer.patch(url, offset, b"x").want_refused())


@checks.should("core")
def patch_of_another_media_type_is_refused(peer: TusPeer) -> None:
    """Another Content-Type gets 415 (Core Protocol, Requests, PATCH)."""
    url = peer.create(10)
    heard = peer.patch(url, 0, b"hello", {"Content-Type": "application/octet-stream"})
    peer.require_offset(url, 0, heard.want(415))


@checks.should("core")
def patch_of_a_missing_upload_is_not_found(peer: TusPeer) -> None:
    """A chunk for nothing gets 404 (Core Protocol, Requests, PATCH)."""
    peer.patch(peer.missing(peer.create(10)), 0, b"hello").want(404)


@checks.should("core")
def what_came_before_a_cut_is_kept(peer: TusPeer) -> None:
    """As much as possible of what was received is stored (Core Protocol, Requests, PATCH)."""
    url = peer.create(2 * _KIB_64)
    fields: Fields = {"Tus-Resumable": "1.0.0", "Content-Type": BODY, "Upload-Offset": 0}
    with peer.begin("PATCH", url, fields, length=2 * _KIB_64) as begun:
        begun.send(CONTENT[:_KIB_64])
    time.sleep(_NOTICED)
    seen = peer.settled_offset(url, _KIB_64)
    require(seen == _KIB_64, f"PATCH cut after {_KIB_64} bytes: the offset is {seen}")


@checks.must("core")
def an_upload_goes_on_after_a_cut(peer: TusPeer) -> None:
    """The offset that HEAD tells after a cut is the one to go on from.

    (Core Protocol, Requests, PATCH)
    """
    url = peer.create(2 * _KIB_64)
    fields: Fields = {"Tus-Resumable": "1.0.0", "Content-Type": BODY, "Upload-Offset": 0}
    with peer.begin("PATCH", url, fields, length=2 * _KIB_64) as begun:
        begun.send(CONTENT[:_KIB_64])
    time.sleep(_NOTICED)
    offset = peer.settled_offset(url, _KIB_64)
    heard = peer.patch(url, offset, CONTENT[offset : 2 * _KIB_64])
    heard.want(204).want_number("Upload-Offset", 2 * _KIB_64)


@checks.must("core")
def bytes_beyond_the_length_are_not_taken(peer: TusPeer) -> None:
    """Upload-Length is the size of the whole upload (Core Protocol, Headers, Upload-Length)."""
    for chunked in (False, True):
        url = peer.create(5)
        heard = peer.patch(url, 0, b"hello, world", chunked=chunked)
        seen = peer.offset(url)
        require(seen <= 5, f"{heard.asked}, 12 bytes for a length of 5: the offset is {seen}")


@checks.must("core")
def the_method_can_be_overridden(peer: TusPeer) -> None:
    """X-HTTP-Method-Override is the method (Core Protocol, Headers, X-HTTP-Method-Override)."""
    url = peer.create(10)
    fields: Fields = {"X-HTTP-Method-Override": "PATCH", "Content-Type": BODY, "Upload-Offset": 0}
    heard = peer.say("POST", url, fields, b"hello")
    peer.require_offset(url, 5, heard.want(204).want_number("Upload-Offset", 5))


@checks.must("core")
def the_true_method_is_ignored_when_it_is_overridden(peer: TusPeer) -> None:
    """The request's own method does not count then.

    (Core Protocol, Headers, X-HTTP-Method-Override)
    """
    url = peer.create(10)
    fields: Fields = {"X-HTTP-Method-Override": "HEAD", "Content-Type": BODY, "Upload-Offset": 0}
    peer.require_offset(url, 0, peer.say("PATCH", url, fields, b"hello"))
