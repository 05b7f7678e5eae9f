"""The record of wrapped keys: opened by those it is for, renewed without the data, bounded."""

import json

import pytest

from towpath.codec.encrypt import new_file_key
from towpath.codec.keys import Identity, KeyFile, Passphrase
from towpath.codec.record import (
    LONGEST_RECORD,
    MOST_KEYS,
    KeyRecord,
    only_recipients,
)
from towpath.errors import Malformed, Unreadable, WrongKey

FILE = bytes(range(16))
ONE, OTHER = KeyFile.new(), KeyFile.new()
ME = Identity.new()
WORDS = Passphrase("correct horse", work=12)
KEYS = [new_file_key(), new_file_key()]


def record(*locks: object) -> KeyRecord:
    made = KeyRecord(file_id=FILE)
    for key in KEYS:
        made = made.added(key, locks)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("own", [ONE, WORDS, ME])
def test_each_of_those_that_it_is_for_opens_it(own: KeyFile | Passphrase | Identity) -> None:
    made = KeyRecord.parse(record(ONE, WORDS, ME.recipient).render())
    assert made.open([own]) == KEYS
    assert made.open([OTHER, own]) == KEYS


def test_a_wrong_key_is_told_whom_it_is_for() -> None:
    made = record(ONE, WORDS, ME.recipient)
    with pytest.raises(WrongKey, match="None of the keys opens") as refused:
        made.open([OTHER])
    assert f"key-file {ONE.id}" in refused.value.why
    assert f"recipient {ME.recipient.id}" in refused.value.why
    with pytest.raises(WrongKey, match="is encrypted"):
        made.open([])


def test_a_record_of_which_one_key_does_not_open_opens_not_at_all() -> None:
    made = KeyRecord(file_id=FILE).added(KEYS[0], [ONE]).added(KEYS[1], [OTHER])
    with pytest.raises(WrongKey):
        made.open([ONE])
    assert made.open([ONE, OTHER]) == KEYS


def test_wrapping_anew_lets_others_in_and_keeps_the_file_keys() -> None:
    renewed = record(ONE).rewrapped([ONE], [OTHER, ME.recipient])
    assert renewed.open([OTHER]) == renewed.open([ME]) == KEYS
    with pytest.raises(WrongKey):
        renewed.open([ONE])
    with pytest.raises(WrongKey):
        record(ONE).rewrapped([OTHER], [OTHER])


def test_a_file_for_nobody_is_refused_in_words_of_its_own() -> None:
    with pytest.raises(Malformed, match="needs at least one key"):
        record()
    with pytest.raises(Malformed, match="needs at least one key"):
        record(ONE).rewrapped([ONE], [])


def test_a_record_knows_whether_it_is_for_just_these() -> None:
    made = record(ONE, WORDS)
    assert made.is_for([WORDS, ONE])
    assert not made.is_for([ONE])
    assert not made.is_for([ONE, WORDS, OTHER])
    assert only_recipients([ME.recipient])
    assert not only_recipients([ME.recipient, ONE])


def test_a_written_record_shows_no_file_key() -> None:
    text = record(ONE, WORDS, ME.recipient).render()
    assert all(key not in text and key.hex().encode() not in text for key in KEYS)


def good() -> dict[str, object]:
    found: dict[str, object] = json.loads(record(WORDS).render())
    return found


def test_more_keys_than_may_be_are_refused() -> None:
    full = KeyRecord(file_id=FILE, keys=record(ONE).keys * (MOST_KEYS // 2))
    with pytest.raises(Unreadable, match="too many"):
        full.added(KEYS[0], [ONE])
    with pytest.raises(Unreadable):
        KeyRecord.parse(KeyRecord(file_id=FILE, keys=full.keys * 2).render())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b" " * (LONGEST_RECORD + 1),
        json.dumps({**good(), "format": "towpath-keys/2"}).encode(),
        json.dumps({**good(), "file": "00"}).encode(),
        json.dumps({**good(), "keys": []}).encode(),
        json.dumps({**good(), "keys": [[]]}).encode(),
        json.dumps({**good(), "keys": [[{"kind": "recipient", "wrapped": "AAAA"}]]}).encode(),
        json.dumps({**good(), "keys": [[{"kind": "other", "wrapped": ""}]]}).encode(),
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="record of a file's keys"):
        KeyRecord.parse(data)


@pytest.mark.parametrize("work", [0, 11, 19, 60, 17.0, True, "17"])
def test_a_strangers_record_cannot_ask_for_any_work(work: object) -> None:
    found = json.loads(record(WORDS).render())
    found["keys"][0][0]["work"] = work
    with pytest.raises(Unreadable, match="stretched"):
        KeyRecord.parse(json.dumps(found).encode())


def test_a_strangers_record_cannot_ask_for_endless_work() -> None:
    slow = KeyRecord(file_id=FILE, keys=(record(WORDS).keys[0] * 60,))
    tries: list[object] = []

    class Counting(Passphrase):
        def unwrap(self, wrap: object, file_id: bytes) -> bytes | None:
            tries.append(wrap)
            return None

    with pytest.raises(WrongKey):
        slow.open([Counting("guess")])
    assert len(tries) == 8
