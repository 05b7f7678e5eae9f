"""The wire does what its plan says, at the very byte, and counts right."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Iterator

import pytest

from towpath.testing.plan import QUEUED, Fault, Lane, Plan, seeded
from towpath.testing.way import BLOCK
from towpath.testing.wire import Wire, threaded

SOON = 10.0  # seconds within which what must happen has happened


class Echo:
    """A server that echoes, or only listens, and keeps what it got and how it ended."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.received = bytearray()
        self.ending = ""
        self.done = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        """Serve one connection after the other."""
        with contextlib.suppress(OSError):  # the listener was closed: the test is over
            while True:
                sock, _ = self.listener.accept()
                self.one(sock)

    def one(self, sock: socket.socket) -> None:
        """Serve one connection to its end."""
        with sock:
            sock.settimeout(SOON)
            try:
                while block := sock.recv(65536):
                    self.received += block
                    if self.answers:
                        sock.sendall(block)
                self.ending = "fin"
            except TimeoutError:
                self.ending = "nothing came"
            except OSError:
                self.ending = "rst"
        self.done.set()


@contextlib.contextmanager
def echoing(*, answers: bool = True) -> Iterator[Echo]:
    """Run an echo server."""
    echo = Echo(answers=answers)
    echo.thread.start()
    try:
        yield echo
    finally:
        echo.listener.shutdown(socket.SHUT_RDWR)
        echo.listener.close()
        echo.thread.join(SOON)


def dial(wire: Wire) -> socket.socket:
    """Connect through the wire."""
    return socket.create_connection(wire.address, timeout=SOON)


def read_all(sock: socket.socket) -> tuple[bytes, str]:
    """What comes until the end, and how it ended."""
    got = bytearray()
    try:
        while block := sock.recv(65536):
            got += block
    except ConnectionResetError:
        return bytes(got), "rst"
    return bytes(got), "fin"


def send_all(sock: socket.socket, data: bytes) -> None:
    """Send and say that it was all."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def lane_up(lane: Lane) -> Plan:
    """A plan for bytes that go up."""
    return Plan(up=lane)


class FakeClock:
    """Time that passes when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """Seconds slept so far."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now += seconds
        await asyncio.sleep(0)


def test_bytes_pass_unchanged_both_ways_and_are_counted() -> None:
    data = bytes(range(256)) * 4096
    with echoing() as echo, threaded(Wire("127.0.0.1", echo.port)) as wire, dial(wire) as sock:
        sender = threading.Thread(target=send_all, args=(sock, data))
        sender.start()
        assert read_all(sock) == (data, "fin")
        sender.join()
        wire.when(lambda: not wire.live).result(SOON)
    assert (wire.up, wire.down, wire.opened) == (len(data), len(data), 1)
    assert [event.what for event in wire.events] == ["opened", "up: fin", "down: fin", "ended"]
    assert (wire.events[-1].up, wire.events[-1].down) == (len(data), len(data))


def test_a_wire_works_within_a_loop_of_the_test() -> None:
    async def main(port: int) -> bytes:
        async with Wire("127.0.0.1", port) as wire:
            reader, writer = await asyncio.open_connection(*wire.address)
            writer.write(b"hello")
            got = await reader.readexactly(5)
            writer.close()
            await asyncio.wait_for(asyncio.wrap_future(wire.when(lambda: not wire.live)), SOON)
        return got

    with echoing() as echo:
        assert asyncio.run(main(echo.port)) == b"hello"


@pytest.mark.parametrize("steps", range(6))
def test_who_connects_while_the_wire_ends_is_hung_up_on(steps: int) -> None:
    async def main(port: int) -> socket.socket:
        async with Wire("127.0.0.1", port) as wire:
            await asyncio.sleep(0)  # it listens
            sock = dial(wire)
            for _ in range(steps):  # of the loop, while which it is accepted
                await asyncio.sleep(0)
        return sock

    with echoing() as echo, asyncio.run(main(echo.port)) as sock:
        gc.collect()  # a socket that the wire lost is told of here
        assert read_all(sock)[0] == b""


def test_an_error_of_the_body_leaves_the_wire_as_it_is() -> None:
    async def main(port: int) -> None:
        async with Wire("127.0.0.1", port):
            raise ZeroDivisionError

    with echoing() as echo, pytest.raises(ZeroDivisionError):
        asyncio.run(main(echo.port))


@pytest.mark.parametrize("at", [0, 1, 1000, 65537, 300_001])
def test_a_cut_lets_exactly_n_bytes_pass_and_ends_with_fin(at: int) -> None:
    plan = lane_up(Lane(fault=Fault.CUT, at=at))
    with (
        echoing(answers=False) as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire,
    ):
        with dial(wire) as sock, contextlib.suppress(OSError):
            sock.sendall(bytes(400_000))
        assert echo.done.wait(SOON)
    assert (len(echo.received), echo.ending) == (at, "fin")
    assert wire.events[-1].what == f"up: cut at byte {at}"


def test_a_reset_reaches_both_sides_as_rst() -> None:
    plan = lane_up(Lane(fault=Fault.RESET, at=1000))
    with (
        echoing(answers=False) as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire,
    ):
        with dial(wire) as sock:
            sock.sendall(bytes(2000))
            assert read_all(sock) == (b"", "rst")
        assert echo.done.wait(SOON)
    assert echo.ending == "rst"
    assert wire.up == 1000


def test_a_cut_on_the_way_down_gives_the_client_n_bytes() -> None:
    plan = Plan(down=Lane(fault=Fault.CUT, at=700))
    with (
        echoing() as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire,
        dial(wire) as sock,
    ):
        sock.sendall(bytes(1000))
        assert read_all(sock) == (bytes(700), "fin")


def test_a_half_close_ends_one_direction_and_the_other_lives_on() -> None:
    plan = lane_up(Lane(fault=Fault.HALF_CLOSE, at=3))
    with echoing(answers=False) as echo:
        echo.one = lambda sock: answer_after_fin(sock, echo)  # type: ignore[method-assign]
        with threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire:
            with dial(wire) as sock:
                sock.sendall(b"abcdef")
                assert sock.recv(10) == b"got abc"
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == (b"", "fin")
            wire.when(lambda: not wire.live).result(SOON)
    assert wire.up == 3


def answer_after_fin(sock: socket.socket, echo: Echo) -> None:
    """Read to the end, then say what it was."""
    with sock:
        got, ending = read_all(sock)
        echo.ending = ending
        sock.sendall(b"got " + got)


def test_a_stall_passes_n_bytes_then_nothing_until_it_is_released() -> None:
    plan = lane_up(Lane(fault=Fault.STALL, at=5))
    with (
        echoing() as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire,
        dial(wire) as sock,
    ):
        sock.sendall(b"0123456789")
        wire.when(lambda: wire.events[-1].what == "up: stall at byte 5").result(SOON)
        assert sock.recv(100) == b"01234"
        assert wire.up == 5
        wire.release()
        assert sock.recv(100) == b"56789"


def test_a_stalled_wire_holds_no_more_than_its_bound() -> None:
    plan = lane_up(Lane(fault=Fault.STALL, at=0))
    size = 64 * 1024
    with (
        echoing() as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan, socket_bytes=size)) as wire,
        dial(wire) as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 1024 * 1024:
                sent += sock.send(bytes(size))
    # What the wire took, the block in its hand, and what the two kernels' sockets took.
    assert sent <= (QUEUED + 1) * BLOCK + 8 * size


def test_latency_is_waited_once_each_way() -> None:
    clock = FakeClock()
    plan = Plan(up=Lane(latency=3.0), down=Lane(latency=4.0))
    with (
        echoing() as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan, clock=clock)) as wire,
        dial(wire) as sock,
    ):
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        assert clock.now == pytest.approx(7.0)


def test_a_throttled_way_takes_the_time_of_its_bytes() -> None:
    clock = FakeClock()
    plan = lane_up(Lane(rate=1000.0))
    with (
        echoing(answers=False) as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan, clock=clock)) as wire,
    ):
        with dial(wire) as sock:
            sock.sendall(bytes(5000))
        assert echo.done.wait(SOON)
    assert len(echo.received) == 5000
    assert clock.now == pytest.approx(5.0, rel=0.05)


def test_held_connections_wait_until_they_are_let_go() -> None:
    with echoing() as echo, threaded(Wire("127.0.0.1", echo.port)) as wire:
        wire.hold()
        with dial(wire) as sock:
            sock.sendall(b"x")
            wire.when(lambda: wire.opened == 1).result(SOON)
            assert wire.up == 0
            wire.let_go()
            assert sock.recv(1) == b"x"


def test_a_target_that_is_not_there_looks_like_a_reset() -> None:
    with echoing() as echo:
        port = echo.port
    with threaded(Wire("127.0.0.1", port)) as wire:
        wire.hold()  # else the reset may come while it still dials
        with dial(wire) as sock:
            wire.let_go()
            assert read_all(sock) == (b"", "rst")
        wire.when(lambda: not wire.live).result(SOON)
        assert wire.events[-1].what.startswith("refused")


def test_severing_ends_the_connections_that_live() -> None:
    with echoing() as echo, threaded(Wire("127.0.0.1", echo.port)) as wire, dial(wire) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        wire.sever(Fault.CUT)
        assert read_all(sock) == (b"", "fin")


def test_a_callback_of_when_runs_at_the_byte_it_waits_for() -> None:
    seen: list[int] = []
    plan = lane_up(Lane(rate=1e9))  # so that the wire passes small pieces
    with (
        echoing(answers=False) as echo,
        threaded(Wire("127.0.0.1", echo.port, plan=lambda _: plan)) as wire,
    ):
        reached = wire.when(lambda: wire.up >= 100_000)
        reached.add_done_callback(lambda _: seen.append(wire.up))
        with dial(wire) as sock:
            sock.sendall(bytes(1_000_000))
        assert echo.done.wait(SOON)
    assert 100_000 <= seen[0] <= 100_000 + BLOCK


def test_the_tap_sees_what_passed() -> None:
    seen = {"up": bytearray(), "down": bytearray()}
    with echoing() as echo:
        wire = Wire("127.0.0.1", echo.port, tap=lambda _, way, piece: seen[way].extend(piece))
        with threaded(wire), dial(wire) as sock:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
    assert seen == {"up": b"hello", "down": b"hello"}


def test_a_seed_gives_each_connection_the_same_plan_in_any_order() -> None:
    first = seeded(7, list(Fault), 1000, odds=0.8)
    again = seeded(7, list(Fault), 1000, odds=0.8)
    plans = [first(number) for number in range(100)]
    assert [again(number) for number in reversed(range(100))] == plans[::-1]
    assert len(set(plans)) > 50
    assert [seeded(8, list(Fault), 1000)(number) for number in range(100)] != plans
