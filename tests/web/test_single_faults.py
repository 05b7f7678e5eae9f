"""/v1/uploads on a store that fails: whichever call it is, no byte and no row stays behind."""

from __future__ import annotations

import asyncio
import random
from typing import cast

import pytest

from tests.web.forming import FORM, form
from towpath.core.caller import ANONYMOUS
from towpath.core.crc import crc
from towpath.core.limits import Limits
from towpath.core.model import Object, Upload
from towpath.core.ports import Source
from towpath.engine.engine import Engine
from towpath.errors import StoreError
from towpath.ledger.base import Query
from towpath.ledger.memory import MemoryLedger
from towpath.protocol.message import Head
from towpath.store.memory import MemoryStore
from towpath.testing.clock import FakeClock
from towpath.testing.faults import Fault, FaultyStore, Kind
from towpath.testing.source import FakeSource
from towpath.web.single import Single

CONTENT = random.Random(3).randbytes(200_000)
CALLS = ("create", "write", "settle", "read", "seal")


async def attempt(fault: Fault, way: str) -> bool:
    """Upload once; True if the fault was met. Then nothing may be left."""
    clock = FakeClock()
    inner, ledger = MemoryStore(clock=clock), MemoryLedger()
    store = FaultyStore(inner, [fault])
    engine = Engine(
        store=store,
        ledger=ledger,
        clock=clock,
        limits=Limits(settle_bytes=64 * 1024, workers=2),
        holder="test",
    )
    body = CONTENT if way == "raw" else form([("file", CONTENT, "x")])
    fields = {"content-length": str(len(body)), "content-type": FORM if way == "form" else "a/b"}
    source = cast("Source", FakeSource([body]))
    head = Head(method="POST", path="", fields=fields)
    try:
        reply = await Single(engine, files="/files").answer(ANONYMOUS, head, lambda: source)
        assert reply.status == 201
        (made,) = await engine.do(ledger.list, Object, Query())
        assert made.crc == crc(CONTENT)
    except StoreError:
        assert await engine.do(ledger.list, Upload, Query()) == []
        assert await engine.do(ledger.list, Object, Query()) == []
        assert await engine.do(inner.list) == []
    finally:
        await engine.close()
    return bool(store.fired)


@pytest.mark.parametrize("way", ["raw", "form"])
@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.FULL])
def test_a_store_that_fails_at_any_call_keeps_nothing(kind: Kind, method: str, way: str) -> None:
    async def every() -> int:
        call = 1
        while await attempt(Fault(kind=kind, call=call, method=method), way):
            call += 1
        return call

    assert asyncio.run(every()) > 1
