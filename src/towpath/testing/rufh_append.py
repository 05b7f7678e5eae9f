"""Checks of Resumable Uploads for HTTP: Offset Retrieval, Upload Append, and completion.

Rules: as in `conformance`; clauses are the headings of draft-ietf-httpbis-resumable-upload-12,
which earlier drafts name much alike; rows of `rufh_versions` say who asks what.
"""

from __future__ import annotations

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import CONTENT, Fields, Heard
from towpath.testing.rufh_peer import RufhPeer, asked, limits, new_checks

checks = new_checks()
_KIB_64 = 64 * 1024


# Offset Retrieval


@checks.must("offset")
def head_tells_offset_and_completeness(peer: RufhPeer) -> None:
    """HEAD has Upload-Offset and Upload-Complete (4.3.2, Offset Retrieval, Server)."""
    heard = peer.head(peer.create(b"hello")).want_number("Upload-Offset", 5)
    peer.want_state(heard, complete=False)


@checks.must("offset")
def head_of_a_complete_upload_says_so(peer: RufhPeer) -> None:
    """HEAD says that a complete upload is complete (4.3.2, Offset Retrieval, Server)."""
    heard = _head_of_complete(peer)
    if heard.refused:
        raise Skipped(f"a complete upload is gone at once: {heard.status}")
    peer.want_state(heard, complete=True).want_number("Upload-Offset", 12)


@checks.should("offset")
def a_complete_upload_stays_for_a_while(peer: RufhPeer) -> None:
    """Who missed the last answer can learn that the upload is complete (4, Upload Resource)."""
    _head_of_complete(peer).want_done()


def _head_of_complete(peer: RufhPeer) -> Heard:
    url = peer.create(b"hello")
    peer.appended(url, 5, b", world", complete=True)
    return peer.ask("HEAD", url, peer.spoken())


@checks.must("offset", asked("length"))
def head_does_not_invent_a_length(peer: RufhPeer) -> None:
    """Upload-Length is told once the client has supplied it (4.3.2, Offset Retrieval, Server)."""
    peer.head(peer.create(b"hello")).want_no("Upload-Length")


@checks.must("offset")
def the_length_does_not_complete_an_upload(peer: RufhPeer) -> None:
    """Only the client completes it, whatever offset and length are (4.1.3, Length)."""
    heard = peer.head(peer.create(b"hello", length=5)).want_number("Upload-Offset", 5)
    peer.want_state(heard, complete=False)


@checks.should("offset")
def head_should_not_be_stored(peer: RufhPeer) -> None:
    """HEAD has Cache-Control: no-store (4.3.2, Offset Retrieval, Server)."""
    heard = peer.head(peer.create(b"hello"))
    words = [word.lower() for word in heard.words("Cache-Control")]
    require("no-store" in words, f"HEAD: Cache-Control is {', '.join(words) or 'missing'}")


@checks.must("offset", asked("limits in head"))
def head_tells_the_limits(peer: RufhPeer) -> None:
    """HEAD has Upload-Limit (4.3.2, Offset Retrieval, Server)."""
    created = peer.start(b"hello").want_done()
    heard = peer.head(peer.location(created))
    options = peer.ask("OPTIONS", peer.url, peer.spoken())
    if not any(each.has("Upload-Limit") for each in (created, heard, options)):
        raise Skipped("no limit is told anywhere")
    limits(heard)


@checks.must("offset", asked("404 for what is not active"))
def head_of_nothing_is_not_found(peer: RufhPeer) -> None:
    """An upload that is not active gets 404 (Offset Retrieval, drafts -01 to -05)."""
    missing = peer.missing(peer.create(b"hello"))
    peer.ask("HEAD", missing, peer.spoken()).want(404)


@checks.should("offset")
def nothing_is_told_of_an_upload_that_is_none(peer: RufhPeer) -> None:
    """A URI that leads to no upload is refused, without Upload-Offset (4, Upload Resource)."""
    missing = peer.missing(peer.create(b"hello"))
    peer.ask("HEAD", missing, peer.spoken()).want_refused().want_no("Upload-Offset")


@checks.must("offset", asked("bare requests"))
def head_with_fields_of_the_upload_is_a_bad_request(peer: RufhPeer) -> None:
    """HEAD with Upload-Offset or completeness gets 400 (Offset Retrieval, drafts -01 to -05)."""
    url = peer.create(b"hello")
    for fields in ({"Upload-Offset": 5}, peer.state(complete=False)):
        peer.ask("HEAD", url, peer.spoken(fields)).want(400)


# Upload Append


@checks.must("append")
def an_append_succeeds_and_counts(peer: RufhPeer) -> None:
    """A part at the offset is appended and acknowledged by a 2xx (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.require_offset(url, 9, peer.appended(url, 5, b", wo"))


@checks.must("append")
def an_append_that_does_not_complete_says_so(peer: RufhPeer) -> None:
    """The 2xx has Upload-Complete: ?0 (4.4.2, Upload Append, Server)."""
    peer.want_state(peer.appended(peer.create(b"hello"), 5, b", wo"), complete=False)


@checks.must("append", asked("offset in answers"))
def an_append_tells_the_offset(peer: RufhPeer) -> None:
    """The answer has Upload-Offset (Upload Append, drafts -01 to -05)."""
    peer.appended(peer.create(b"hello"), 5, b", wo").want_number("Upload-Offset", 9)


@checks.must("append")
def an_append_may_be_empty(peer: RufhPeer) -> None:
    """A block may have no bytes (6, Media Type application/partial-upload)."""
    url = peer.create(b"hello")
    peer.require_offset(url, 5, peer.appended(url, 5, b""))


@checks.must("append")
def a_chunked_append_counts_what_the_chunks_hold(peer: RufhPeer) -> None:
    """Transfer codings do not count into the offset (9, Transfer Codings)."""
    url = peer.create()
    heard = peer.append(url, 0, CONTENT[:_KIB_64], chunked=True).want_done()
    peer.require_offset(url, _KIB_64, heard)


@checks.must("append")
def an_append_before_the_offset_is_a_conflict(peer: RufhPeer) -> None:
    """A smaller offset gets 409 and changes nothing (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.require_offset(url, 5, peer.append(url, 2, b"llo!").want(409))


@checks.must("append")
def an_append_beyond_the_offset_is_a_conflict(peer: RufhPeer) -> None:
    """A larger offset gets 409 and changes nothing (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.require_offset(url, 5, peer.append(url, 7, b"orld").want(409))


@checks.must("append")
def a_conflict_tells_the_offset(peer: RufhPeer) -> None:
    """409 has the right Upload-Offset (4.4.2, Upload Append, Server)."""
    heard = peer.append(peer.create(b"hello"), 7, b"orld").want(409)
    heard.want_number("Upload-Offset", 5)


@checks.must("append")
def an_append_without_an_offset_changes_nothing(peer: RufhPeer) -> None:
    """Client and server agree on the offset, or nothing is appended (4.4.1, Upload Append)."""
    url = peer.create(b"hello")
    peer.require_offset(url, 5, peer.append(url, None, b", wo").want_refused())


@checks.must("append")
def an_offset_that_is_no_integer_changes_nothing(peer: RufhPeer) -> None:
    """Upload-Offset is an Integer; anything else is as good as none (4.1.1, Offset)."""
    url = peer.create(b"hello")
    for offset in ("-5", "5.0", '"5"', "five", "5 5"):
        peer.require_offset(url, 5, peer.append(url, offset, b", wo").want_refused())


@checks.should("append", asked("media type"))
def an_append_of_another_media_type_is_refused(peer: RufhPeer) -> None:
    """Only application/partial-upload appends (4.4.2, Upload Append; RFC 5789, 2.2: 415)."""
    url = peer.create(b"hello")
    fields: Fields = {"Content-Type": "application/octet-stream"}
    peer.require_offset(url, 5, peer.append(url, 5, b", wo", fields=fields).want(415))


@checks.should("append")
def an_append_that_is_cut_keeps_what_came(peer: RufhPeer) -> None:
    """As much as possible is appended (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.cut_append(url, 5, CONTENT[:_KIB_64])
    seen = peer.offset(url)
    require(seen == 5 + _KIB_64, f"PATCH at 5 cut after {_KIB_64} bytes: the offset is {seen}")


@checks.must("append")
def a_last_append_that_is_cut_does_not_complete(peer: RufhPeer) -> None:
    """An interrupted upload is not complete (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.cut_append(url, 5, CONTENT[:_KIB_64], complete=True)
    peer.want_state(peer.head(url), complete=False)


@checks.must("append")
def an_upload_goes_on_where_it_was_cut(peer: RufhPeer) -> None:
    """The offset that is told is one that is accepted (4.6, Concurrency)."""
    url = peer.create()
    peer.cut_append(url, 0, CONTENT[:_KIB_64])
    offset = peer.offset(url)
    heard = peer.appended(url, offset, CONTENT[offset : 2 * _KIB_64])
    peer.require_offset(url, 2 * _KIB_64, heard)


@checks.must("append")
def the_offset_never_decreases(peer: RufhPeer) -> None:
    """What was processed stays, through appends, conflicts and cuts (4.1.1, Offset)."""
    url = peer.create(b"hello")
    told = [peer.offset(url)]
    peer.appended(url, 5, b", wo")
    told.append(peer.offset(url))
    peer.append(url, 0, b"hello")
    told.append(peer.offset(url))
    peer.cut_append(url, told[-1], CONTENT[:100])
    told.append(peer.offset(url))
    require(told == sorted(told), f"offsets told: {', '.join(map(str, told))}")


# Completion


@checks.must("completion")
def the_last_append_completes(peer: RufhPeer) -> None:
    """A last part that is processed completes the upload (4.4.2, Upload Append, Server)."""
    peer.appended(peer.create(b"hello"), 5, b", world", complete=True)


@checks.must("completion", asked("completeness of the last answer"))
def the_last_answer_says_complete(peer: RufhPeer) -> None:
    """It has Upload-Complete: ?1, success or not (4.4.2, Upload Append, Server)."""
    heard = peer.append(peer.create(b"hello"), 5, b", world", complete=True)
    peer.want_state(heard, complete=True)


@checks.must("completion", asked("success at the end"))
def the_last_answer_does_not_say_incomplete(peer: RufhPeer) -> None:
    """It is a 2xx that does not say incomplete (Upload Append, drafts -01 to -05)."""
    heard = peer.append(peer.create(b"hello"), 5, b", world", complete=True).want_done()
    if heard.has(peer.version.state):
        peer.want_state(heard, complete=True)


@checks.must("completion")
def an_empty_append_completes(peer: RufhPeer) -> None:
    """Nothing more to send is said by an empty last part (4.4.1, Upload Append, Client)."""
    url = peer.create(b"hello")
    heard = peer.append(url, 5, b"", complete=True).want_done()
    if heard.has(peer.version.state):
        peer.want_state(heard, complete=True)


@checks.must("completion")
def a_chunked_append_completes(peer: RufhPeer) -> None:
    """The last part may come without Content-Length (4.1.3, Length)."""
    url = peer.create(b"hello")
    peer.append(url, 5, b", world", complete=True, chunked=True).want_done()


@checks.should("completion")
def the_last_answer_is_that_of_the_target(peer: RufhPeer) -> None:
    """It is what one request with everything would have got (4.4.2, Upload Append, Server)."""
    whole = peer.start(b"hello, world", complete=True).want_done()
    last = peer.appended(peer.create(b"hello"), 5, b", world", complete=True)
    kinds = [each.answer.fields.get("content-type", "none") for each in (whole, last)]
    require(
        (whole.status, kinds[0]) == (last.status, kinds[1]),
        f"at once {whole.status} {kinds[0]}, in parts {last.status} {kinds[1]}",
    )


@checks.must("completion", asked("complete uploads are closed"))
def a_complete_upload_takes_nothing_more(peer: RufhPeer) -> None:
    """An append to a complete upload is refused and changes nothing (4.4.2, Upload Append)."""
    url = peer.create(b"hello")
    peer.appended(url, 5, b", world", complete=True)
    for complete in (False, True):
        peer.append(url, 12, b"more", complete=complete).want_refused()
    heard = peer.ask("HEAD", url, peer.spoken())
    if heard.done:
        heard.want_number("Upload-Offset", 12)
