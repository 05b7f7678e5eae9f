"""A small server that speaks the wire faithfully and fails on demand, for tests of the client.

Rules: plain sockets, so that a connection can be cut at any byte; what came is durable at once; a
fault is used once, by the first request that it fits.
"""

from __future__ import annotations

import base64
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from awscrt.checksums import crc64nvme

from tests.client.fake_facts import (
    Fault,
    Hangup,
    Upload,
    digest,
    facts,
    listener,
    page,
    records_of,
    standing,
)

BLOCK = 64 * 1024


class FakeServer:
    """Listens on a free port of the loopback. `keep`: hold the bytes, not only count them."""

    def __init__(
        self, *, keep: bool = True, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.keep = keep
        self.tls = tls
        self.token = token
        self.uploads: dict[str, Upload] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.received = 0  # bytes of all bodies
        self.extensions = ""  # of tus, beyond what it does in any case
        self.digests = self.heeds = True  # conditions of requests for bytes are heeded
        self.moved = threading.Condition()
        self.release = threading.Event()  # ends a `hold`
        self._ids = itertools.count()
        self._listener = listener()
        self._open: set[socket.socket] = set()
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        with suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> int:
        """Cut every connection; return how many there were."""
        cut = list(self._open)
        for sock in cut:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def fail(self, method: str, kind: str, **rest: object) -> None:
        """The next request of `method` goes wrong."""
        self.faults.append(Fault(method, kind, **rest))  # type: ignore[arg-type]

    def fail_download(self, kind: str, **rest: object) -> None:
        """The next request for an object's bytes goes wrong."""
        self.fail("GET file", kind, **rest)

    def wait_for(self, count: int, seconds: float = 20) -> None:
        """Return when so many bytes of bodies have come in."""
        with self.moved:
            assert self.moved.wait_for(lambda: self.received >= count, seconds), self.received

    def add(self, name: str, data: bytes) -> Upload:
        """An object that is there."""
        upload = Upload(f"u{next(self._ids)}", len(data), {}, bytearray(data))
        upload.crc, upload.size, upload.name = crc64nvme(data), len(data), name
        self.uploads[upload.id] = upload
        return upload

    def named(self, name: str) -> Upload:
        return next(upload for upload in self._all() if upload.name == name)

    def _all(self) -> list[Upload]:
        """Those of now: other threads may add some while one looks at them."""
        return list(self.uploads.values())

    def count(self, method: str) -> int:
        """Requests of the method; not those that only ask whether ranges are spoken here."""
        return sum(request[0] == method and request[1] != "/ranges/" for request in self.requests)

    # -- connections

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.tls is not None:
                self._open.discard(sock)
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            stream = sock.makefile("rb")
            while self._exchange(sock, stream):
                pass
            stream.close()
        except (Hangup, OSError, ValueError):
            pass
        finally:
            self._open.discard(sock)
            with suppress(OSError):
                sock.close()

    def _exchange(self, sock: socket.socket, stream: BufferedReader) -> bool:
        line = stream.readline()
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        fields: dict[str, str] = {}
        while (raw := stream.readline()) not in (b"\r\n", b""):
            name, _, value = raw.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        self.requests.append((method, target, fields))
        kind = "GET file" if method == "GET" and target.startswith("/files/") else method
        fault = next((fault for fault in self.faults if fault.method == kind), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.kind == "status":
                stream.read(int(fields.get("content-length", 0)))
                return self._answer(sock, fault.status, fault.fields, fault.body)
            if fault.kind in ("cut", "reset") and method not in ("PATCH", "GET"):
                self._end(sock, fault.kind)
        if self.token and fields.get("authorization") != f"Bearer {self.token}":
            return self._problem(sock, 401, "unauthenticated", "Nobody is known by that token")
        parts = urlsplit(target)
        if parts.path.startswith("/api/v1/"):
            return self._api(sock, method, parts.path[8:], parse_qs(parts.query))
        if parts.path == "/files/" and method in ("POST", "OPTIONS"):
            return self._create(sock, stream, method, fields, fault)
        upload = self.uploads.get(parts.path.removeprefix("/files/"))
        if upload is None:
            if method == "POST":
                stream.read(int(fields.get("content-length", 0)))
            return self._problem(sock, 404, "not-found", "There is no such upload")
        return self._upload(sock, stream, method, fields, upload, fault)

    def _end(self, sock: socket.socket, kind: str) -> None:
        if kind == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            sock.shutdown(socket.SHUT_RDWR)
        raise Hangup

    def _answer(
        self,
        sock: socket.socket,
        status: int,
        fields: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        head: bool = False,
    ) -> bool:
        known = {"Tus-Resumable": "1.0.0", "Content-Length": str(len(body)), **(fields or {})}
        if known.get("Tus-Resumable") == "":
            del known["Tus-Resumable"]
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in known.items())]
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head else body))
        return known.get("Connection") != "close"

    def _problem(self, sock: socket.socket, status: int, code: str, title: str) -> bool:
        body = json.dumps({"title": title, "status": status, "code": code}).encode()
        return self._answer(sock, status, {"Content-Type": "application/problem+json"}, body)

    # -- tus

    def _create(
        self,
        sock: socket.socket,
        stream: BufferedReader,
        method: str,
        fields: dict[str, str],
        fault: Fault | None,
    ) -> bool:
        if method == "OPTIONS":
            return self._answer(sock, 204, {"Tus-Extension": self.extensions})
        upload = self._begin(fields)
        if length := int(fields.get("content-length", 0)):
            self._take(upload, stream.read(length))
        self._finish(upload)
        if fault is not None and fault.kind == "lose-answer":
            raise Hangup
        told = standing(upload, digests=self.digests) if self.extensions else {}
        return self._answer(sock, 201, {"Location": f"/files/{upload.id}", **told})

    def _begin(self, fields: dict[str, str]) -> Upload:
        metadata = {}
        for pair in fields["upload-metadata"].split(","):
            key, _, value = pair.partition(" ")
            metadata[key] = base64.b64decode(value).decode()
        length = None if "upload-defer-length" in fields else int(fields["upload-length"])
        upload = Upload(f"u{next(self._ids)}", length, metadata)
        self.uploads[upload.id] = upload
        return upload

    def _finish(self, upload: Upload) -> None:
        if upload.complete and upload.name is None:
            wanted = upload.metadata["name"]
            taken = {other.name for other in self._all()}
            upload.name = wanted if wanted not in taken else f"{wanted} (1)"

    def _upload(
        self,
        sock: socket.socket,
        stream: BufferedReader,
        method: str,
        fields: dict[str, str],
        upload: Upload,
        fault: Fault | None,
    ) -> bool:
        if method == "HEAD" and upload.complete and "tus-resumable" not in fields:
            return self._answer(sock, 200, facts(upload), head=True)
        if method == "HEAD":
            writer = upload.writer  # which may be none in a moment
            if writer is not None:  # a HEAD ends whoever writes, and waits for it
                self.release.set()
                with suppress(OSError):
                    writer.shutdown(socket.SHUT_RDWR)
            with upload.busy:
                pass
            known = standing(upload, digests=self.digests)
            if fault is not None and fault.kind == "wrong-digest":
                known["Repr-Digest"] = digest(1)
            return self._answer(sock, 200, known, head=True)
        if method == "PATCH":
            with upload.busy:
                upload.writer = sock
                try:
                    return self._patch(sock, stream, fields, upload, fault)
                finally:
                    upload.writer = None
        if method == "DELETE":
            if upload.complete:
                return self._problem(sock, 409, "state-conflict", "It is an object now")
            del self.uploads[upload.id]
            return self._answer(sock, 204)
        return self._get(sock, fields, upload, fault)

    def _patch(
        self,
        sock: socket.socket,
        stream: BufferedReader,
        fields: dict[str, str],
        upload: Upload,
        fault: Fault | None,
    ) -> bool:
        length = int(fields["content-length"])
        if int(fields["upload-offset"]) != upload.size:
            body = json.dumps({"title": "Offset", "code": "offset-conflict"}).encode()
            known = {"Upload-Offset": str(upload.size), "Connection": "close"}
            known["Content-Type"] = "application/problem+json"
            return self._answer(sock, 409, known, body)
        if "upload-length" in fields:
            upload.length = int(fields["upload-length"])
        left = length
        while left:
            seen = length - left
            stop = left if fault is None or fault.at <= seen else fault.at - seen
            if fault is not None and seen >= fault.at:
                if fault.kind == "early":
                    known = {"Connection": "close", **fault.fields}
                    self._answer(sock, fault.status, known, fault.body)
                    sock.shutdown(socket.SHUT_WR)
                    while stream.read1(BLOCK):
                        pass
                    raise Hangup
                if fault.kind in ("cut", "reset"):
                    self._end(sock, fault.kind)
                if fault.kind == "hold":
                    self.release.wait(20)
                if fault.kind == "informational":
                    sock.sendall(b"HTTP/1.1 104 Upload Resumption\r\nUpload-Offset: 1\r\n\r\n")
                    fault = None
            block = stream.read1(min(BLOCK, stop))
            if not block:
                raise Hangup
            left -= len(block)
            self._take(upload, block)
        self._finish(upload)
        if fault is not None and fault.kind == "lose-answer":
            raise Hangup
        known = standing(upload, digests=self.digests)
        if fault is not None and fault.kind == "wrong-digest":
            known["Repr-Digest"] = digest(1)
        return self._answer(sock, 204, known)

    def _take(self, upload: Upload, block: bytes) -> None:
        upload.crc = crc64nvme(block, upload.crc)
        upload.size += len(block)
        if self.keep:
            upload.data += block
        with self.moved:
            self.received += len(block)
            self.moved.notify_all()

    def _get(
        self, sock: socket.socket, fields: dict[str, str], upload: Upload, fault: Fault | None
    ) -> bool:
        known, start, end, status = facts(upload), 0, upload.size, 200
        etag = known["ETag"]
        if self.heeds and fields.get("if-match", etag) != etag:
            return self._problem(sock, 412, "precondition", "It is another object")
        if "range" in fields and (not self.heeds or fields.get("if-range", etag) == etag):
            first, _, last = fields["range"][6:].partition("-")
            start, end, status = int(first), min(end, int(last or end) + 1), 206
            known["Content-Range"] = f"bytes {start}-{end - 1}/{upload.size}"
        known["Content-Length"] = str(len(body := bytes(upload.data[start:end])))
        if not self.digests:
            del known["Repr-Digest"]
        if fault is not None and fault.kind == "wrong-digest":
            known["Repr-Digest"] = digest(1)
        if fault is not None and fault.kind == "create":
            Path(fault.body.decode()).touch()
        if fault is not None and fault.kind in ("replaced", "removed"):
            upload.crc ^= 1  # another object, to whoever compares ETags
        if fault is not None and fault.kind == "removed":
            del self.uploads[upload.id]
        if fault is not None and fault.kind in ("cut", "reset", "replaced", "removed"):
            self._answer(sock, status, known, body[: fault.at])
            self._end(sock, fault.kind)
        if fault is not None and fault.kind == "hold":
            self._answer(sock, status, known, body[: fault.at])
            with self.moved:
                self.received += fault.at
                self.moved.notify_all()
            self.release.wait(20)
            sock.sendall(body[fault.at :])
            return True
        return self._answer(sock, status, known, body)

    # -- the control API

    def _api(
        self, sock: socket.socket, method: str, path: str, query: dict[str, list[str]]
    ) -> bool:
        """Lists and records of what is there."""
        kind, _, key = path.partition("/")
        key = unquote(key)
        if kind == "server":
            return self._json(sock, {"version": "0.0-fake"})
        records = records_of(kind, self._all())
        if records is None:
            return self._problem(sock, 404, "not-found", "There is no such thing")
        if not key:
            return self._json(sock, page(kind, records, query))
        if key not in records:
            return self._problem(sock, 404, "not-found", f"There is no {key}")
        if method == "DELETE":
            del self.uploads[str(records[key]["id"])]
            return self._answer(sock, 204)
        return self._json(sock, records[key])

    def _json(self, sock: socket.socket, found: object) -> bool:
        body = json.dumps(found).encode()
        return self._answer(sock, 200, {"Content-Type": "application/json"}, body)


@contextmanager
def serving(**options: object) -> Iterator[FakeServer]:
    """A fake server for the time of a `with`."""
    server = FakeServer(**options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
