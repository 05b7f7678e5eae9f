"""Digests of a chunk: announced before, behind, or behind if the sender likes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from towpath.engine.proof import Proof
from towpath.errors import DigestMismatch

RIGHT = hashlib.sha256(b"bytes").digest()


def held(announced: dict[str, bytes], behind: Mapping[str, bytes] | None) -> None:
    said = None if behind is None else lambda _: behind
    proof = Proof(announced, [] if behind is None else ["sha-256"], said)
    proof.feed(memoryview(b"bytes"))
    proof.hold({})


def test_a_right_digest_holds_wherever_it_stands() -> None:
    held({"sha-256": RIGHT}, None)
    held({}, {"sha-256": RIGHT})


def test_a_digest_that_need_not_come_behind_may_be_left_out() -> None:
    held({}, {"sha-256": b""})


@pytest.mark.parametrize("behind", [{}, {"sha-256": bytes(32)}])
def test_a_digest_that_is_wrong_or_does_not_come_is_a_mismatch(
    behind: dict[str, bytes],
) -> None:
    with pytest.raises(DigestMismatch):
        held({}, behind)
