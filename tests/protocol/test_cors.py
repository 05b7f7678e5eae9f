"""Which pages may ask, as answers say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.protocol.cors import MOST_FIELDS, READS, TELLS, Sharing, read_origin

APP = "https://app.example"
NAMED = Sharing(origins=frozenset({APP}), max_age=600)
OPEN = Sharing(anyone=True, max_age=600)
PREFLIGHT = {"origin": APP, "access-control-request-method": "PATCH"}


def told(sharing: Sharing, origin: str | None) -> dict[str, str]:
    return dict(sharing.fields(origin))


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def test_by_default_nothing_is_said_and_nothing_is_a_preflight() -> None:
    assert Sharing().fields(APP) == ()
    assert Sharing().preflight("OPTIONS", PREFLIGHT) is None


def test_a_page_that_may_ask_is_told_its_own_origin() -> None:
    fields = told(NAMED, APP)
    assert fields["access-control-allow-origin"] == APP
    assert fields["vary"] == "Origin"
    assert "access-control-allow-credentials" not in fields


@pytest.mark.parametrize(
    "origin",
    [None, "null", "https://app.example.evil", "http://app.example", "https://app.example:444",
     "https://APP.example", "https://app.example/", "https://app.example, https://app.example", ""],
)  # fmt: skip
def test_any_other_page_is_told_nothing_but_caches_are(origin: str | None) -> None:
    assert NAMED.fields(origin) == (("vary", "Origin"),)


@given(st.text())
def test_what_is_told_is_an_origin_that_was_named_or_a_star(origin: str) -> None:
    assert told(NAMED, origin).get("access-control-allow-origin") in {APP, None}
    assert told(OPEN, origin)["access-control-allow-origin"] == "*"


def test_a_star_never_goes_with_credentials() -> None:
    both = Sharing(origins=frozenset({APP}), anyone=True, credentials=True)
    assert "access-control-allow-credentials" not in told(both, APP)
    named = Sharing(origins=frozenset({APP}), credentials=True)
    assert told(named, APP)["access-control-allow-credentials"] == "true"
    assert told(named, APP)["access-control-allow-origin"] == APP
    assert "access-control-allow-credentials" not in told(named, "https://other.example")


def test_pages_see_the_fields_that_clients_of_uploads_need() -> None:
    needed = (
        "Upload-Offset Location Upload-Length Tus-Version Tus-Resumable Tus-Max-Size Tus-Extension "
        "Upload-Metadata Upload-Defer-Length Upload-Concat Upload-Expires Upload-Complete "
        "Upload-Limit Upload-Draft-Interop-Version"
    )
    shown = words(told(NAMED, APP)["access-control-expose-headers"])
    assert {name.lower() for name in needed.split()} <= shown
    assert shown == {name.lower() for name in TELLS}


def test_a_preflight_is_told_methods_fields_and_how_long_it_holds() -> None:
    reply = NAMED.preflight("OPTIONS", PREFLIGHT)
    assert reply is not None
    assert reply.status == 200
    fields = dict(reply.fields)
    assert {"patch", "head", "delete"} <= words(fields["access-control-allow-methods"])
    needed = {"authorization", "x-requested-with", "x-http-method-override", "upload-checksum"}
    assert needed <= words(fields["access-control-allow-headers"])
    assert fields["access-control-max-age"] == "600"
    assert "access-control-allow-private-network" not in fields


def test_fields_that_we_do_not_know_are_allowed_if_they_are_asked_for() -> None:
    asked = f"traceparent, {READS[0]}, bad name, x\r\ny, {'n' * 65}"
    reply = NAMED.preflight("OPTIONS", {**PREFLIGHT, "access-control-request-headers": asked})
    assert reply is not None
    allowed = dict(reply.fields)["access-control-allow-headers"]
    assert words(allowed) == {name.lower() for name in READS} | {"traceparent"}
    assert allowed.count(READS[0]) == 1


def test_a_preflight_cannot_make_the_answer_long() -> None:
    many = ",".join(f"x-{number}" for number in range(5000))
    reply = NAMED.preflight("OPTIONS", {**PREFLIGHT, "access-control-request-headers": many})
    assert reply is not None
    names = dict(reply.fields)["access-control-allow-headers"]
    assert len(words(names)) == len(READS) + MOST_FIELDS


def test_a_private_network_is_entered_if_that_is_asked_for() -> None:
    asked = {**PREFLIGHT, "access-control-request-private-network": "true"}
    reply = NAMED.preflight("OPTIONS", asked)
    assert reply is not None
    assert ("access-control-allow-private-network", "true") in reply.fields


def test_a_page_that_may_not_ask_is_refused_in_words() -> None:
    reply = NAMED.preflight("OPTIONS", {**PREFLIGHT, "origin": "https://evil.example"})
    assert reply is not None
    assert reply.status == 403
    assert not [name for name, _ in reply.fields if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("OPTIONS", {}),
        ("OPTIONS", {"origin": APP}),
        ("OPTIONS", {"access-control-request-method": "PATCH"}),
        ("GET", PREFLIGHT),
        ("POST", PREFLIGHT),
    ],
)
def test_what_is_no_preflight_is_left_alone(method: str, fields: dict[str, str]) -> None:
    assert NAMED.preflight(method, fields) is None


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("tauri://localhost", "tauri://localhost"),
    ],
)
def test_an_origin_is_written_as_browsers_do(text: str, origin: str) -> None:
    assert read_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "null", "*", "app.example", "https://", "https://app.example/", "https://*.example",
     "https://a.example/x", "https://u@a.example", "https://a.example:x", "https://a b"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_origin(text)
