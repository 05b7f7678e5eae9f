"""Checks of Resumable Uploads for HTTP: lengths, limits, problem types, digests.

Rules: as in `conformance`; clauses are the headings of draft-ietf-httpbis-resumable-upload-12,
which earlier drafts name much alike; rows of `rufh_versions` say who asks what.
"""

from __future__ import annotations

import base64
import hashlib
import json

from towpath.testing.conformance import Skipped, require
from towpath.testing.peer import Fields, Heard
from towpath.testing.rufh_peer import RufhPeer, asked, limits, new_checks

checks = new_checks()
_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
_AGES = ("max-age", "expires")  # what is left of a life: it decreases by itself


# Length


@checks.must("length", asked("lengths that agree"))
def a_last_append_of_another_length_is_refused(peer: RufhPeer) -> None:
    """Lengths that the requests of one upload indicate have to match (4.1.3, Length)."""
    if peer.version.asks("length"):
        url = peer.create(b"hello", length=12)
    else:
        with peer.begin_start(12, complete=True) as begun:
            url = peer.announced(begun)
    offset = peer.offset(url)
    heard = peer.append(url, offset, b", w", complete=True).want_refused()
    if peer.version.number <= 6:
        heard.want(400)


@checks.must("length", asked("length"))
def another_length_is_refused(peer: RufhPeer) -> None:
    """Upload-Length of an append is that of the creation (4.1.3, Length)."""
    url = peer.create(b"hello", length=12)
    peer.append(url, 5, b", wo", fields={"Upload-Length": 20}).want_refused()


@checks.must("length", asked("length of an append"))
def a_length_that_comes_with_an_append_is_recorded(peer: RufhPeer) -> None:
    """Upload-Length of an append is recorded (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello")
    peer.append(url, 5, b", wo", fields={"Upload-Length": 12}).want_done()
    peer.head(url).want_number("Upload-Length", 12)


@checks.must("length", asked("no offset beyond the length"))
def the_offset_does_not_exceed_the_length(peer: RufhPeer) -> None:
    """An append beyond a known length is refused (4.4.2, Upload Append, Server)."""
    for chunked in (False, True):
        url = peer.create(b"hello", length=8)
        peer.append(url, 5, b", world", chunked=chunked).want_refused()
        heard = peer.ask("HEAD", url, peer.spoken())
        require(not heard.done or heard.number("Upload-Offset") <= 8, "the offset exceeds it")


@checks.must("length", asked("uploads that exceeded are invalid"))
def an_upload_that_exceeded_its_length_is_invalid(peer: RufhPeer) -> None:
    """It is marked invalid, and nothing more is done with it (4.4.2, Upload Append, Server)."""
    url = peer.create(b"hello", length=8)
    peer.append(url, 5, b", world", chunked=True).want_refused()
    peer.ask("HEAD", url, peer.spoken()).want_refused()
    peer.append(url, 5, b", w", complete=True).want_refused()


# Limits


@checks.must("limits", asked("limits in options"))
def options_tells_the_limits(peer: RufhPeer) -> None:
    """OPTIONS has Upload-Limit, min-size=0 if there is none (Limits, drafts -05 to -08)."""
    limits(peer.ask("OPTIONS", peer.url, peer.spoken()).want_done())


@checks.must("limits", asked("accept-patch"))
def options_names_the_media_type(peer: RufhPeer) -> None:
    """OPTIONS has Accept-Patch with application/partial-upload in full (4.1.4, Limits)."""
    heard = peer.ask("OPTIONS", peer.url, peer.spoken()).want_done()
    types = [word.split(";")[0].strip().lower() for word in heard.words("Accept-Patch")]
    wanted = "application/partial-upload"
    require(wanted in types, f"OPTIONS: Accept-Patch: {', '.join(types) or 'missing'}")


@checks.should("limits", asked("accept-patch"))
def options_should_tell_the_limits(peer: RufhPeer) -> None:
    """OPTIONS has Upload-Limit if limits apply (4.1.4, Limits)."""
    _limits_of_an_upload(peer)
    limits(peer.ask("OPTIONS", peer.url, peer.spoken()).want_done())


@checks.must("limits", asked("limits"))
def limits_are_a_dictionary_of_integers(peer: RufhPeer) -> None:
    """Upload-Limit is a Dictionary, its known members Integers (4.1.4, Limits)."""
    _limits_of_an_upload(peer)
    options = peer.ask("OPTIONS", peer.url, peer.spoken())
    if options.has("Upload-Limit"):
        limits(options)


@checks.should("limits", asked("limits"))
def an_upload_has_no_tighter_limits_than_options_said(peer: RufhPeer) -> None:
    """Limits are not less restrictive in OPTIONS than later (4.1.4, Limits)."""
    options = peer.ask("OPTIONS", peer.url, peer.spoken())
    if not options.has("Upload-Limit"):
        raise Skipped("OPTIONS tells no limits")
    _want_no_tighter(limits(options), _limits_of_an_upload(peer))


@checks.should("limits", asked("limits"))
def limits_do_not_tighten_while_an_upload_lives(peer: RufhPeer) -> None:
    """What was told first stays enough (4.1.4, Limits)."""
    created = peer.start(b"hello").want_done()
    url = peer.location(created)
    if not created.has("Upload-Limit"):
        raise Skipped("the creation tells no limits")
    first = limits(created)
    peer.append(url, 5, b", wo")
    heard = peer.head(url)
    if not heard.has("Upload-Limit"):
        raise Skipped("HEAD tells no limits")
    _want_no_tighter(first, limits(heard))


def _want_no_tighter(first: dict[str, int], then: dict[str, int]) -> None:
    for name, value in then.items():
        if name in first and name not in _AGES:
            tighter = value < first[name] if name.startswith("max") else value > first[name]
            require(not tighter, f"{name}: {first[name]}, then {value}")


@checks.must("limits", asked("limits with 413"))
def too_large_an_upload_is_told_the_limits(peer: RufhPeer) -> None:
    """413 because of a limit has Upload-Limit (4.1.4, Limits)."""
    most = _limits_of_an_upload(peer).get("max-size")
    if most is None:
        raise Skipped("there is no max-size")
    heard = peer.start(b"hello", length=most + 1)
    if heard.status != 413:
        raise Skipped(f"a length above max-size gets {heard.status}")
    limits(heard)


@checks.must("limits", asked("limits"))
def the_last_append_may_be_small(peer: RufhPeer) -> None:
    """min-append-size does not bind a part that completes (4.1.4, Limits)."""
    if "min-append-size" not in _limits_of_an_upload(peer):
        raise Skipped("there is no min-append-size")
    peer.appended(peer.create(), 0, b"hello", complete=True)


def _limits_of_an_upload(peer: RufhPeer) -> dict[str, int]:
    created = peer.start(b"").want_done()
    heard = peer.head(peer.location(created))
    for each in (heard, created):
        if each.has("Upload-Limit"):
            return limits(each)
    raise Skipped("an upload has no limits")


# Problem types


def _problem(heard: Heard) -> dict[str, object]:
    """The problem document of a refusal. Skips when there is none: it is optional."""
    kind = heard.answer.fields.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/problem+json":
        raise Skipped(f"no problem document, as it may be: {kind or 'no content'}")
    document = json.loads(heard.answer.body)
    require(isinstance(document, dict), f"{heard.asked}: {heard.status}, a problem but no object")
    return dict(document)


def _want_type(document: dict[str, object], *wanted: str) -> None:
    kind = str(document.get("type", "about:blank"))
    if not kind.startswith(_PROBLEMS):
        raise Skipped(f"the problem is of another type, as it may be: {kind}")
    names = [_PROBLEMS + name for name in wanted]
    require(kind in names, f"type: {kind}, not {' or '.join(names)}")


@checks.should("problems", asked("problems"))
def the_problem_of_a_conflict_has_both_offsets(peer: RufhPeer) -> None:
    """It is mismatching-upload-offset, with expected and provided (7.1, Mismatching Offset)."""
    document = _problem(peer.append(peer.create(b"hello"), 7, b"orld").want(409))
    _want_type(document, "mismatching-upload-offset")
    offsets = document.get("expected-offset"), document.get("provided-offset")
    require(offsets == (5, 7), f"expected-offset and provided-offset: {offsets}, not (5, 7)")


@checks.should("problems", asked("problems"))
def the_problem_of_a_complete_upload_says_so(peer: RufhPeer) -> None:
    """It is completed-upload or inconsistent-upload-length (7.2, Completed Upload)."""
    url = peer.create(b"hello")
    peer.appended(url, 5, b", world", complete=True)
    heard = peer.append(url, 12, b"more").want_refused()
    _want_type(_problem(heard), "completed-upload", "inconsistent-upload-length")


@checks.should("problems", asked("length of an append"))
def the_problem_of_lengths_that_differ_says_so(peer: RufhPeer) -> None:
    """It is inconsistent-upload-length (7.3, Inconsistent Length)."""
    heard = peer.start(b"hello", complete=True, length=12).want_refused()
    _want_type(_problem(heard), "inconsistent-upload-length")


# Digests


def _digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


@checks.should("digests", asked("digests"))
def an_append_with_its_digest_is_taken(peer: RufhPeer) -> None:
    """Content whose Content-Digest fits is appended (10.2, Content Digests)."""
    url = peer.create(b"hello")
    fields: Fields = {"Content-Digest": _digest(b", wo")}
    heard = peer.append(url, 5, b", wo", fields=fields).want_done()
    peer.require_offset(url, 9, heard)


@checks.should("digests", asked("digests"))
def an_append_with_another_digest_is_not_appended(peer: RufhPeer) -> None:
    """Content whose Content-Digest does not fit is not appended (10.2, Content Digests)."""
    url = peer.create(b"hello")
    heard = peer.append(url, 5, b", wo", fields={"Content-Digest": _digest(b", WO")})
    peer.require_offset(url, 5, heard.want_refused())


@checks.should("digests", asked("digests"))
def a_representation_with_its_digest_completes(peer: RufhPeer) -> None:
    """A representation whose Repr-Digest fits is processed (10.1, Representation Digests)."""
    _ended(peer, {"Repr-Digest": _digest(b"hello, world")}).want_done()


@checks.should("digests", asked("digests"))
def a_representation_with_another_digest_fails(peer: RufhPeer) -> None:
    """One whose Repr-Digest does not fit is not processed (10.1, Representation Digests)."""
    _ended(peer, {"Repr-Digest": _digest(b"jello, world")}).want_refused()


@checks.should("digests", asked("digests"))
def a_digest_that_is_wanted_is_told(peer: RufhPeer) -> None:
    """Want-Repr-Digest is answered by Repr-Digest at the end (10.1, Representation Digests)."""
    heard = _ended(peer, {"Want-Repr-Digest": "sha-256=10"}).want_done()
    digest = heard.field("Repr-Digest")
    wanted = _digest(b"hello, world")
    require("sha-256" not in digest or wanted in digest, f"Repr-Digest: {digest}, not {wanted}")


def _ended(peer: RufhPeer, fields: Fields) -> Heard:
    """The last answer to an upload in two parts that was created with these fields."""
    url = peer.create(b"hello", fields=fields)
    return peer.append(url, 5, b", world", complete=True)
