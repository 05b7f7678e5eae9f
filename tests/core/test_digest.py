"""Digests and the fields that carry them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.core.crc import crc
from towpath.core.digest import SIZES, crc_bytes, format_digests, parse_digests
from towpath.errors import Malformed

digests = st.fixed_dictionaries(
    {}, optional={name: st.binary(min_size=size, max_size=size) for name, size in SIZES.items()}
)
alphabet = st.sampled_from([*SIZES, "sha-256=:", ":", "=", ",", ";", "AAAA", " ", "é", "\0", "=="])
noise = st.one_of(st.text(), st.lists(alphabet).map("".join))


def sha_256(value: bytes) -> str:
    return f"sha-256=:{base64.b64encode(value).decode()}:"


def test_the_crc_is_that_of_the_specification() -> None:
    assert crc(b"123456789") == 0xAE8B14860A799888
    assert crc_bytes(0xAE8B14860A799888).hex() == "ae8b14860a799888"


@given(st.binary(), st.integers(0, 300))
def test_a_crc_goes_on_where_it_stopped(data: bytes, at: int) -> None:
    assert crc(memoryview(data)[at:], crc(data[:at])) == crc(bytearray(data))


@given(digests)
def test_a_field_says_what_was_written_into_it(values: dict[str, bytes]) -> None:
    assert parse_digests(format_digests(values)) == values


@given(noise)
def test_a_hostile_field_is_read_or_malformed(field: str) -> None:
    try:
        read = parse_digests(field)
    except Malformed:
        return
    assert all(len(value) == SIZES[name] for name, value in read.items())


@given(noise)
def test_noise_beside_a_digest_never_changes_it(field: str) -> None:
    try:
        read = parse_digests(f"{field},{sha_256(bytes(32))}")
    except Malformed:
        return
    assert read["sha-256"] == bytes(32)


@pytest.mark.parametrize(
    "field",
    [
        "sha-256",
        "sha-256=",
        "sha-256=:",
        "sha-256=::",
        "sha-256=abc",
        sha_256(bytes(31)),
        sha_256(bytes(33)),
        sha_256(bytes(32))[:-1],
        sha_256(bytes(32)).replace("A", "*", 1),
        f"crc64nvme=:{base64.b64encode(bytes(9)).decode()}:",
        f"{sha_256(bytes(32))},md5=:!:",
    ],
)
def test_a_known_digest_that_cannot_be_read_is_malformed(field: str) -> None:
    with pytest.raises(Malformed):
        parse_digests(field)


def test_unknown_digests_are_left_out() -> None:
    field = f"unixsum=:AA==:, {sha_256(b'x' * 32)}, id-sha-1=?1, , future"
    assert parse_digests(field) == {"sha-256": b"x" * 32}
    assert parse_digests("") == {}


def test_names_are_read_in_any_case_and_with_any_space() -> None:
    field = sha_256(b"x" * 32).replace("sha-256=", " SHA-256 = ")
    assert parse_digests(field) == {"sha-256": b"x" * 32}
