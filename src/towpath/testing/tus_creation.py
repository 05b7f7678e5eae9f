"""Checks of tus 1.0.0: Creation, deferred lengths, Creation With Upload.

Rules: as in `conformance`; the clause is the specification's heading, below Protocol Extensions.
"""

from __future__ import annotations

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import CONTENT, Fields
from towpath.testing.tus_peer import BODY, VERSION, TusPeer, always, new_checks

checks = new_checks()
_EMPTY_VALUE = "name bGV0dGVyLnR4dA==,is_confidential"
_ODD_NAMES = "filename w7zDpMO2LnR4dA==,x-Y_z.1 AAECAw==,none "
_BEYOND_DOUBLES = 2**53 + 1
_NO_LENGTHS = ("-1", "+5", "5.0", "1e3", "five", "1_0", "0x5", "5,5")


@checks.must("creation")
def a_creation_is_answered_with_201_and_a_location(peer: TusPeer) -> None:
    """POST gets 201, and Location leads to the new upload (Creation, Requests, POST)."""
    created = peer.post({"Upload-Length": 10}).want(201)
    peer.head(peer.location(created)).want_number("Upload-Offset", 0)


@checks.must("creation")
def two_creations_are_two_uploads(peer: TusPeer) -> None:
    """Each POST makes a new upload resource (Creation, Requests, POST)."""
    first, second = peer.create(5), peer.create(5)
    require(first != second, f"two creations have one Location: {first}")
    peer.require_offset(second, 0, peer.patch(first, 0, b"hello").want(204))


@checks.must("creation")
def a_creation_without_a_length_is_refused(peer: TusPeer) -> None:
    """A creation has Upload-Length or Upload-Defer-Length (Creation, Requests, POST)."""
    peer.post({}).want_refused()


@checks.should("creation")
def a_creation_with_both_lengths_is_refused(peer: TusPeer) -> None:
    """Upload-Defer-Length is left out when the length is known.

    (Creation, Headers, Upload-Defer-Length)
    """
    peer.post({"Upload-Length": 10, "Upload-Defer-Length": 1}).want_refused()


@checks.must("creation")
def a_length_that_is_no_number_is_refused(peer: TusPeer) -> None:
    """Upload-Length is an integer that is not negative (Core Protocol, Headers, Upload-Length)."""
    for length in _NO_LENGTHS:
        peer.post({"Upload-Length": length}).want_refused()


@checks.must("creation")
def an_upload_may_have_no_bytes(peer: TusPeer) -> None:
    """A length of 0 is a length, and told like any other.

    (Core Protocol, Headers, Upload-Length)
    """
    head = peer.head(peer.create(0))
    head.want_number("Upload-Offset", 0).want_number("Upload-Length", 0)


@checks.must("creation")
def a_length_beyond_2_to_the_53_is_refused_or_kept_exactly(peer: TusPeer) -> None:
    """HEAD tells the length that was sent, not one near it (Core Protocol, Requests, HEAD)."""
    created = peer.post({"Upload-Length": _BEYOND_DOUBLES})
    if not created.done:
        raise Skipped(f"so large a file is refused: {created.status}")
    peer.head(peer.location(created)).want_number("Upload-Length", _BEYOND_DOUBLES)


@checks.must("creation")
def a_length_beyond_the_maximum_is_too_large(peer: TusPeer) -> None:
    """A length above Tus-Max-Size gets 413 (Creation, Requests, POST)."""
    if not peer.options.has("Tus-Max-Size"):
        raise Skipped("there is no Tus-Max-Size")
    most = peer.options.number("Tus-Max-Size")
    peer.post({"Upload-Length": most + 1}).want(413)


@checks.must("creation")
def head_tells_the_metadata_as_they_were_sent(peer: TusPeer) -> None:
    """HEAD has Upload-Metadata and its value as it was sent (Creation, Requests, POST)."""
    url = peer.create(10, {"Upload-Metadata": _EMPTY_VALUE})
    peer.head(url).want_field("Upload-Metadata", _EMPTY_VALUE)


@checks.must("creation")
def metadata_may_be_any_bytes_or_none(peer: TusPeer) -> None:
    """Values are base64 of anything, or empty with a space or without.

    (Creation, Headers, Upload-Metadata)
    """
    created = peer.post({"Upload-Length": 10, "Upload-Metadata": _ODD_NAMES})
    if created.refused:
        raise Skipped(f"the server refuses these metadata, as it may: {created.status}")
    head = peer.head(peer.location(created.want(201)))
    require(
        head.field("Upload-Metadata").strip() == _ODD_NAMES.strip(),
        f"HEAD: Upload-Metadata: {head.field('Upload-Metadata')!r}, not {_ODD_NAMES!r}",
    )


@checks.must("creation")
def head_does_not_speak_of_a_length_that_is_known(peer: TusPeer) -> None:
    """Upload-Defer-Length is left out when the length is known.

    (Creation, Headers, Upload-Defer-Length)
    """
    peer.head(peer.create(10)).want_no("Upload-Defer-Length")


@checks.must("creation-defer-length")
def head_says_that_the_length_is_deferred(peer: TusPeer) -> None:
    """HEAD has Upload-Defer-Length: 1 as long as no length is known (Creation, Requests, POST)."""
    url = peer.create(None)
    peer.head(url).want_field("Upload-Defer-Length", "1").want_no("Upload-Length")
    peer.patch(url, 0, b"hello").want(204)
    peer.head(url).want_field("Upload-Defer-Length", "1").want_number("Upload-Offset", 5)


@checks.must("creation-defer-length")
def a_later_chunk_sets_the_length(peer: TusPeer) -> None:
    """Upload-Length may come with any PATCH, once it is known (Creation, Requests, POST)."""
    url = peer.create(None)
    peer.patch(url, 0, b"hello").want(204)
    peer.patch(url, 5, b", world", {"Upload-Length": 12}).want(204)
    head = peer.head(url).want_no("Upload-Defer-Length")
    head.want_number("Upload-Length", 12).want_number("Upload-Offset", 12)


@checks.must("creation-defer-length")
def a_chunk_without_bytes_sets_the_length(peer: TusPeer) -> None:
    """The PATCH that brings Upload-Length may bring no bytes (Creation, Requests, POST)."""
    url = peer.create(None)
    peer.patch(url, 0, b"", {"Upload-Length": 12}).want(204)
    peer.head(url).want_number("Upload-Length", 12).want_no("Upload-Defer-Length")


@checks.must("creation-defer-length")
def a_length_that_was_set_does_not_change(peer: TusPeer) -> None:
    """Once set, the length is not changed (Creation, Requests, POST)."""
    url = peer.create(None)
    peer.patch(url, 0, b"hello", {"Upload-Length": 12}).want(204)
    peer.patch(url, 5, b"", {"Upload-Length": 20})
    peer.head(url).want_number("Upload-Length", 12)


@checks.must("creation-defer-length")
def a_length_below_the_offset_is_refused(peer: TusPeer) -> None:
    """Upload-Length is the size of the whole upload (Core Protocol, Headers, Upload-Length)."""
    url = peer.create(None)
    peer.patch(url, 0, b"hello").want(204)
    peer.patch(url, 5, b"", {"Upload-Length": 3}).want_refused()


@checks.should("creation-defer-length")
def a_deferral_other_than_1_is_a_bad_request(peer: TusPeer) -> None:
    """Any other value of Upload-Defer-Length gets 400 (Creation, Requests, POST)."""
    for value in ("0", "2", "true"):
        peer.post({"Upload-Defer-Length": value}).want(400)


@checks.must("creation-with-upload", always)
def creation_with_upload_is_offered_with_creation_only(peer: TusPeer) -> None:
    """Without creation it is not offered either (Creation With Upload)."""
    if "creation-with-upload" not in peer.extensions:
        raise Skipped("creation-with-upload is not offered")
    require("creation" in peer.extensions, f"Tus-Extension: {', '.join(peer.extensions)}")


@checks.must("creation-with-upload")
def a_creation_with_a_chunk_tells_its_offset(peer: TusPeer) -> None:
    """201 has Upload-Offset, the offset after the accepted bytes (Creation With Upload)."""
    created = peer.post({"Upload-Length": 12}, b"hello").want(201)
    offset = created.number("Upload-Offset")
    require(offset <= 5, f"POST with 5 bytes: Upload-Offset: {offset}")
    peer.require_offset(peer.location(created), offset, created)


@checks.should("creation-with-upload")
def a_creation_takes_all_bytes_of_its_chunk(peer: TusPeer) -> None:
    """As many bytes as possible are accepted (Creation With Upload)."""
    created = peer.post({"Upload-Length": len(CONTENT)}, CONTENT).want(201)
    created.want_number("Upload-Offset", len(CONTENT))


@checks.must("creation-with-upload")
def a_creation_with_a_chunk_goes_on_like_any_other(peer: TusPeer) -> None:
    """The rest is uploaded by PATCH (Creation With Upload)."""
    created = peer.post({"Upload-Length": 12}, b"hello").want(201)
    offset = created.number("Upload-Offset")
    heard = peer.patch(peer.location(created), offset, b"hello, world"[offset:])
    heard.want(204).want_number("Upload-Offset", 12)


@checks.must("creation-with-upload", always)
def a_creation_without_a_chunk_needs_no_media_type(peer: TusPeer) -> None:
    """A creation with no body is the plain one (Creation, Requests, POST)."""
    if "creation" not in peer.extensions:
        raise Skipped("creation is not offered")
    peer.post({"Upload-Length": 12, "Content-Type": "text/plain"}).want(201)


@checks.should("creation-with-upload")
def a_creation_with_bytes_of_another_media_type_is_refused(peer: TusPeer) -> None:
    """The rules of PATCH apply: another Content-Type gets 415 (Creation With Upload)."""
    peer.post({"Upload-Length": 12, "Content-Type": "text/plain"}, b"hello").want(415)


@checks.must("creation-with-upload")
def a_creation_with_more_bytes_than_its_length_is_not_taken_whole(peer: TusPeer) -> None:
    """The rules of PATCH apply: no offset beyond the length (Creation With Upload)."""
    created = peer.post({"Upload-Length": 5}, b"hello, world")
    if created.done:
        offset = peer.offset(peer.location(created))
        require(offset <= 5, f"12 bytes for a length of 5: the offset is {offset}")
    else:
        created.want_refused()


@checks.must("creation-with-upload")
def an_expectation_is_answered_before_the_body(peer: TusPeer) -> None:
    """Expect: 100-continue gets 100 or the final answer first.

    (Creation With Upload; RFC 9110, 10.1.1)
    """
    fields: Fields = {
        "Tus-Resumable": VERSION,
        "Content-Type": BODY,
        "Upload-Length": 5,
        "Expect": "100-continue",
    }
    with peer.begin("POST", peer.url, fields, length=5) as begun:
        first = begun.next()
        if first.status >= 200:
            return
        first.want(100)
        begun.send(b"hello")
        created = begun.heard().want(201)
        peer.location(created)
        created.want_number("Upload-Offset", 5)
