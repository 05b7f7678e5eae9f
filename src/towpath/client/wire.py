"""One HTTP/1.1 connection on a socket: h11 reads and writes heads, bodies pass beside it.

Rules: no body is ever held whole and none is copied on its way out; every wait is cut into slices,
so that `check` is heard; while a body is sent, an early answer is noticed and ends the sending.
Raises Cut when an established connection breaks, BadAnswer when what comes is not HTTP.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping

import h11

from towpath.client.control import SLICE
from towpath.client.throttle import FREE, Pace
from towpath.errors import BadAnswer, Cut

RECEIVE = 64 * 1024  # bytes taken at once for heads and for bodies without a length
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Check = Callable[[], None]
Fields = Iterable[tuple[str, str]]


def _lost(why: object) -> Cut:
    return Cut("The connection was lost.", why=f"{why}.".replace("..", "."))


class Connection:
    """A socket that carries one exchange after the other.

    The order is request, then send until it says False or all is sent, then answer.
    `timeout` (seconds) bounds each wait for the other side, not the exchange.
    """

    def __init__(self, sock: socket.socket, *, timeout: float, absolute: str = "") -> None:
        sock.setblocking(False)
        self._sock = sock
        self._absolute = absolute  # what a plain proxy wants before the path
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, _READ)
        self._interest = _READ
        self._h11 = h11.Connection(h11.CLIENT)
        self._head: h11.Response | None = None
        self._method = ""
        self._check: Check = lambda: None
        self._pace = FREE
        self.timeout = timeout
        self.idle_since = time.monotonic()
        self.interim: set[int] = set()  # statuses of 1xx answers to the last request
        self.closed = False

    def request(
        self, method: str, target: str, fields: Fields, check: Check, pace: Pace = FREE
    ) -> None:
        """Send the head of a request; `check` may raise at any later wait of this exchange.

        `pace` bounds how fast the bodies go.
        """
        self._h11 = h11.Connection(h11.CLIENT)
        self._head = None
        self.interim = set()
        self._method = method
        self._check, self._pace = check, pace
        head = self._h11.send(
            h11.Request(method=method, target=self._absolute + target, headers=list(fields))
        )
        if head is not None:
            self._push(memoryview(head))

    def send(self, block: memoryview) -> bool:
        """Send a block of the body. False: the server has answered already, so send no more."""
        parts = self._h11.send_with_data_passthrough(h11.Data(data=block))  # type: ignore[arg-type]
        return all(self._push_paced(memoryview(part)) for part in parts or ())

    def listen(self, seconds: float) -> bool:
        """Take what comes within `seconds`. True: the server has answered, so send no more."""
        return bool(self._select(_READ, seconds)) and self._hear()

    def answer(self) -> Answer:
        """Wait for the head of the answer; 1xx answers are passed over."""
        whole = self._h11.our_state is h11.SEND_BODY and self._head is None
        if whole:
            try:
                self._h11.send(h11.EndOfMessage())
            except h11.LocalProtocolError as error:  # fewer bytes than announced: our own fault
                raise BadAnswer("The body was shorter than announced.") from error
        while self._head is None:
            self._wait(_READ)
            self._hear()
        return Answer(self, self._h11, self._head, bodiless=self._method == "HEAD")

    def close(self) -> None:
        """Let go of the socket; what the system has buffered is still sent."""
        if not self.closed:
            self.closed = True
            self._selector.close()
            self._sock.close()

    @property
    def certificate(self) -> Mapping[str, object]:
        """What the other side showed of itself by TLS, as `ssl` tells it; {} without TLS."""
        return (self._sock.getpeercert() or {}) if isinstance(self._sock, ssl.SSLSocket) else {}

    @property
    def is_stale(self) -> bool:
        """True when the other side has hung up, or said something nobody asked for."""
        return bool(self._select(_READ, 0))

    def receive_into(self, view: memoryview) -> int:
        """Wait for bytes of the body and put them into `view`; 0 means the end of the stream."""
        allowed, taken = self.allow(len(view)), 0
        try:
            taken = self._receive(view[:allowed])
        finally:
            self._pace.give_back(allowed - taken)
        return taken

    def _receive(self, view: memoryview) -> int:
        while True:
            try:
                return self._sock.recv_into(view)
            except _NOT_YET:
                self._wait(_READ)
            except OSError as error:
                raise _lost(error) from error

    def allow(self, wanted: int) -> int:
        """Wait until bytes of a body may move; return how many of those that are `wanted`."""
        return self._pace.take(wanted, self._check)

    def _push_paced(self, view: memoryview) -> bool:
        while view:
            allowed = self.allow(len(view))
            if not self._push(view[:allowed]):
                return False
            view = view[allowed:]
        return True

    def _push(self, view: memoryview) -> bool:
        """Send all of `view`; False as soon as an answer's head is here."""
        while view:
            if self._wait(_READ | _WRITE) & _READ and self._hear():
                return False
            try:
                view = view[self._sock.send(view) :]
            except _NOT_YET:
                continue
            except OSError as error:
                return self._refused_while_sending(error)
        return True

    def _refused_while_sending(self, error: OSError) -> bool:
        """A server that hangs up on a body has mostly said why: look before giving up."""
        try:
            while self._select(_READ, 0):
                if self._hear():
                    return False
        except Cut:
            pass
        raise _lost(error) from error

    def _hear(self) -> bool:
        """Take what has come; True once the head of the final answer is here."""
        try:
            data = self._sock.recv(RECEIVE)
        except _NOT_YET:
            return False
        except OSError as error:
            raise _lost(error) from error
        if not data:
            raise _lost("The server hung up without an answer")
        try:
            self._h11.receive_data(data)
            while (event := self._h11.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._head = event
                    return True
                if isinstance(event, h11.InformationalResponse):
                    self.interim.add(event.status_code)
        except h11.RemoteProtocolError as error:
            raise BadAnswer("What came back is not HTTP.", why=f"{error}.") from error
        return False

    def _wait(self, interest: int) -> int:
        """Wait until one of `interest` is possible; return which."""
        deadline = time.monotonic() + self.timeout
        while True:
            self._check()
            if ready := self._select(interest, SLICE):
                return ready
            if time.monotonic() > deadline:
                raise Cut("The connection was lost.", why=f"Nothing moved for {self.timeout:g} s.")

    def _select(self, interest: int, seconds: float) -> int:
        if interest & _READ and isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return _READ
        if interest != self._interest:
            self._selector.modify(self._sock, interest)
            self._interest = interest
        return sum(mask for _, mask in self._selector.select(seconds))


class Answer:
    """The head of an answer, and its body block by block."""

    def __init__(
        self, connection: Connection, machine: h11.Connection, head: h11.Response, *, bodiless: bool
    ) -> None:
        self._connection = connection
        self._h11 = machine
        self._rest = memoryview(b"")  # came together with the head
        self.status = head.status_code
        self.fields = {
            name.decode("ascii"): value.decode("latin-1") for name, value in head.headers
        }
        self._left = self._announced(bodiless)
        if self._left:
            self._rest = memoryview(machine.trailing_data[0])
        self._ended = self._left == 0
        self._keep = (  # what ends with the connection leaves none
            machine.our_state is h11.DONE
            and head.http_version >= b"1.1"
            and "close" not in self.fields.get("connection", "").lower()
            and (self._left is not None or "transfer-encoding" in self.fields)
        )

    def _announced(self, bodiless: bool) -> int | None:
        """Bytes of body to come; None when h11 must find the end."""
        if bodiless or self.status in (204, 304):
            return 0
        if "transfer-encoding" in self.fields or "content-length" not in self.fields:
            return None
        return int(self.fields["content-length"])

    def read_into(self, view: memoryview) -> int:
        """Put the next bytes of the body into `view`; 0 at its end. Raises Cut if it ends early."""
        if self._left is None and not self._rest:
            self._pull()
        if self._ended:
            return 0
        if self._rest:
            taken = min(len(view), len(self._rest), self._left or len(self._rest))
            if self._left is not None:  # what h11 found is counted already
                taken = self._connection.allow(taken)
            view[:taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
        else:
            taken = self._connection.receive_into(view[: self._left])
            if not taken:
                raise _lost(f"The server hung up {self._left} bytes before the end")
        if self._left is not None:
            self._left -= taken
            self._ended = self._left == 0
        return taken

    def take(self, block: memoryview) -> memoryview:
        """The next bytes of the body, in `block` or where they are already; none at its end."""
        return block[: self.read_into(block)]

    def _pull(self) -> None:
        """Let h11 find the next bytes of a body without a length."""
        while not self._ended:
            try:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    block = bytearray(RECEIVE)
                    taken = self._connection.receive_into(memoryview(block))
                    self._h11.receive_data(bytes(block[:taken]))
                    continue
            except h11.RemoteProtocolError as error:
                raise _lost(error) from error
            if isinstance(event, h11.Data):
                self._rest = memoryview(bytes(event.data))
                return
            self._ended = True

    def text(self, limit: int = 1024 * 1024) -> bytes:
        """The whole body, if it is not longer than `limit` bytes; else BadAnswer."""
        found = bytearray()
        block = memoryview(bytearray(RECEIVE))
        while taken := self.read_into(block):
            found += block[:taken]
            if len(found) > limit:
                raise BadAnswer("The answer is too long.", why=f"It has more than {limit} bytes.")
        return bytes(found)

    @property
    def is_reusable(self) -> bool:
        """True when the next request may go over the same connection."""
        return self._keep and self._ended and not self._rest
