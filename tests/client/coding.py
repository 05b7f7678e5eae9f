"""What tests of coded transfers share: keys, files, a client that takes small chunks."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.client.awaited import Either
from towpath import errors
from towpath.client import Client, coded
from towpath.client.peer import Peer, expect
from towpath.codec import SEALED
from towpath.codec.keys import Identity, KeyFile, Locks, Opens, Passphrase
from towpath.testing.server import Server

CHUNK = 64 * 1024
KEY, OTHER, ME = KeyFile.new(), KeyFile.new(), Identity.new()
WORDS = Passphrase("correct horse", work=12)
TEXT = b"the same words again and again, " * 10_000  # 5 chunks
MIXED = TEXT + Random(7).randbytes(300_000) + TEXT[:1]


WAYS: dict[str, tuple[str, tuple[Locks, ...], tuple[Opens, ...]]] = {
    "compressed": ("auto", (), ()),
    "for a key": ("no", (KEY,), (KEY,)),
    "for a passphrase": ("no", (WORDS,), (WORDS,)),
    "for a recipient": ("auto", (ME.recipient,), (OTHER, ME)),
    "for several": ("auto", (OTHER, KEY, WORDS, ME.recipient), (KEY,)),
}


def another(server: Server, state: Path, side: Either = Client) -> AbstractContextManager[Client]:
    return side(server.url, state_dir=state, chunk_size=CHUNK, timeout=10)


def fetch(peer: Peer, name: str) -> bytes:
    """The bytes as the server has them."""
    return expect(peer.ask("GET", peer.address(f"names/{name}"), coded.AS_STORED)).body


def store(peer: Peer, name: str, data: bytes, kind: str = SEALED) -> None:
    fields = {"Content-Type": kind}
    with peer.open("PUT", peer.address(f"names/{name}"), fields, length=len(data)) as exchange:
        exchange.send(memoryview(data))
        expect(exchange.reply())


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """Let `count` chunks through; what comes after that ends the transfer. Bytes that were sent."""
    real_send, turn = coded.send_chunk, threading.Lock()
    sent: list[int] = []

    def send(*args: Any, **rest: Any) -> Any:
        with turn:
            if len(sent) == count:
                raise errors.Forbidden("It ends here.")
            sent.append(len(args[3]))
        return real_send(*args, **rest)

    monkeypatch.setattr(coded, "send_chunk", send)
    return sent


def stopped(
    real: Server, state: Path, path: Path, name: str, count: int = 4, **rest: Any
) -> list[int]:
    """A run that ended after some chunks: the bytes that it sent."""
    with pytest.MonkeyPatch.context() as patch:
        sent = stop_after(patch, count)
        with another(real, state) as client, pytest.raises(errors.Forbidden):
            client.upload(path, name, **rest).result()
    return sent
