"""What was written once can be read for ever, and is written the same way again."""

import json
from typing import Any

import pytest

from tests.codec.sample import Sample, read
from tests.codec.vectors import PATH
from towpath.codec.container import FOOTER, Footer, Tail, render
from towpath.codec.keys import Identity, KeyFile, Passphrase, Recipient, parse_key
from towpath.codec.record import KeyRecord

VECTORS: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
FILES: list[dict[str, Any]] = VECTORS["files"]
RECORD: dict[str, str] = VECTORS["record"]


def key_of(vector: dict[str, Any]) -> bytes | None:
    return bytes.fromhex(vector["file_key"]) if vector["sealed"] else None


@pytest.mark.parametrize("vector", FILES, ids=lambda vector: vector["name"])
def test_a_stored_file_is_read(vector: dict[str, Any]) -> None:
    plain = b"".join(bytes.fromhex(cut) for cut in vector["plain"])
    assert read(bytes.fromhex(vector["stored"]), key_of(vector)) == plain


@pytest.mark.parametrize("vector", FILES, ids=lambda vector: vector["name"])
def test_a_stored_file_is_written_the_same_way_again(vector: dict[str, Any]) -> None:
    stored = bytes.fromhex(vector["stored"])
    cuts = [bytes.fromhex(cut) for cut in vector["plain"]]
    again = Sample(cuts, vector["sealed"], vector["compressed"]).stored
    assert read(again, key_of(vector)) == b"".join(cuts)
    if not vector["compressed"]:  # a newer zstd may compress better
        assert len(again) == len(stored)
        if not vector["sealed"]:  # and what is sealed has a salt
            assert again == stored


@pytest.mark.parametrize("vector", FILES, ids=lambda vector: vector["name"])
def test_the_table_of_a_stored_file_is_written_again_byte_by_byte(vector: dict[str, Any]) -> None:
    stored = bytes.fromhex(vector["stored"])
    start = Footer.parse(stored[-FOOTER.size :], len(stored)).start
    tail = Tail(stored[start:], len(stored))
    assert tail.head.file_id.hex() == vector["file_id"]
    key = key_of(vector)
    again = render(tail.head, tail.table([key] if key else []), key)
    assert len(again) == len(stored) - start
    if key is None:
        assert again == stored[start:]


def test_a_stored_record_is_opened_by_each_of_its_keys_and_written_again() -> None:
    record = KeyRecord.parse(RECORD["stored"].encode())
    key_file, identity = parse_key(RECORD["key_file"]), parse_key(RECORD["identity"])
    assert isinstance(key_file, KeyFile)
    assert isinstance(identity, Identity)
    for own in (key_file, identity, Passphrase(RECORD["passphrase"])):
        assert [key.hex() for key in record.open([own])] == [RECORD["file_key"]]
    assert record.render().decode() == RECORD["stored"]
    recipient = parse_key(RECORD["recipient"])
    assert isinstance(recipient, Recipient)
    assert (identity.recipient, identity.recipient.text()) == (recipient, RECORD["recipient"])
