"""Requests that came while the server was busy are taken in the order in which they came."""

from __future__ import annotations

import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.process import Process, process
from tests.web.talk import CHUNK, TUS, Line, Tus

ROUNDS = 15
LENGTH = 5_000_000
_RESET = struct.pack("ii", 1, 0)


@pytest.fixture(params=["direct", "plain"])  # Granian hands requests over in no order
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    """A process of each kind of server that keeps the order."""
    with process(request.param, tmp_path, durability="relaxed") as made:
        yield made


def leave(line: Line, *, reset: bool) -> None:
    """End the connection in the middle of its chunk."""
    if reset:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    line.close()


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("arrived", [1000, 300_000])
def test_an_offset_told_after_a_chunk_was_cut_off_stays(
    running: Process, reset: bool, arrived: int
) -> None:
    """The chunk stands before the HEAD; that it is read late must not move what HEAD has told."""
    tus = Tus(running.served)
    for number in range(ROUNDS):
        path = tus.new(LENGTH)
        cut = Line(running.served)
        if number % 2:  # on a connection that the server knows, and on one that it does not
            cut.ask("OPTIONS", "/files/", TUS)
        running.send(signal.SIGSTOP)
        cut.send_head("PATCH", path, {**CHUNK, "Upload-Offset": 0, "Content-Length": LENGTH})
        cut.send(bytes(arrived))
        leave(cut, reset=reset)
        asking = Line(running.served)
        asking.send_head("HEAD", path, TUS)
        running.send(signal.SIGCONT)
        offset = asking.answer(bodiless=True).number("upload-offset")
        asking.close()
        answer = tus.patch(path, offset, b"next")
        assert answer.status == 204, (number, answer.document)
        assert answer.number("upload-offset") == offset + 4
