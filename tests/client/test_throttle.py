"""Bounds on how fast bytes move: waiting, changing, stopping, and what reaches the socket."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.client.coding import KEY
from tests.client.conftest import Carry, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import AsyncClient, Client
from towpath.client import throttle as throttles
from towpath.client.control import Control, Stop, Stopped
from towpath.client.throttle import Pace, Throttle
from towpath.core.bucket import Flow, grain
from towpath.testing.server import Server

MB = 1_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def nobody() -> None:
    """No wish to stop."""


class Hands:
    """A clock that moves by what is waited for. `during`: what happens in a wait."""

    def __init__(self, start: datetime = datetime(2026, 5, 4, 12, tzinfo=UTC)) -> None:
        self.start = start
        self.elapsed = 0.0
        self.during: Callable[[], None] = nobody

    def monotonic(self) -> float:
        return self.elapsed

    def local(self) -> datetime:
        moment = self.start + timedelta(seconds=self.elapsed)
        return moment.astimezone(BERLIN)

    def wait(self, called: threading.Condition, seconds: float) -> None:
        assert 0 <= seconds <= 0.2
        self.elapsed += max(seconds, 1e-6)
        called.release()  # as a wait does: others may come in
        try:
            self.during()
        finally:
            called.acquire()


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock of every throttle that is made without one: those of clients, too."""
    hands = Hands()
    monkeypatch.setattr(throttles, "SystemClock", lambda: hands)
    return hands


def taken_in(take: Callable[[], int], hands: Hands, seconds: float) -> int:
    """Take as much as there is for a while; return how many bytes it was."""
    end, total = hands.elapsed + seconds, 0
    while hands.elapsed < end:
        total += take()
    return total


def test_a_throttle_lets_its_rate_through() -> None:
    hands = Hands()
    throttle, flow = Throttle(20 * MB, clock=hands), Flow()
    total = taken_in(lambda: throttle.take(flow, MB, nobody), hands, 10)
    assert total == pytest.approx(200 * MB, rel=0.01)


def test_a_transfer_is_bounded_by_its_own_limit_and_by_that_of_its_client() -> None:
    hands = Hands()
    shared = Throttle(10 * MB, clock=hands)
    pace = Pace(shared)
    for own, expected in ((None, 10), ("2MB", 2), (50 * MB, 10)):
        pace.set_limit(own)
        total = taken_in(lambda: pace.take(MB, nobody), hands, 10)
        assert total == pytest.approx(expected * 10 * MB, rel=0.06), own


def test_a_new_limit_reaches_one_who_waits_already() -> None:
    hands = Hands()
    throttle, flow = Throttle(1_000, clock=hands), Flow()
    throttle.take(flow, MB, nobody)
    hands.during = lambda: throttle.set_limit("100M")
    throttle.take(flow, MB, nobody)
    assert hands.elapsed <= 1.0
    hands.during = nobody
    total = taken_in(lambda: throttle.take(flow, MB, nobody), hands, 1)
    assert total == pytest.approx(100 * 2**20, rel=0.05)


def test_a_limit_that_is_lifted_lets_everybody_go() -> None:
    throttle = Throttle(1_000)
    done = [threading.Event() for _ in range(4)]

    def work(event: threading.Event) -> None:
        flow = Flow()
        for _ in range(50):
            throttle.take(flow, 1_000, nobody)
        event.set()

    threads = [threading.Thread(target=work, args=(event,), daemon=True) for event in done]
    for thread in threads:
        thread.start()
    throttle.set_limit(None)
    for thread in threads:
        thread.join(10)  # at 1,000 bytes a second it would be 200
    assert all(event.is_set() for event in done)


def test_threads_share_a_limit_by_transfer() -> None:
    at_work, lock, counts = 5, threading.Lock(), [0, 0]

    class Patient(Hands):
        """Time moves while everybody waits, so that no turn is missed by who is not there yet."""

        def wait(self, called: threading.Condition, seconds: float) -> None:
            if sum(not ticket.granted for ticket in throttle._waiting) < at_work:
                called.wait(0.001)
            else:
                super().wait(called, min(seconds, 0.002))

    hands = Patient()
    throttle = Throttle(40 * MB, clock=hands)

    def work(number: int, flow: Flow) -> None:
        nonlocal at_work
        while hands.elapsed < 0.75:
            got = throttle.take(flow, MB, nobody)
            with lock:
                counts[number] += got
        with lock:
            at_work -= 1

    many, one = Flow(), Flow()
    threads = [threading.Thread(target=work, args=(0, many)) for _ in range(4)]
    threads.append(threading.Thread(target=work, args=(1, one)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(counts) == pytest.approx(30 * MB, rel=0.1)
    assert counts[0] < 1.2 * counts[1]  # four to one if each thread counted for itself


def test_who_is_asked_to_stop_waits_no_longer_and_takes_nothing() -> None:
    hands = Hands()
    throttle, flow = Throttle(1_000, clock=hands), Flow()
    throttle.take(flow, 1_000, nobody)
    control = Control()
    hands.during = lambda: control.stop(Stop.PAUSE)
    with pytest.raises(Stopped):
        throttle.take(flow, 1_000, control.check)
    hands.during = nobody
    total = taken_in(lambda: throttle.take(flow, 1_000, nobody), hands, 10)
    assert total == pytest.approx(10_000, abs=2_000)


def test_what_a_client_does_not_grant_goes_back_to_the_transfer() -> None:
    hands = Hands()
    shared = Throttle(1_000, clock=hands)
    pace = Pace(shared)
    pace.set_limit(5 * MB)
    pace.take(1_000, nobody)
    control = Control()
    hands.during = lambda: control.stop(Stop.PAUSE)
    with pytest.raises(Stopped):
        pace.take(1_000, control.check)
    hands.during = nobody
    shared.set_limit(None)
    total = taken_in(lambda: pace.take(MB, nobody), hands, 1)
    assert total == pytest.approx(5 * MB, rel=0.2)


def test_a_timetable_is_followed_by_the_wall_clock_over_midnight() -> None:
    hands = Hands(datetime(2026, 5, 4, 21, 59, 50, tzinfo=UTC))  # 23:59:50 in Berlin
    throttle, flow = Throttle("00:00,1MB 12:00,10MB", clock=hands), Flow()
    take = lambda: throttle.take(flow, MB, nobody)  # noqa: E731 - said twice
    assert taken_in(take, hands, 9) == pytest.approx(90 * MB, rel=0.02)
    taken_in(take, hands, 2)
    assert taken_in(take, hands, 10) == pytest.approx(10 * MB, rel=0.05)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 3, 29, 0, 59, 58, tzinfo=UTC), 1),  # 1:59:58, then 3:00
        (datetime(2026, 10, 25, 0, 59, 58, tzinfo=UTC), 8),  # 2:59:58, then 2:00 again
    ],
    ids=["spring", "autumn"],
)
def test_a_timetable_follows_the_clock_that_is_put_forward_or_back(
    moment: datetime, expected: int
) -> None:
    hands = Hands(moment)
    throttle, flow = Throttle("02:30,1MB 04:00,8MB", clock=hands), Flow()
    take = lambda: throttle.take(flow, MB, nobody)  # noqa: E731 - said twice
    taken_in(take, hands, 3)
    assert taken_in(take, hands, 10) == pytest.approx(expected * 10 * MB, rel=0.05)


def test_a_timetable_that_begins_to_bound_finds_those_who_were_free() -> None:
    hands = Hands(datetime(2026, 5, 4, 5, 59, 59, tzinfo=UTC))  # 7:59:59 in Berlin
    throttle, flow = Throttle("08:00,1MB 20:00,off", clock=hands), Flow()
    rates = [throttle.rate]
    assert throttle.take(flow, 10 * MB, nobody) == 10 * MB
    hands.elapsed += 2
    rates.append(throttle.rate)
    assert rates == [None, MB]
    assert throttle.take(flow, 10 * MB, nobody) == grain(MB)


@pytest.mark.parametrize("limit", ["fast", 0, -1, "25:00,1M"])
def test_a_limit_that_cannot_be_read_is_a_wrong_setting(limit: Any) -> None:
    with pytest.raises(errors.SettingsError, match="cannot be used"):
        Throttle(limit)
    with pytest.raises(errors.SettingsError, match="cannot be used"):
        Client("http://127.0.0.1:1", limit=limit)


def test_uploads_and_downloads_go_no_faster_than_the_limit(
    carry: Carry, server: FakeServer, tmp_path: Path, hands: Hands
) -> None:
    data = sample(3 * MB // 2)
    path = tmp_path / "file"
    path.write_bytes(data)
    carry("upload", path, client={"limit": 3 * MB})
    up = hands.elapsed
    carry("download", "file", tmp_path / "copy", client={"limit": "3MB"})
    down = hands.elapsed - up
    assert (tmp_path / "copy").read_bytes() == data
    # Half a second, but for what may be saved up and the last turn.
    assert 0.4 < up <= 0.5
    assert 0.4 < down <= 0.5


def test_the_environment_bounds_who_says_nothing(
    carry: Carry, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hands: Hands
) -> None:
    path = tmp_path / "file"
    path.write_bytes(sample(MB))
    monkeypatch.setenv("TOWPATH_LIMIT", "2MB")
    carry("upload", path, "bounded")
    bounded = hands.elapsed
    assert 0.4 < bounded <= 0.5
    monkeypatch.setenv("TOWPATH_LIMIT", "10000")  # bytes: 100 seconds for this file
    carry("upload", path, "free", client={"limit": "off"})
    assert hands.elapsed == bounded
    monkeypatch.setenv("TOWPATH_LIMIT", "much")
    with pytest.raises(errors.SettingsError, match="'much' cannot be used"):
        Client(server.url)


def test_tries_that_are_cut_do_not_shrink_the_rate(
    carry: Carry, server: FakeServer, tmp_path: Path, hands: Hands
) -> None:
    path = tmp_path / "file"
    path.write_bytes(sample(6 * MB))
    for _ in range(10):
        server.fail("PATCH", "cut", at=300_000)
    result = carry("upload", path, client={"limit": 6 * MB, "retries": 20})
    rate = result.sent_bytes / hands.elapsed
    assert rate <= 6 * MB * 1.3
    assert hands.elapsed < 5  # were it halved by each cut, it would be minutes


@pytest.mark.anyio
async def test_a_limit_can_be_set_while_a_transfer_runs(
    server: FakeServer, tmp_path: Path, state: Path, hands: Hands
) -> None:
    path, lifted = tmp_path / "file", threading.Event()
    path.write_bytes(sample(2 * MB))

    def stand_still() -> None:
        assert lifted.wait(20)

    hands.during = stand_still
    async with AsyncClient(server.url, state_dir=state, limit=50_000) as client:
        transfer = client.upload(path)
        async for progress in transfer:
            if progress.state == "running":
                client.set_limit(None)
                lifted.set()
        await transfer
        began = hands.elapsed
        assert began <= 0.2  # of one wait; else it is 40 seconds
        second = client.upload(path, "second")
        second.set_limit("4MB")
        await second
        assert 0.3 < hands.elapsed - began <= 0.5


def test_two_clients_may_share_one_throttle(
    server: FakeServer, tmp_path: Path, state: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(sample(MB))
    throttle = Throttle(4 * MB)
    began = time.monotonic()
    with (
        Client(server.url, state_dir=state, limit=throttle) as one,
        Client(server.url, state_dir=state, limit=throttle) as two,
    ):
        transfers = [one.upload(path, "one"), two.upload(path, "two")]
        for transfer in transfers:
            transfer.result()
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize(
    "how",
    [{"compress": "auto", "encrypt": [KEY]}, {"delta": True}],
    ids=["coded", "delta"],
)
def test_the_limit_of_one_transfer_holds_for_what_is_coded_or_changed_while_it_runs(
    real: Server, state: Path, tmp_path: Path, how: dict[str, Any]
) -> None:
    hands, may_go = Hands(), threading.Event()

    def stand_still() -> None:
        assert may_go.wait(20)

    hands.during = stand_still
    throttle = Throttle(MB, clock=hands)
    path = tmp_path / "file"
    path.write_bytes(sample(3 * MB))
    with Client(real.url, state_dir=state, limit=throttle) as client:
        transfer = client.upload(path, f"paced/{tmp_path.name}", **how)
        transfer.set_limit(MB // 10)  # 30 seconds for this file
        throttle.set_limit(None)
        began = hands.elapsed

        def lift_in_time() -> None:
            if hands.elapsed - began > 5:
                transfer.set_limit(None)

        hands.during = lift_in_time
        may_go.set()
        assert transfer.result(20).verified
    assert 5 <= hands.elapsed - began < 7
