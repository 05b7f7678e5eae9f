"""A TCP proxy that cuts one connection, once, after so many bytes have passed."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RESET = struct.pack("ii", 1, 0)
_BLOCK = 1 << 16


class Cutter:
    """Carries connections to `target`; resets the one on which the count is reached."""

    def __init__(self, target: tuple[str, int], *, up: int | None, down: int | None) -> None:
        self._target = target
        self._left = {"up": up, "down": down}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0

    def accept(self) -> None:
        """Carry whoever connects, until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            ways = {near: (far, "up"), far: (near, "down")}
            with contextlib.suppress(OSError):
                while ways:
                    readable, _, _ = select.select(list(ways), [], [])
                    for one in readable:
                        other, way = ways[one]
                        piece = one.recv(_BLOCK)
                        if not piece:
                            del ways[one]
                            other.shutdown(socket.SHUT_WR)
                            continue
                        passes = self._take(way, len(piece))
                        other.sendall(piece[:passes])
                        if passes < len(piece):
                            for each in (near, far):
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                            return

    def _take(self, way: str, count: int) -> int:
        """How many of these bytes may pass."""
        with self._lock:
            left = self._left[way]
            if left is None or count < left:
                self._left[way] = None if left is None else left - count
                return count
            self._left[way] = None
            self.cuts += 1
            return left - 1


@contextmanager
def cutting(
    target: tuple[str, int], *, up: int | None = None, down: int | None = None
) -> Iterator[Cutter]:
    """A proxy until the `with` ends."""
    cutter = Cutter(target, up=up, down=down)
    thread = threading.Thread(target=cutter.accept, daemon=True)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join()
