"""What listeners hear of uploads: who, how often, and what a slow one costs. Time stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.world import ANN, BOB, EVE, World, until
from towpath.core.caller import EVERYTHING, Caller, Scope
from towpath.core.model import Upload
from towpath.core.news import News, Pressure
from towpath.core.ranges import Extent
from towpath.engine.hub import ALIVE, BEAT, CROWD, Hub, of_label, of_owner, of_upload
from towpath.engine.listener import A_SECOND, SLOTS, Listener
from towpath.errors import LimitReached
from towpath.testing.clock import FakeClock
from towpath.testing.rows import upload
from towpath.web.events import Events

pytestmark = pytest.mark.anyio

CHIEF = Caller(tenant="t1", subject="chief", scopes=EVERYTHING | {Scope.ADMIN})
IDLE = (0, 100)


def row(key: str = "a", *, offset: int = 0, owner: Caller = ANN, label: str = "") -> Upload:
    return replace(
        upload(key, tenant=owner.tenant, owner=owner.subject), offset=offset, length=100, memo=label
    )


async def beat(
    hub: Hub, moving: Iterable[tuple[Upload, Extent, int]] = (), memory: tuple[int, int] = IDLE
) -> None:
    await hub.beat(moving, memory)


async def drain(listener: Listener) -> list[News]:
    """Everything that may go out now, each said in one message."""
    found: list[News] = []
    while True:
        coming = asyncio.ensure_future(listener.__anext__())
        for _ in range(4):
            await asyncio.sleep(0)
        if not coming.done():
            coming.cancel()
            return found
        item = coming.result()
        if isinstance(item, News):
            listener.sent(item.upload.id)
            found.append(item)


async def test_the_newest_takes_the_place_of_what_was_not_heard_yet() -> None:
    hub = Hub(FakeClock())
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    for offset in range(1, 51):
        hub.tell("progress", row(offset=offset))
        hub.tell("progress", row("b", offset=2 * offset))
        await beat(hub)
    assert listener.waiting == 2
    heard = await drain(listener)
    assert [(news.upload.id, news.upload.offset) for news in heard] == [("a", 50), ("b", 100)]


async def test_what_is_final_is_heard_whatever_is_told_after_it() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    hub.tell("completed", row(offset=100))
    hub.tell("progress", row(offset=60))
    await beat(hub)
    hub.tell("progress", row(offset=70))
    await beat(hub)
    (news,) = await drain(listener)
    assert (news.kind, news.upload.offset, news.is_final) == ("completed", 100, True)


async def test_at_most_four_messages_a_second_go_to_a_listener_and_two_at_least() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    at: list[float] = []
    for step in range(1000):  # ten seconds, told a hundred times each
        hub.tell("progress", row(offset=step % 100))
        if step % 45 == 0:
            await beat(hub)
        at += [clock.monotonic()] * len(await drain(listener))
        clock.advance(0.01)
    for begin in range(9):
        assert 2 <= sum(begin <= each < begin + 1 for each in at) <= A_SECOND


async def test_in_a_crowd_who_is_patient_hears_with_every_second_beat_and_nothing_is_lost() -> None:
    hub = Hub(FakeClock())
    crowd = [hub.open(ANN, patient=True) for _ in range(CROWD)]
    eager = hub.open(ANN)
    for each in (*crowd, eager):
        each.hear(of_upload("a"))
    coming = [asyncio.ensure_future(each.__anext__()) for each in (*crowd, eager)]
    await asyncio.sleep(0)
    hub.tell("progress", row(offset=1))
    await beat(hub)
    await asyncio.sleep(0)
    assert sum(each.done() for each in coming) == CROWD // 2 + 1
    assert coming[-1].done()
    await beat(hub)  # nothing new: who was passed over hears what waits
    await asyncio.sleep(0)
    assert all(each.done() for each in coming)
    assert {each.result().upload.offset for each in coming} == {1}  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "kind"), [(2 * CROWD, "completed"), (CROWD, "progress")])
async def test_nobody_waits_for_what_is_no_progress_nor_where_few_listen(
    count: int, kind: str
) -> None:
    hub = Hub(FakeClock())
    listeners = [hub.open(ANN, patient=True) for _ in range(count)]
    for each in listeners:
        each.hear(of_upload("a"))
    coming = [asyncio.ensure_future(each.__anext__()) for each in listeners]
    await asyncio.sleep(0)
    hub.tell(kind, row(offset=1))
    await beat(hub)
    await asyncio.sleep(0)
    assert all(each.done() for each in coming)


async def test_a_burst_beyond_four_waits_until_the_second_is_over() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    heard = []
    for offset in range(1, 7):
        hub.tell("progress", row(offset=offset))
        await beat(hub)
        heard += await drain(listener)
    assert [news.upload.offset for news in heard] == [1, 2, 3, 4]
    assert listener.room("a") == 0
    hub.tell("completed", row(offset=100))
    await beat(hub)
    assert await drain(listener) == []
    late = asyncio.ensure_future(listener.__anext__())
    await until(lambda: clock.asleep > 0)
    clock.advance(1.0)
    news = await late
    assert isinstance(news, News)
    assert (news.kind, listener.room("a")) == ("completed", A_SECOND)


async def test_a_listener_that_stands_still_costs_a_slot_for_each_upload_and_no_more() -> None:
    hub = Hub(FakeClock())
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    for _ in range(3):
        for number in range(SLOTS + 200):
            hub.tell("progress", row(f"u{number}", offset=1))
        await beat(hub)
    assert listener.waiting == SLOTS
    assert not listener.closed
    hub.tell("completed", row("one-too-many", offset=100))
    await beat(hub)
    assert listener.closed, "a final piece of news is never lost in silence"


async def test_slots_of_what_was_heard_are_free_for_others() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    for turn in range(3):
        for number in range(SLOTS):
            hub.tell("progress", row(f"u{turn}-{number}", offset=1))
        await beat(hub)
        assert len(await drain(listener)) == SLOTS
        clock.advance(1.1)


async def test_each_hears_only_what_its_caller_owns() -> None:
    hub = Hub(FakeClock(), label=lambda upload: upload.memo or None)
    who = {"ann": ANN, "bob": BOB, "eve": EVE, "chief": CHIEF}
    listeners = {name: hub.open(caller) for name, caller in who.items()}
    for name, caller in who.items():
        listeners[name].hear(of_owner(caller))
        listeners[name].hear(of_upload("a"))
        listeners[name].hear(of_label(caller, "browser"))
    hub.tell("progress", row("a", label="browser"))
    hub.tell("progress", row("e", owner=EVE, label="browser"))
    await beat(hub)
    heard = {
        name: [news.upload.id for news in await drain(each)] for name, each in listeners.items()
    }
    assert heard == {"ann": ["a"], "bob": [], "eve": ["e"], "chief": ["a"]}


async def test_a_topic_is_heard_until_it_is_ignored() -> None:
    hub = Hub(FakeClock(), label=lambda upload: upload.memo or None)
    listener = hub.open(ANN)
    listener.hear(of_label(ANN, "browser"))
    hub.tell("progress", row("a", label="browser"))
    hub.tell("progress", row("b", label="phone"))
    await beat(hub)
    assert [news.upload.id for news in await drain(listener)] == ["a"]
    listener.ignore(of_label(ANN, "browser"))
    listener.hear(of_upload("b"))
    hub.tell("progress", row("a", label="browser"))
    hub.tell("progress", row("b", label="phone"))
    await beat(hub)
    assert [news.upload.id for news in await drain(listener)] == ["b"]


async def test_bytes_of_a_long_chunk_are_heard_of_before_they_are_durable() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))
    heard = []
    for count in (10, 20, 20, 50):
        await beat(hub, [(row(), Extent(), count)])
        heard += await drain(listener)
        clock.advance(0.5)
    assert [news.received for news in heard] == [10, 20, 50], "what stands still is not told again"
    assert heard[-1].extent.total == 0
    assert 15 < heard[-1].rate < 50
    assert heard[-1].left == pytest.approx(50 / heard[-1].rate)


async def test_a_slow_chunk_is_told_of_while_the_engine_receives_it(here: World) -> None:
    key = await here.create(100)
    digest = {"sha-256": bytes(32)}
    writer = await here.stalled(key, 0, b"x" * 40, length=100, digests=digest).begun()
    ((upload, extent, received),) = here.engine.moving()
    assert (upload.id, extent.total, received) == (key, 0, 40)
    writer.source.stop()
    await writer.ended()
    assert list(here.engine.moving()) == []


async def test_bytes_that_are_compared_do_not_count_twice(here: World) -> None:
    key = await here.create(100)
    await here.write(key, 20, b"b" * 20, sequential=False)
    writer = await here.stalled(key, 0, b"a" * 20 + b"b" * 10, length=100, sequential=False).begun()
    ((_, _, received),) = here.engine.moving()
    assert received == 40
    writer.source.stop()
    await writer.ended()


async def test_news_come_from_any_thread_and_nothing_is_kept_while_nobody_listens() -> None:
    hub = Hub(FakeClock())
    hub.tell("created", row("nobody"))
    listener = hub.open(ANN)
    listener.hear(of_owner(ANN))

    def work(number: int) -> None:
        for offset in range(200):
            hub.tell("progress", row(f"u{number}", offset=offset))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await beat(hub)
        await asyncio.sleep(0)
    await beat(hub)
    heard = {news.upload.id: news.upload.offset for news in await drain(listener)}
    assert heard == {f"u{number}": 199 for number in range(4)}
    hub.forget(listener)
    hub.tell("created", row("nobody"))
    late = hub.open(ANN)
    late.hear(of_owner(ANN))
    await beat(hub)
    assert await drain(late) == []


async def test_the_hub_beats_more_than_twice_a_second_while_somebody_listens() -> None:
    clock, asked = FakeClock(), []
    hub = Hub(clock)

    def moving() -> Iterable[tuple[Upload, Extent, int]]:
        asked.append(clock.monotonic())
        return ()

    running = asyncio.ensure_future(hub.run(moving, lambda: IDLE))
    for _ in range(5):
        await asyncio.sleep(0)
    assert asked == []
    listener = hub.open(ANN)
    for beats in range(1, 5):
        await until(lambda: clock.asleep == 1)
        assert len(asked) == beats
        clock.advance(BEAT)
    hub.forget(listener)
    await until(lambda: clock.asleep == 0)
    running.cancel()
    assert BEAT < 0.5


async def test_the_line_is_told_to_be_alive_and_memory_to_be_short() -> None:
    clock = FakeClock()
    hub = Hub(clock)
    listener = hub.open(ANN)
    clock.advance(ALIVE)
    await beat(hub, memory=(90, 100))
    assert await listener.__anext__() is None
    await beat(hub, memory=(91, 100))
    assert await listener.__anext__() == Pressure(91, 100)
    await beat(hub, memory=(99, 100))
    assert await drain(listener) == []
    clock.advance(10)
    await beat(hub, memory=(99, 100))
    assert await listener.__anext__() == Pressure(99, 100)


async def test_so_many_may_listen_and_none_once_the_hub_is_closed() -> None:
    hub = Hub(FakeClock(), most=2)
    listeners = [hub.open(ANN), hub.open(BOB)]
    with pytest.raises(LimitReached):
        hub.open(EVE)
    hub.forget(listeners[0])
    hub.forget(hub.open(EVE))
    waiting = asyncio.ensure_future(listeners[1].__anext__())
    await asyncio.sleep(0)
    hub.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(LimitReached):
        hub.open(ANN)


async def test_a_text_is_made_once_for_all_who_listen() -> None:
    hub = Hub(FakeClock())
    made: list[News] = []

    def write(news: News) -> str:
        made.append(news)
        return "text"

    listeners = [hub.open(ANN) for _ in range(3)]
    for listener in listeners:
        listener.hear(of_owner(ANN))
    hub.tell("progress", row())
    await beat(hub)
    for listener in listeners:
        (news,) = await drain(listener)
        assert news.once("json", write) == "text"
    assert len(made) == 1


async def test_a_stream_of_server_sent_events_is_patient() -> None:
    class Full(Hub):
        def open(self, *given: Any, **named: Any) -> Listener:
            self.named = named
            raise LimitReached("Nobody else can listen now.")

    hub = Full(FakeClock())
    scope = {"path": "/events", "root_path": "", "method": "GET", "towpath.caller": ANN}
    with pytest.raises(LimitReached):
        await Events(None, hub, None)(scope, None, None)  # type: ignore[arg-type]
    assert hub.named == {"patient": True}
