"""Several files at once, by several connections each, within one budget of memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path
from random import Random

import pytest

from towpath.client import Client
from towpath.client.blocks import Blocks
from towpath.client.elsewhere import SAMPLE
from towpath.client.memory import Memory
from towpath.testing.server import Server

MIB = 1024 * 1024


class Lent:
    """Memory of a client as it is used: how much at once, and whether by who had not asked."""

    def __init__(self, memory: Memory, patch: pytest.MonkeyPatch) -> None:
        self.most, self.unasked = 0, 0
        self._held: list[memoryview] = []
        self._turn = threading.Lock()
        self._block, self._read = memory.block, Blocks.read
        patch.setattr(memory, "block", self.block)
        patch.setattr(Blocks, "read", partialmethod(_read, self))

    @contextlib.contextmanager
    def block(self, check: Callable[[], None]) -> Iterator[memoryview]:
        with self._block(check) as view:
            with self._turn:
                self._held.append(view)
                self.most = max(self.most, sum(map(len, self._held)))
            try:
                yield view
            finally:
                with self._turn:
                    self._held = [each for each in self._held if each.obj is not view.obj]

    def look(self, blocks: Blocks, offset: int, count: int) -> memoryview:
        view = self._read(blocks, offset, count)
        with self._turn:
            asked = any(each.obj is view.obj for each in self._held)
            self.unasked += not asked and count > SAMPLE  # a fingerprint asks for nothing
        return view


def _read(blocks: Blocks, lent: Lent, offset: int, count: int) -> memoryview:
    return lent.look(blocks, offset, count)


@pytest.mark.parametrize("budget", [MIB, 3 * MIB])
def test_many_files_share_the_memory(tmp_path: Path, budget: int) -> None:
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(Random(number).randbytes(17 * MIB))
    with (
        pytest.MonkeyPatch.context() as patch,
        Server(tmp_path / "data") as server,
        Client(server.url, state_dir=tmp_path / "state", connections=4, memory=budget) as client,
    ):
        lent = Lent(client._client._memory, patch)
        transfers = [client.upload(path, "together/") for path in paths]
        assert all(transfer.result().verified for transfer in transfers)
    assert lent.most == budget
    assert lent.unasked == 0
