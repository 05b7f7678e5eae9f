"""Checks of tus 1.0.0: Checksum with and without trailer, Expiration, Termination.

Rules: as in `conformance`; the clause is the specification's heading, below Protocol Extensions.
"""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import Fields, Heard
from towpath.testing.tus_peer import BODY, VERSION, TusPeer, new_checks, offered_with

checks = new_checks()
_WAITS = 5.0  # seconds until an expiration that a check waits for
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


def _checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(_DIGESTS[algorithm](data)).decode()}"


# Checksum


@checks.must("checksum")
def options_lists_the_checksums_with_sha1(peer: TusPeer) -> None:
    """OPTIONS has Tus-Checksum-Algorithm, and sha1 is among them (Checksum)."""
    words = peer.ask("OPTIONS", peer.url).words("Tus-Checksum-Algorithm")
    require("sha1" in words, f"Tus-Checksum-Algorithm: {', '.join(words) or 'missing'}")


@checks.must("checksum")
def checksums_have_names_without_capitals(peer: TusPeer) -> None:
    """Names of algorithms are ASCII without upper case (Checksum)."""
    for word in peer.ask("OPTIONS", peer.url).words("Tus-Checksum-Algorithm"):
        require(word.isascii() and word == word.lower(), f"Tus-Checksum-Algorithm: {word}")


@checks.must("checksum")
def a_chunk_with_its_checksum_is_taken(peer: TusPeer) -> None:
    """A chunk whose sha1 is right is answered like any other (Checksum)."""
    url = peer.create(5)
    heard = peer.patch(url, 0, b"hello", {"Upload-Checksum": _checksum(b"hello")})
    peer.require_offset(url, 5, heard.want(204).want_number("Upload-Offset", 5))


@checks.must("checksum")
def every_listed_checksum_works(peer: TusPeer) -> None:
    """What Tus-Checksum-Algorithm lists is supported.

    (Checksum, Headers, Tus-Checksum-Algorithm)
    """
    for word in peer.options.words("Tus-Checksum-Algorithm"):
        if word in _DIGESTS:
            url = peer.create(5)
            peer.patch(url, 0, b"hello", {"Upload-Checksum": _checksum(b"hello", word)}).want(204)
            url = peer.create(5)
            heard = peer.patch(url, 0, b"jello", {"Upload-Checksum": _checksum(b"hello", word)})
            peer.require_offset(url, 0, heard.want_refused())


@checks.must("checksum")
def a_chunk_with_another_checksum_is_discarded(peer: TusPeer) -> None:
    """A chunk that does not fit its checksum leaves the offset alone (Checksum)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    heard = peer.patch(url, 5, b"world", {"Upload-Checksum": _checksum(b"World")})
    peer.require_offset(url, 5, heard.want_refused())
    peer.patch(url, 5, b"world", {"Upload-Checksum": _checksum(b"world")}).want(204)


@checks.should("checksum")
def a_mismatch_is_answered_with_460(peer: TusPeer) -> None:
    """A chunk that does not fit its checksum gets 460 (Checksum)."""
    url = peer.create(5)
    peer.patch(url, 0, b"hello", {"Upload-Checksum": _checksum(b"jello")}).want(460)


@checks.must("checksum")
def a_chunk_with_an_unknown_checksum_is_discarded(peer: TusPeer) -> None:
    """A chunk with an algorithm that is not supported is not counted (Checksum)."""
    url = peer.create(5)
    peer.require_offset(url, 0, peer.patch(url, 0, b"hello", {"Upload-Checksum": "sha0 aGk="}))


@checks.should("checksum")
def an_unknown_checksum_is_a_bad_request(peer: TusPeer) -> None:
    """An algorithm that is not supported gets 400 (Checksum)."""
    url = peer.create(5)
    peer.patch(url, 0, b"hello", {"Upload-Checksum": "sha0 aGk="}).want(400)


@checks.must("checksum")
def a_checksum_that_cannot_be_read_is_refused(peer: TusPeer) -> None:
    """The value is a name and base64 with a space between (Checksum, Headers, Upload-Checksum)."""
    for value in ("sha1 !!!", "sha1", "sha1 aGk=", ""):
        url = peer.create(5)
        heard = peer.patch(url, 0, b"hello", {"Upload-Checksum": value})
        peer.require_offset(url, 0, heard.want_refused())


@checks.should("checksum")
def a_chunk_that_is_cut_is_not_verified(peer: TusPeer) -> None:
    """What is verified is the whole request; half of it does not fit (Checksum)."""
    url = peer.create(100_000)
    body = bytes(100_000)
    fields: Fields = {"Tus-Resumable": VERSION, "Content-Type": BODY, "Upload-Offset": 0}
    sums = {"Upload-Checksum": _checksum(body)}
    with peer.begin("PATCH", url, {**fields, **sums}, length=len(body)) as begun:
        begun.send(body[:50_000])
    time.sleep(0.5)
    seen = peer.settled_offset(url, 0)
    require(seen == 0, f"PATCH with a checksum, cut after 50000 bytes: the offset is {seen}")


# Checksum in a trailer


def _with_trailer(peer: TusPeer, url: str, body: bytes, checksum: str, offset: int = 0) -> Heard:
    announced = {"Trailer": "Upload-Checksum"}
    trailers = {"Upload-Checksum": checksum}
    return peer.patch(url, offset, body, announced, chunked=True, trailers=trailers)


@checks.must("checksum-trailer")
def a_chunk_with_its_checksum_behind_it_is_taken(peer: TusPeer) -> None:
    """The checksum may come as a trailer of a chunked body (Checksum)."""
    url = peer.create(5)
    heard = _with_trailer(peer, url, b"hello", _checksum(b"hello"))
    peer.require_offset(url, 5, heard.want(204))


@checks.must("checksum-trailer")
def a_chunk_with_another_checksum_behind_it_is_discarded(peer: TusPeer) -> None:
    """A trailer that does not fit the chunk leaves the offset alone (Checksum)."""
    url = peer.create(5)
    heard = _with_trailer(peer, url, b"hello", _checksum(b"jello"))
    peer.require_offset(url, 0, heard.want_refused())


@checks.must("checksum-trailer")
def a_chunk_with_an_unknown_checksum_behind_it_is_discarded(peer: TusPeer) -> None:
    """A trailer with an algorithm that is not supported leaves the offset alone (Checksum)."""
    url = peer.create(5)
    peer.require_offset(url, 0, _with_trailer(peer, url, b"hello", "sha0 aGk="))


@checks.should("checksum-trailer")
def a_mismatch_behind_the_chunk_is_answered_with_460(peer: TusPeer) -> None:
    """A trailer that does not fit the chunk gets 460, like a checksum before it (Checksum)."""
    url = peer.create(5)
    _with_trailer(peer, url, b"hello", _checksum(b"jello")).want(460)


@checks.must("checksum-trailer")
def a_discarded_chunk_can_be_sent_again(peer: TusPeer) -> None:
    """After a trailer that did not fit, the upload goes on where it was (Checksum)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    peer.require_offset(url, 5, _with_trailer(peer, url, b"wor", _checksum(b"x"), 5).want_refused())
    heard = _with_trailer(peer, url, b"world", _checksum(b"world"), 5)
    peer.require_offset(url, 10, heard.want(204).want_number("Upload-Offset", 10))


@checks.should("checksum-trailer")
def a_checksum_that_was_announced_and_does_not_come_is_missed(peer: TusPeer) -> None:
    """What was announced to be verified and cannot be is not counted (Checksum)."""
    url = peer.create(5)
    heard = peer.patch(url, 0, b"hello", {"Trailer": "Upload-Checksum"}, chunked=True)
    peer.require_offset(url, 0, heard.want_refused())


@checks.should("checksum-trailer")
def a_chunk_that_is_cut_before_its_checksum_is_discarded(peer: TusPeer) -> None:
    """What cannot be verified any more is not counted (Checksum)."""
    url = peer.create(100_000)
    fields: Fields = {"Tus-Resumable": VERSION, "Content-Type": BODY, "Upload-Offset": 0}
    with peer.begin("PATCH", url, {**fields, "Trailer": "Upload-Checksum"}) as begun:
        begun.send(bytes(50_000))
    time.sleep(0.5)
    seen = peer.settled_offset(url, 0)
    require(seen == 0, f"PATCH cut before its Upload-Checksum: the offset is {seen}")


@checks.must("checksum-trailer", offered_with("checksum-trailer", "creation-with-upload"))
def a_creation_has_its_checksum_behind_its_chunk(peer: TusPeer) -> None:
    """The chunk of a creation is verified by its trailer, too (Checksum)."""
    for body, wanted in ((b"hello", 5), (b"jello", 0)):
        heard = peer.say(
            "POST",
            peer.url,
            {"Upload-Length": 5, "Content-Type": BODY, "Trailer": "Upload-Checksum"},
            body,
            chunked=True,
            trailers={"Upload-Checksum": _checksum(b"hello")},
        )
        if wanted:
            heard.want(201)
        if heard.has("Location"):
            peer.require_offset(peer.location(heard), wanted, heard)
        else:
            heard.want_refused()


# Expiration


def _expires(heard: Heard) -> float:
    """Seconds since 1970. The text must be an IMF-fixdate."""
    text = heard.field("Upload-Expires")
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        raise heard.wrong(f"Upload-Expires: {text!r} is no date") from None
    fixdate = when.strftime("%d %b %Y %H:%M:%S GMT")
    require(text.endswith(fixdate), f"Upload-Expires: {text!r}, not {fixdate!r} with its day")
    return when.timestamp()


@checks.must("expiration")
def every_chunk_of_an_upload_that_expires_tells_when(peer: TusPeer) -> None:
    """PATCH answers have Upload-Expires if the upload will expire.

    (Expiration, Headers, Upload-Expires)
    """
    created = peer.post({"Upload-Length": 10}).want(201)
    url = peer.location(created)
    head = peer.head(url)
    answers = [peer.patch(url, at, b"he").want(204) for at in (0, 2)]
    if not any(heard.has("Upload-Expires") for heard in (created, head, *answers)):
        raise Skipped("nothing says that this upload expires")
    for heard in answers:
        heard.field("Upload-Expires")


@checks.should("expiration")
def a_creation_tells_when_the_upload_expires(peer: TusPeer) -> None:
    """201 has Upload-Expires if it is known by then (Expiration, Headers, Upload-Expires)."""
    peer.post({"Upload-Length": 10}).want(201).field("Upload-Expires")


@checks.must("expiration")
def the_expiration_is_a_date_of_http(peer: TusPeer) -> None:
    """Upload-Expires is a date as in RFC 7231, 7.1.1.1 (Expiration, Headers, Upload-Expires)."""
    created = peer.post({"Upload-Length": 10}).want(201)
    heard = peer.patch(peer.location(created), 0, b"hello").want(204)
    told = [each for each in (created, heard) if each.has("Upload-Expires")]
    if not told:
        raise Skipped("nothing says that this upload expires")
    for each in told:
        require(_expires(each) > time.time() - 60, f"{each.asked}: expired before it began")


@checks.should("expiration")
def an_expired_upload_is_gone(peer: TusPeer) -> None:
    """What has been removed is answered with 404 or 410 (Expiration, Headers, Upload-Expires)."""
    created = peer.post({"Upload-Length": 10}).want(201)
    if not created.has("Upload-Expires"):
        raise Skipped("the creation does not say when it expires")
    left = _expires(created) - time.time()
    if left > _WAITS:
        raise Skipped(f"it expires in {left:.0f} s, which is too long to wait for")
    time.sleep(max(0.0, left) + 1.5)
    peer.say("HEAD", peer.location(created)).want(404, 410)


# Termination


@checks.must("termination")
def an_upload_under_way_can_be_terminated(peer: TusPeer) -> None:
    """DELETE of an unfinished upload gets 204 (Termination, Requests, DELETE)."""
    url = peer.create(10)
    peer.patch(url, 0, b"hello").want(204)
    peer.say("DELETE", url).want(204)


@checks.must("termination")
def a_complete_upload_can_be_terminated(peer: TusPeer) -> None:
    """DELETE of a complete upload gets 204 (Termination, Requests, DELETE)."""
    peer.say("DELETE", peer.uploaded(b"hello")).want(204)


@checks.should("termination")
def a_terminated_upload_is_not_found(peer: TusPeer) -> None:
    """Later requests get 404 or 410 (Termination, Requests, DELETE)."""
    url = peer.create(10)
    peer.say("DELETE", url).want(204)
    peer.say("HEAD", url).want(404, 410).want_no("Upload-Offset")
    peer.patch(url, 0, b"hello").want(404, 410)
    peer.say("DELETE", url).want(404, 410)


@checks.must("termination")
def a_termination_can_be_asked_for_by_post(peer: TusPeer) -> None:
    """X-HTTP-Method-Override: DELETE is a DELETE.

    (Core Protocol, Headers, X-HTTP-Method-Override)
    """
    peer.say("POST", peer.create(10), {"X-HTTP-Method-Override": "DELETE"}).want(204)
