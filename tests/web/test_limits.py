"""What a client may cost: stops, refusals, heads, slow senders, many of them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from tests.web.serving import PATIENCE, Client, Serving, wait_for
from towpath.core.ports import Ending
from towpath.web import asgi_source, socket_source
from towpath.web.asgi_source import AsgiSource
from towpath.web.limits import WireLimits
from towpath.web.pace import Pace
from towpath.web.socket_source import SocketSource
from towpath.web.wire import Wire

MIB = 1024 * 1024


# Stops


@pytest.mark.parametrize("way", ["direct", "asgi"])
def test_a_stop_wakes_whoever_waits(serve: Any, way: str) -> None:
    serving = serve(direct=way == "direct")
    with serving.connect() as client:
        client.head("/write", length=10 * MIB)
        client.send(b"x" * MIB)
        source = serving.source()
        wait_for(lambda: serving.written == MIB and not serving.working, "the reader to be dry")
        began = time.monotonic()
        source.stop()
        source.stop()
        result = serving.result()
        assert time.monotonic() - began < PATIENCE / 2  # without it, a minute
        assert (result.ending, result.body) == ("stopped", b"x" * MIB)
        answer = client.answer()
        assert answer.status == 400
        assert way == "asgi" or answer.headers["connection"] == "close"


@pytest.mark.parametrize("way", ["direct", "asgi"])
def test_a_stop_under_a_flood(serve: Any, way: str) -> None:
    serving = serve(direct=way == "direct")
    with serving.connect() as client:
        client.head("/write", length=10_000 * MIB)
        flood = Flood(client)
        source = serving.source()
        wait_for(lambda: flood.sent > 20 * MIB, "some bytes to be under way")
        source.stop()
        assert serving.result().ending == "stopped"
        assert client.answer().json()["ending"] == "stopped"
        flood.end()


@pytest.mark.parametrize("way", ["direct", "asgi"])
def test_a_stop_wakes_a_thread_within_a_read(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = socket_source if way == "direct" else asgi_source
    monkeypatch.setattr(module, "FIRST_BYTE_SECONDS", PATIENCE)

    async def never() -> Any:
        await asyncio.Event().wait()

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            source: Any
            if way == "direct":
                wire, pace = Wire(ours.fileno()), Pace(WireLimits())
                source = SocketSource(wire, length=5, early=b"", pace=pace, on_end=lambda: None)
            else:
                source = AsgiSource(never, length=5, limits=WireLimits())
                starting = asyncio.ensure_future(source.ready())
                await asyncio.sleep(0)
                starting.cancel()
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(None, source.read_into, memoryview(bytearray(5)))
            await asyncio.sleep(0.05)
            began = time.monotonic()
            source.stop()
            assert await reading == 0
            assert time.monotonic() - began < PATIENCE / 2
            assert source.ending is Ending.STOPPED
            if way == "direct":
                source.close()

    asyncio.run(main())


def test_a_graceful_shutdown_waits_for_a_body(serve: Any) -> None:
    serving = serve()
    with serving.connect() as idle, serving.connect() as client:
        idle.head("/")
        assert idle.answer().status == 200
        client.head("/write", length=1000)
        client.send(b"x")
        serving.source()
        serving.server.should_exit = True
        assert idle.ended()
        client.send(b"x" * 999)
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.ended()


class Flood:
    """Sends in a thread until the peer closes, or it is told to end."""

    def __init__(self, client: Client) -> None:
        self.client, self.sent, self.error = client, 0, ""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.over.is_set():
                self.sent += self.client.socket.send(b"x" * 65_536)
        except OSError as error:
            self.error = type(error).__name__

    def end(self) -> None:
        self.over.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


# Refusals


def test_a_refusal_can_be_read_by_a_client_that_sends_50_mib(serve: Any) -> None:
    serving = serve(linger_seconds=1)
    for fields in ([], ["Expect: 100-continue"]):
        with serving.connect() as client:
            client.head("/refuse", *fields, length=50 * MIB)
            left = 50 * MIB
            client.socket.setblocking(False)
            deadline = time.monotonic() + 0.3
            while left and time.monotonic() < deadline:  # it looks for the answer late
                try:
                    left -= client.socket.send(bytes(min(left, MIB)))
                except BlockingIOError:
                    time.sleep(0.01)
            client.socket.settimeout(PATIENCE)
            answer = client.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert left > 25 * MIB  # 8 MiB were swallowed, and the sockets hold some


def test_a_refused_chunked_body_is_not_read(serve: Any) -> None:
    serving = serve(linger_seconds=0.5)
    with serving.connect() as client:
        client.head("/refuse", "Transfer-Encoding: chunked", method="POST")
        client.send(b"10000\r\n" + b"x" * 65_536)
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert client.ended()


def test_a_small_refused_body_is_swallowed_and_the_connection_kept(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        for _ in range(3):
            client.head("/refuse", length=50_000)
            answer = client.answer()
            assert (answer.status, "connection" in answer.headers) == (413, False)
            client.send(b"x" * 50_000)
        client.head("/next")
        assert client.answer().json() == {"path": "/next"}


def test_a_swallowed_body_must_come_in_time(serve: Any) -> None:
    serving = serve(head_seconds=0.3)
    with serving.connect() as client:
        client.head("/refuse", length=50_000)
        assert client.answer().status == 413
        client.send(b"x")
        assert client.ended()


# Heads


def test_a_head_of_64_kib_is_accepted_and_one_of_100_kb_is_not(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/big", "X-Big: " + "x" * 65_000)
        assert client.answer().status == 200
        client.head("/big", *(f"X-{number}: {'x' * 90}" for number in range(600)))
        assert client.answer().status == 200
        client.head("/bigger", "X-Big: " + "x" * 66_000)
        assert_problem(client.answer(), 431)
        assert client.ended()
    with serving.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nX-Big: " + b"x" * 100_000)  # and never its end
        assert_problem(client.answer(), 431)
        assert client.ended()


def test_a_request_line_is_bounded(serve: Any) -> None:
    serving = serve()
    for head in (b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 17_000):
        with serving.connect() as client:
            client.send(head)
            assert_problem(client.answer(), 414)
            assert client.ended()


def test_a_large_head_behind_a_request_is_refused_after_its_answer(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/hold", length=1)
        client.send(b"x")
        client.head("/first")
        client.send(b"GET /second HTTP/1.1\r\nX-Big: " + b"x" * 200_000)
        serving.source()
        serving.go.set()
        assert client.answer().json()["count"] == 1
        assert client.answer().json() == {"path": "/first"}
        assert_problem(client.answer(), 431)


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_a_head_must_come_in_time(serve: Any, begun: bytes) -> None:
    serving = serve(head_seconds=0.5)
    began = time.monotonic()
    with serving.connect() as client:
        client.send(begun)
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    client.send(b"x")
                except OSError:
                    return

        if len(begun) > 1:
            thread = threading.Thread(target=drip)
            thread.start()
        try:
            assert_problem(client.answer(), 408)
            assert 0.49 < time.monotonic() - began < PATIENCE / 2
        finally:
            stop.set()
    with serving.connect() as client:
        client.head("/")
        assert client.answer().status == 200


@pytest.mark.parametrize("said", [b"", b"\r\n\r\n"])
def test_a_connection_that_asks_nothing_is_closed(serve: Any, said: bytes) -> None:
    serving = serve(head_seconds=0.3)
    with serving.connect() as client:
        client.send(said)
        assert client.ended()


def test_nonsense_is_400(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.send(b"\x16\x03\x01 what is this\r\n\r\n")
        assert_problem(client.answer(), 400)
        assert client.ended()


def test_nonsense_within_a_chunked_body_is_400_and_a_cut(serve: Any) -> None:
    serving = serve()
    with serving.connect() as client:
        client.head("/write", "Transfer-Encoding: chunked", method="POST")
        client.send(b"5\r\nhello\r\nnonsense\r\n")
        assert_problem(client.answer(), 400)
        result = serving.result()
    assert (result.ending, result.body) == ("cut", b"hello")


def assert_problem(answer: Any, status: int) -> None:
    """It is an RFC 9457 problem, and says that the connection ends."""
    assert (answer.status, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"


# Slow senders


@pytest.mark.parametrize("direct", [True, False])
def test_a_silent_sender_is_cut_off(serve: Any, direct: bool) -> None:
    serving = serve(direct=direct, body_idle_seconds=0.4)
    with serving.connect() as client:
        client.head("/write", length=1000)
        client.send(b"x" * 100)
        result = serving.result()
        assert (result.ending, len(result.body)) == ("slow", 100)
        assert client.answer().json()["ending"] == "slow"


@pytest.mark.parametrize("direct", [True, False])
def test_a_sender_below_the_slowest_rate_is_cut_off(serve: Any, direct: bool) -> None:
    serving = serve(direct=direct, slowest_bytes_per_second=1000, slowest_seconds=0.5)
    with serving.connect() as client:
        client.head("/write", length=100_000)
        began = time.monotonic()
        while serving.results.empty():
            client.send(b"x")
            time.sleep(0.02)
            assert time.monotonic() - began < PATIENCE
        assert serving.result().ending == "slow"


def test_200_slow_bodies_hold_no_thread(serve: Any) -> None:
    serving: Serving = serve()
    before = threading.active_count()
    clients = [serving.connect() for _ in range(200)]
    for client in clients:
        client.head("/write", length=1000)
        client.send(b"x" * 500)
    for _ in clients:
        serving.source()
    wait_for(lambda: serving.working == 0, "no thread in a read")
    assert threading.active_count() <= before + 4
    body = b"y" * 30 * MIB
    with serving.connect() as fast:
        fast.head("/write", length=len(body))
        fast.send(body)
        assert fast.answer().json()["count"] == len(body)
    assert serving.result().body == body
    for client in clients:
        client.send(b"x" * 500)
    for client in clients:
        assert client.answer().json()["count"] == 1000
        client.__exit__()
