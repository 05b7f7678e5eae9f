"""What a manager makes of its arguments about coding, and how it keeps its key."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.uds3.coded import SEAL, WORDS
from tests.uds3.conftest import Make
from towpath import errors
from towpath.codec.keys import Identity
from towpath.uds3 import StreamingManager, coding


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encrypt_chunks": True}, "encrypt_chunks needs an encryption_key"),
        ({"encrypt_chunks": True, "encryption_key": ""}, "encrypt_chunks needs an encryption_key"),
        ({"encryption_key": Identity.new().text()}, "cannot be a recipient or an identity"),
        ({"encryption_key": Identity.new().recipient.text()}, "cannot be a recipient"),
        ({"compression_level": 0}, "compression_level cannot be 0"),
    ],
)
def test_a_key_that_is_of_no_use_is_refused_at_once(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(errors.SettingsError, match=said):
        StreamingManager(data=tmp_path, **given)


def test_a_key_is_nowhere_to_be_seen(local: Make, paper: Path, tmp_path: Path) -> None:
    manager = local(chunk_size_mb=1, cleanup_completed=False, **SEAL)
    manager.wait_for_operations([manager.upload_file(paper, "x.pdf")])
    written = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert WORDS.encode() not in written
    codec = coding.codec_of(compress=False, level=6, encrypt=True, key=WORDS)
    assert WORDS not in repr(codec) + repr(codec.keys)


def test_a_passphrase_is_stretched_once_for_each_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    stretched: list[bytes] = []
    scrypt = hashlib.scrypt

    def counting(words: bytes, **rest: Any) -> bytes:
        stretched.append(words)
        return scrypt(words, **rest)

    monkeypatch.setattr(hashlib, "scrypt", counting)
    (secret,) = coding.codec_of(compress=False, level=6, encrypt=True, key=WORDS).keys
    wrap = secret.wrap(bytes(32), bytes(16))
    assert [secret.unwrap(wrap, bytes(16)) for _ in range(3)] == [bytes(32)] * 3
    assert secret.unwrap(secret.wrap(bytes(32), bytes(16)), bytes(16)) == bytes(32)
    assert stretched == [WORDS.encode()] * 2
