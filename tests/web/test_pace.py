"""How a slow sender is judged and waited for."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.web.serving import PATIENCE
from towpath.core.ports import Ending
from towpath.web.limits import WireLimits
from towpath.web.pace import LONGEST_PAUSE, Pace
from towpath.web.socket_source import SocketSource
from towpath.web.wire import Wire

MIB = 1024 * 1024


def test_a_sender_is_not_blamed_for_our_own_slowness() -> None:
    pace = Pace(WireLimits(slowest_bytes_per_second=1000, slowest_seconds=10))
    for _ in range(100):
        pace.came(100)  # whatever time passes between reads is ours
        assert not pace.too_slow()
    pace.waited(9.9)
    assert not pace.too_slow()
    pace.waited(0.2)  # 10,000 bytes in 10.1 seconds of waiting
    assert pace.too_slow()
    assert not pace.too_slow()  # the window is judged once
    assert pace.silence_left == pytest.approx(60 - 10.1)
    pace.came(1)
    assert pace.silence_left == 60


def test_pauses_grow_for_a_trickle_and_vanish_for_a_flood() -> None:
    pace = Pace(WireLimits())
    assert (pace.pause(), pace.flood) == (0, False)
    pauses = []
    for _ in range(10):
        pace.came(100)
        pauses.append(pace.pause())
    assert pauses[0] > 0
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    for _ in range(10):
        pace.came(MIB)
        assert pace.flood
        pauses.append(pace.pause())
    assert pauses[-1] == 0
    assert Pace(WireLimits(body_idle_seconds=0)).silence_left is None


def test_each_ending_is_told() -> None:
    """A stop after the end changes nothing; nothing is lost by asking late."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        over = asyncio.Event()
        with ours, theirs:
            theirs.setblocking(False)
            theirs.sendall(b"lo and more")
            source = SocketSource(
                Wire(ours.fileno()),
                length=5,
                early=b"hel",
                pace=Pace(WireLimits()),
                on_end=over.set,
            )
            await source.ready()
            view = memoryview(bytearray(2))
            assert (source.read_into(view), bytes(view), source.ending) == (2, b"he", None)
            view = memoryview(bytearray(100))
            assert (source.read_into(view), bytes(view[:3])) == (3, b"llo")
            assert (source.ending, source.left) == (Ending.WHOLE, 0)
            source.stop()
            assert (source.ending, source.read_into(view)) == (Ending.WHOLE, 0)
            await asyncio.wait_for(over.wait(), PATIENCE)
            await source.ready()
            source.close()
            ours.setblocking(False)
            assert ours.recv(100) == b" and more"

    asyncio.run(main())
