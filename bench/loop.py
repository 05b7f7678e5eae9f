"""The limit: a server that does nothing but recv_into and pwrite, and sendfile on the way back.

Rules: as much HTTP as the sender needs and not a line more; a thread a connection, a buffer a
thread; no checks, no ledger, no leases. With --sync there is an fdatasync at each settle point and
at the end, which is what durable answers cost at least.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import ssl
import threading
from pathlib import Path

BUFFER = 256 * 1024
_names = itertools.count()


class Loop:
    """Serves one connection after the other, each in its thread."""

    def __init__(self, data: Path, settle: int, *, sync: bool) -> None:
        self.data = data
        self.settle = settle
        self.sync = sync

    def serve(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Answer requests until the client goes away."""
        try:
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            with sock:
                buffer = memoryview(bytearray(BUFFER))
                while self._one(sock, buffer):
                    pass
        except OSError:
            pass  # the client went away; there is nobody to tell

    def _one(self, sock: socket.socket, buffer: memoryview) -> bool:
        """Answer one request; False when there is none."""
        have = 0
        while (end := bytes(buffer[:have]).find(b"\r\n\r\n")) < 0:
            got = sock.recv_into(buffer[have:])
            if not got:
                return False
            have += got
        first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
        fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        method, path, _ = first.split()
        if method == "PATCH":
            self._receive(sock, buffer, end + 4, have, path, int(fields["content-length"]))
            _reply(sock, 204, "")
        elif method == "POST":
            _reply(sock, 201, f"Location: /files/{next(_names)}\r\nContent-Length: 0\r\n")
        elif method == "DELETE":
            self._file(path).unlink(missing_ok=True)
            _reply(sock, 204, "")
        elif path == "/livez":
            _reply(sock, 200, "Content-Length: 0\r\n")
        else:
            with self._file(path).open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                _reply(sock, 200, f"Content-Length: {length}\r\n")
                sock.sendfile(file)
        return fields.get("connection") != "close"

    def _file(self, path: str) -> Path:
        return self.data / Path(path).name

    def _receive(
        self, sock: socket.socket, buffer: memoryview, start: int, have: int, path: str, length: int
    ) -> None:
        """The bare loop."""
        file = os.open(self._file(path), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            offset = os.pwrite(file, buffer[start:have], 0)
            settled = 0
            while offset < length:
                got = sock.recv_into(buffer)
                if not got:
                    raise ConnectionError
                os.pwrite(file, buffer[:got], offset)
                offset += got
                if self.sync and (offset - settled >= self.settle or offset == length):
                    os.fdatasync(file)
                    settled = offset
        finally:
            os.close(file)


def _reply(sock: socket.socket, status: int, fields: str) -> None:
    sock.sendall(f"HTTP/1.1 {status} -\r\n{fields}\r\n".encode())


def main() -> None:
    """Serve until somebody ends the process."""
    parser = argparse.ArgumentParser(prog="python -m bench.loop", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settle", type=int, default=8 * 1024 * 1024)
    parser.add_argument("--sync", action="store_true")
    parser.add_argument("--certificate", type=Path)
    words = parser.parse_args()
    tls = None
    if words.certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(words.certificate)
    words.data.mkdir(parents=True, exist_ok=True)
    loop = Loop(words.data, words.settle, sync=words.sync)
    with socket.create_server(("127.0.0.1", words.port), backlog=128) as listener:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=loop.serve, args=(sock, tls), daemon=True).start()


if __name__ == "__main__":
    main()
