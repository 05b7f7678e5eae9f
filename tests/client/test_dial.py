"""How a connection is set up for where the other end is."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from towpath import errors
from towpath.client.dial import Dialer, split, stay_in_cache
from towpath.client.surroundings import Trust
from towpath.testing.server import Server

BOUND = (socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)


class Noting(socket.socket):
    """A socket that remembers what it was set to."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self.set: list[tuple[Any, ...]] = []

    def setsockopt(self, *given: Any) -> None:
        self.set.append(given)
        super().setsockopt(*given)


class Elsewhere(Noting):
    """One whose other end is another machine, as it says."""

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 50_000

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.2", 80


def test_few_bytes_wait_for_somebody_on_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Noting(socket.AF_INET) as sock:
        sock.connect(server.getsockname())
        stay_in_cache(sock)
        assert sock.set == [BOUND]


def test_the_way_to_another_machine_is_filled_as_the_system_thinks_best() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Elsewhere(socket.AF_INET) as sock:
        sock.connect(server.getsockname())
        stay_in_cache(sock)
        assert sock.set == []


def test_every_connection_that_is_dialled_is_set_up_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as bounded:
        bounded.setsockopt(*BOUND)
        origin, _ = split(f"http://127.0.0.1:{server.getsockname()[1]}")
        connection = Dialer(Trust(), timeout=5, proxy="none").dial(origin)
        try:
            assert waiting(connection._sock) == waiting(bounded)
        finally:
            connection.close()


def waiting(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def nobody() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_of_a_proxy_that_is_silent_its_own_address_is_told() -> None:
    origin, _ = split("http://192.0.2.1:8080")
    port = nobody()
    with pytest.raises(errors.ServerUnreachable) as raised:
        Dialer(Trust(), timeout=5, proxy=f"http://127.0.0.1:{port}").dial(origin)
    assert f"the proxy 127.0.0.1:{port}." in raised.value.what
    assert "--proxy" in raised.value.todo


def test_of_a_server_that_is_silent_the_servers_address_is_told() -> None:
    origin, _ = split(f"http://127.0.0.1:{nobody()}")
    with pytest.raises(errors.ServerUnreachable, match=f"Nobody answers at {origin}."):
        Dialer(Trust(), timeout=5, proxy="none").dial(origin)


def test_a_server_without_tls_is_no_server_that_is_silent(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        origin, _ = split(f"https://127.0.0.1:{server.port}")
        with pytest.raises(errors.TransferError, match="does not speak TLS") as raised:
            Dialer(Trust(), timeout=5, proxy="none").dial(origin)
    assert not raised.value.retryable
    assert "http://" in raised.value.todo


@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "by a proxy"])
def test_who_resets_at_once_is_told_of_as_who_is_silent_and_no_socket_stays(
    monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    made: list[socket.socket] = []
    connect = socket.create_connection

    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset(*given: Any) -> socket.socket:
            made.append(connect(*given))
            there, _ = server.accept()
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            there.close()
            return made[-1]

        monkeypatch.setattr(socket, "create_connection", reset)
        where = f"http://127.0.0.1:{server.getsockname()[1]}"
        origin, _ = split("http://192.0.2.1" if proxied else where)
        with pytest.raises(errors.ServerUnreachable, match="Nobody answers at"):
            Dialer(Trust(), timeout=5, proxy=where if proxied else "none").dial(origin)
    assert [sock.fileno() for sock in made] == [-1]
