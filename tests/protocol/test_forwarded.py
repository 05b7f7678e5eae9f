"""What proxies say: whose word counts, and that no word of a client ever does."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.errors import Malformed
from towpath.protocol.forwarded import (
    UNKNOWN,
    Passed,
    read_forwarded,
    read_x_forwarded,
)

ADDRESSES = st.ip_addresses().map(str)
PROXY = "10.0.0.1"
LATIN = st.text(st.characters(max_codepoint=255))


def ours(address: str) -> bool:
    """Our proxies."""
    return address.startswith("10.")


def node(address: str) -> str:
    """An address as RFC 7239 writes it."""
    return f'"[{address}]"' if ":" in address else address


# RFC 7239


@pytest.mark.parametrize(
    ("field", "passed"),
    [
        ("for=192.0.2.43", Passed(client="192.0.2.43")),
        ('For="[2001:db8:cafe::17]:4711"', Passed(client="2001:db8:cafe::17")),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            Passed(client="192.0.2.60", scheme="http"),
        ),
        ("for=192.0.2.43, for=198.51.100.17", Passed(client="198.51.100.17")),
        ('for="_gazonk"', Passed(client=UNKNOWN)),
        ("for=unknown", Passed(client=UNKNOWN)),
        ("proto=https", Passed(client=UNKNOWN, scheme="https")),
        (
            ' , for=192.0.2.1;host="files.example:8443" ;PROTO=HTTPS , ',
            Passed(client="192.0.2.1", scheme="https", host="files.example:8443"),
        ),
        (
            'for="192.0.2.43:47011";host="a\\.example"',
            Passed(client="192.0.2.43", host="a.example"),
        ),
        ("", Passed(client=UNKNOWN)),
    ],
)
def test_the_examples_of_the_rfc_are_read(field: str, passed: Passed) -> None:
    assert read_forwarded({"forwarded": field}, ours) == passed


def test_without_the_field_nothing_is_said() -> None:
    assert read_forwarded({"x-forwarded-for": "192.0.2.1"}, ours) == Passed()
    assert read_x_forwarded({"forwarded": "for=192.0.2.1"}, ours) == Passed()


def test_the_trusted_proxy_nearest_to_the_client_says_how_it_asked() -> None:
    field = (
        "for=6.6.6.6;host=evil.example;proto=http,"
        "for=192.0.2.7;host=files.example;proto=https, for=10.0.0.2;host=inner;proto=http"
    )
    told = Passed(client="192.0.2.7", scheme="https", host="files.example")
    assert read_forwarded({"forwarded": field}, ours) == told


@pytest.mark.parametrize(
    "field",
    [
        "for",
        "for=",
        "for=a b",
        "for=192.0.2.1;for=192.0.2.2",
        'for="192.0.2.1',
        "=192.0.2.1",
        "for=192.0.2.1 proto=https",
        "for=[::1]",
        'for="a\x00"',
        "for=1.2.3.4;proto=gopher",
        'for=1.2.3.4;host="a/b"',
        'for=1.2.3.4;host="a b"',
        'for=1.2.3.4;host=""',
    ],
)
def test_what_is_no_such_field_is_refused(field: str) -> None:
    with pytest.raises(Malformed):
        read_forwarded({"forwarded": field}, ours)


@given(st.lists(ADDRESSES, min_size=1), st.lists(st.sampled_from(["10.0.0.2", "10.9.9.9"])))
def test_the_client_is_the_first_from_the_right_who_is_not_ours(
    claimed: list[str], between: list[str]
) -> None:
    chain = [*claimed, *between]
    expected = next(
        (each for each in reversed(chain) if not ours(each)),
        chain[0],
    )
    forwarded = ", ".join(f"for={node(each)}" for each in chain)
    assert read_forwarded({"forwarded": forwarded}, ours).client == expected
    assert read_x_forwarded({"x-forwarded-for": ", ".join(chain)}, ours).client == expected


@given(LATIN, ADDRESSES.filter(lambda address: not ours(address)))
def test_nothing_that_a_client_sends_changes_who_it_is(claimed: str, client: str) -> None:
    """A proxy appends; what it appended to cannot be believed, at most it is refused."""
    x = {"x-forwarded-for": f"{claimed}, {client}", "x-forwarded-proto": "https"}
    assert read_x_forwarded(x, ours) == Passed(client=client, scheme="https")
    try:
        passed = read_forwarded({"forwarded": f"{claimed}, for={node(client)}"}, ours)
    except Malformed:
        return
    assert passed.client == client


@given(LATIN)
def test_any_text_is_read_or_refused_and_the_client_is_an_address(text: str) -> None:
    for read, fields in (
        (read_forwarded, {"forwarded": text}),
        (read_x_forwarded, {"x-forwarded-for": text}),
    ):
        try:
            passed = read(fields, ours)
        except Malformed:
            continue
        if passed.client is not None:
            ip_address(passed.client)


@pytest.mark.parametrize("text", [";" * 60_000, " " * 60_000, "a" * 60_000, '"' * 60_000])
def test_a_long_field_costs_no_more_than_its_length(text: str) -> None:
    """Quadratic work would take minutes, and the test's time is bounded."""
    for field in (text, "for=" + text, 'for="' + text):
        try:
            read_forwarded({"forwarded": field}, ours)
        except Malformed:
            continue


# X-Forwarded-*


@pytest.mark.parametrize(
    ("entry", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("unknown", UNKNOWN),
        ("localhost", UNKNOWN),
        ("127.0.0.1.evil.example", UNKNOWN),
        ("127.1", UNKNOWN),
    ],
)
def test_an_entry_is_an_address_or_nobody(entry: str, client: str) -> None:
    assert read_x_forwarded({"x-forwarded-for": f"127.0.0.1, {entry}"}, ours).client == client


def test_lists_of_all_fields_are_read_at_the_same_place() -> None:
    fields = {
        "x-forwarded-for": "6.6.6.6, 192.0.2.7, 10.0.0.2",
        "x-forwarded-proto": "http, https, http",
        "x-forwarded-host": "evil.example, files.example, inner",
        "x-forwarded-prefix": "/evil, /up/, /inner",
    }
    told = Passed(client="192.0.2.7", scheme="https", host="files.example", prefix="/up")
    assert read_x_forwarded(fields, ours) == told


def test_a_field_that_every_proxy_writes_anew_has_one_entry() -> None:
    fields = {"x-forwarded-for": "192.0.2.7, 10.0.0.2", "x-forwarded-proto": "https"}
    assert read_x_forwarded(fields, ours).scheme == "https"


def test_a_request_that_was_passed_on_for_nobody_is_not_local() -> None:
    assert read_x_forwarded({"x-forwarded-proto": "https"}, ours).client == UNKNOWN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proto", "javascript"),
        ("host", "evil.example/@files.example"),
        ("host", "a\r\nx: y"),
        ("host", "a@b"),
        ("prefix", "//evil.example"),
        ("prefix", "https://evil.example"),
        ("prefix", "/a/../b"),
        ("prefix", "/a b"),
        ("prefix", "/a\r\nset-cookie: x"),
        ("prefix", "up"),
        ("prefix", "/a?b"),
    ],
)
def test_a_value_that_cannot_stand_in_an_address_is_refused(name: str, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_x_forwarded({f"x-forwarded-{name}": value}, ours)
    assert caught.value.field == f"X-Forwarded-{name.title()}"


@given(LATIN)
def test_a_prefix_that_is_taken_keeps_a_location_on_this_host(text: str) -> None:
    try:
        prefix = read_x_forwarded({"x-forwarded-prefix": text}, ours).prefix
    except Malformed:
        return
    assert prefix == "" or (prefix[0] == "/" and prefix[1:2] != "/" and prefix.isprintable())
    assert not prefix.endswith("/")
