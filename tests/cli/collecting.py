"""A proxy that passes a request on only when it has all of it, and an answer when it has ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Collecting:
    """Listens on a port of the loopback and leads to the server at `address`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = {self._listener}
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.add(near)
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with suppress(OSError, ValueError), near:
            request = _whole_request(near)
            far = socket.create_connection(self._address)
            self._open.add(far)
            with far:
                line, _, rest = request.partition(b"\r\n")
                far.sendall(line + b"\r\nConnection: close\r\n" + rest)
                near.sendall(_all_of(far))


def _whole_request(sock: socket.socket) -> bytes:
    """The head and every byte of the body that it announces. Raises ValueError if it is cut."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += _some(sock)
    head = found.partition(b"\r\n\r\n")[0]
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"expect" in fields:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = len(head) + 4 + int(fields.get(b"content-length", 0))
    while len(found) < length:
        found += _some(sock)
    return found


def _some(sock: socket.socket) -> bytes:
    piece = sock.recv(1 << 16)
    if not piece:
        raise ValueError("cut")
    return piece


def _all_of(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def collecting(address: tuple[str, int]) -> Iterator[Collecting]:
    """Such a proxy for the time of a `with`."""
    proxy = Collecting(address)
    try:
        yield proxy
    finally:
        proxy.close()
