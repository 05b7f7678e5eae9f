"""Keys that people hold: each opens what was wrapped for it, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towpath.codec.keys import (
    Identity,
    KeyFile,
    Locks,
    Opens,
    Passphrase,
    Recipient,
    parse_key,
)
from towpath.errors import Malformed

FILE_KEY, FILE = bytes(range(32)), bytes(range(16))
ME = Identity.new()
KEY = KeyFile.new()
WORDS = Passphrase("correct horse", work=12)
PAIRS: list[tuple[Locks, Opens]] = [(KEY, KEY), (WORDS, WORDS), (ME.recipient, ME)]


@pytest.mark.parametrize(("lock", "own"), PAIRS)
def test_a_key_opens_what_is_wrapped_for_it(lock: Locks, own: Opens) -> None:
    assert own.unwrap(lock.wrap(FILE_KEY, FILE), FILE) == FILE_KEY


@pytest.mark.parametrize("lock", [lock for lock, _ in PAIRS])
@pytest.mark.parametrize(
    "other", [KeyFile.new(), Passphrase("Correct horse", work=12), Identity.new()]
)
def test_no_other_key_opens_it(lock: Locks, other: Opens) -> None:
    assert other.unwrap(lock.wrap(FILE_KEY, FILE), FILE) is None


def test_what_is_sealed_for_a_recipient_is_sealed_for_one_file() -> None:
    assert ME.unwrap(ME.recipient.wrap(FILE_KEY, FILE), FILE[::-1]) is None


def test_a_passphrase_is_the_same_however_its_letters_were_typed() -> None:
    wrap = Passphrase("café", work=12).wrap(FILE_KEY, FILE)
    assert Passphrase("cafe\u0301").unwrap(wrap, FILE) == FILE_KEY


def test_each_wrap_of_a_passphrase_has_a_salt_of_its_own() -> None:
    assert WORDS.wrap(FILE_KEY, FILE).salt != WORDS.wrap(FILE_KEY, FILE).salt


@pytest.mark.parametrize("key", [KEY, ME, ME.recipient])
def test_the_text_of_a_key_is_read_again(key: KeyFile | Identity | Recipient) -> None:
    assert parse_key(key.text()) == key
    assert parse_key(f"  {key.text()}\n") == key


@given(st.text(max_size=80))
@settings(max_examples=50)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Malformed) as empty:
        parse_key("towpath-key-1 ")
    with pytest.raises(Malformed) as refused:
        parse_key(f"towpath-key-1 {text}")
    assert str(refused.value) == str(empty.value)


@pytest.mark.parametrize("text", ["", "towpath-key-2 " + "A" * 43 + "=", "towpath-key-1 AAAA"])
def test_a_key_of_another_kind_or_length_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="no key"):
        parse_key(text)


@pytest.mark.parametrize("secret", [KEY, WORDS, ME])
def test_no_secret_is_shown_by_what_holds_it(secret: KeyFile | Passphrase | Identity) -> None:
    shown = repr(secret) + str(secret)
    hidden = "correct" if isinstance(secret, Passphrase) else repr(secret.key)
    assert hidden not in shown
