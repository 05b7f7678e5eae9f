"""The bytes of one object by their position, over as many requests as it takes.

Rules: the first request pins the object by its ETag, and every later one asks for that object alone
(If-Match, RFC 9110 section 13.1.1): bytes of two objects are never mixed. What is read in order is
asked for ahead, in growing ranges; the bytes wait in the connection, so that none are held here.
One thread at a time reads; another one may close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from towpath.client import words
from towpath.client.blocks import BLOCK, crc64nvme
from towpath.client.control import Control, Stop
from towpath.client.peer import Peer, expect
from towpath.client.retry import Patience
from towpath.client.wire import Answer
from towpath.errors import (
    BadAnswer,
    Cut,
    DigestMismatch,
    Expired,
    Malformed,
    NameConflict,
    NotFound,
    TowpathError,
)

FIRST = 128 * 1024  # bytes asked for at once after a jump
MOST = 8 * 1024 * 1024  # bytes asked for at once while reads are in order
_NEAR = 64 * 1024  # bytes: to read past so many is quicker than to ask anew

R = TypeVar("R")
Take = Callable[[Answer, int], memoryview]
"""Takes the next bytes of an answer, so many at most."""


def _nobody_waits() -> None:
    """Nobody wants to know."""


class Reading:
    """An object that is read. `position`: where the next read begins, in bytes.

    `whole`: all that is left is asked for in one request, as for a reader that never jumps.
    `patience` is asked for at each read: how often failures in a row are tried again.
    `on_retry` is called before each such wait.
    """

    def __init__(
        self,
        peer: Peer,
        name: str,
        control: Control,
        patience: Callable[[], Patience],
        *,
        whole: bool = False,
        on_retry: Callable[[], None] = _nobody_waits,
    ) -> None:
        self.name = name
        self.position = 0
        self.url = ""
        self.length = 0
        self._etag = ""
        self._peer = peer
        self._control = control
        self.patience = patience
        self._whole = whole
        self._on_retry = on_retry
        self._busy = threading.Lock()
        self._exchange = ExitStack()  # holds the request that is under way
        self._answer: Answer | None = None
        self._at, self._end = 0, -1  # where the answer is, and where it ends or ended
        self._ahead = FIRST
        self._announced: int | None = None  # CRC64NVME of the object, as the server says
        self._hashed = self._crc = 0  # bytes read in order from the first on; their CRC64NVME

    @property
    def crc(self) -> int | None:
        """The CRC64NVME of the object as it was read; None unless that was in order and whole."""
        return self._crc if self.url and self._hashed == self.length else None

    @property
    def verified(self) -> bool:
        """True once all of it was read in order, and is what the server announced."""
        return self.crc is not None and self.crc == self._announced

    def find(self) -> None:
        """Look the object up, once. Raises NotFound and what else the server says."""
        with self._busy:
            if not self.url:
                self._persist(self._find)

    def read_into(self, view: memoryview) -> int:
        """Put bytes at the position into `view`, as many as are at hand; 0 at the end.

        Raises NameConflict when the object was replaced, NotFound when it is gone, DigestMismatch
        at the end of an object that was read in order and is not what the server announced.
        """

        def into(answer: Answer, most: int) -> memoryview:
            return view[: answer.read_into(view[:most])]

        taken = len(self._next(into, len(view)))
        with self._busy:
            self._hang_up_at_end()
        return taken

    def take(self, block: memoryview) -> memoryview:
        """The same, in `block` or where the bytes are already; good until the next call.

        `block` may be empty where chunks are undone (`Peer.coded`): their bytes lie elsewhere.
        """
        return self._next(lambda answer, most: answer.take(block[:most]), len(block) or BLOCK)

    def _next(self, take: Take, wanted: int) -> memoryview:
        self.find()
        with self._busy:
            self._hang_up_at_end()
            if self.position >= self.length:
                self._verify()
                return memoryview(b"")
            if not wanted:
                return memoryview(b"")
            taken = self._persist(lambda: self._take(take, wanted))
            if self.position == self._hashed:
                self._crc = crc64nvme(taken, self._crc)
                self._hashed += len(taken)
            self.position += len(taken)
            return taken

    def hang_up(self) -> None:
        """Let go of the connection; the next read takes another one."""
        self._answer = None
        self._exchange.close()

    def _hang_up_at_end(self) -> None:
        if self._answer is not None and self._at == self._end:
            self.hang_up()  # all of it came: the connection stays for the next request

    def close(self) -> None:
        """End it for good, also from another thread."""
        self._control.stop(Stop.CANCEL)
        if self._busy.acquire(blocking=False):  # else whoever reads hears of it, and hangs up
            try:
                self.hang_up()
            finally:
                self._busy.release()

    def _persist(self, act: Callable[[], R]) -> R:
        """Do it, again after what may pass."""
        patience = self.patience()
        try:
            while True:
                try:
                    self._control.check()
                    done = act()
                    self._control.check()
                except TowpathError as error:
                    self.hang_up()
                    wait = patience.after(error)
                    self._on_retry()
                    self._control.sleep(wait)
                else:
                    patience.progress()
                    return done
        except BaseException:
            self.hang_up()
            raise

    def _find(self) -> None:
        check = self._control.check
        if "://" in self.name:
            url = self._peer.address(self.name)
            fields = expect(self._peer.ask("HEAD", url, check=check, again=True)).fields
            etag, length = fields.get("etag", ""), words.number(fields, "content-length")
            self._announced = words.crc_of(fields)
        else:
            if not self.name or self.name.endswith("/"):
                raise Malformed(
                    f"{self.name!r} is no name of an object.", field="name", todo="Name an object."
                )
            name = self._peer.api("names", self.name)
            reply = self._peer.ask("GET", name, check=check, again=True)
            record = expect(reply, api=True).json()
            if not isinstance(record.get("href"), str):
                raise BadAnswer("The server did not say where the object is.")
            url, etag = self._peer.address(record["href"]), str(record.get("etag") or "")
            length = record.get("length")
            self._announced = _crc_of(record.get("digests"))
        if not isinstance(length, int):
            raise BadAnswer("The server did not say how long the object is.")
        self.url, self._etag, self.length = url, etag, length

    def _take(self, take: Take, wanted: int) -> memoryview:
        if self._answer is not None and self._at != self.position:
            self._jump()
        if self._answer is None:
            self._ask(wanted)
        assert self._answer is not None  # noqa: S101 - `_ask` set it
        taken = take(self._answer, self._end - self._at)
        if not taken:
            raise Cut("The connection was lost.", why="The answer ended early.")
        self._at += len(taken)
        return taken

    def _jump(self) -> None:
        """Read past a few bytes; give up an answer that is further away."""
        distance = self.position - self._at
        if not 0 < distance <= _NEAR or self.position >= self._end or self._answer is None:
            self.hang_up()
            return
        waste = memoryview(bytearray(distance))
        while waste:
            taken = self._answer.read_into(waste)
            if not taken:
                raise Cut("The connection was lost.", why="The answer ended early.")
            waste = waste[taken:]
        self._at = self.position

    def _ask(self, wanted: int) -> None:
        """Ask for what is at the position, and for more where it is read in order."""
        start = self.position
        self._ahead = min(self._ahead * 2, MOST) if start == self._end else FIRST
        end = self.length if self._whole else self._stop(start, max(wanted, self._ahead))
        fields = {}
        if self._etag and not self._etag.startswith("W/"):
            fields["If-Match"] = self._etag
        if start or end < self.length:
            fields["Range"] = f"bytes={start}-{end - 1}"
        self.hang_up()
        exchange = self._exchange.enter_context(
            self._peer.open("GET", self.url, fields, check=self._control.check)
        )
        answer = exchange.answer()
        self._end = self._agreed(answer, start)
        self._at, self._answer = start, answer

    def _stop(self, start: int, size: int) -> int:
        """Where to stop that wants so many bytes: of chunks, which come whole, with one of them."""
        coded = self._peer.coded(self.url)
        return min(self.length, start + size) if coded is None else coded.cut(start, size)

    def _agreed(self, answer: Answer, asked: int) -> int:
        """Where the answer ends, if it is of this object and begins where it should."""
        if answer.status in (404, 410, 412):
            self._gone(answer.status)
        if answer.status not in (200, 206):
            raise words.refusal(answer.status, answer.fields, answer.text())
        start, total = 0, words.number(answer.fields, "content-length")
        if answer.status == 206:
            start, total = words.content_range(answer.fields)
        etag = answer.fields.get("etag", self._etag)
        if etag != self._etag or total != self.length:
            self._gone(412)
        if start != asked:
            raise BadAnswer(
                "The server sent another range.", why=f"It begins at {start}, not at {asked}."
            )
        announced = words.crc_of(answer.fields)
        self._announced = self._announced if announced is None else announced
        count = words.number(answer.fields, "content-length")
        return self.length if count is None else min(self.length, start + count)

    def _gone(self, status: int) -> None:
        """Say that it is no longer the object that was opened."""
        todo = "Open it again: what came so far belongs to the object that was there."
        if status == 412:
            raise NameConflict(
                f"{self.name} is another object now.",
                why="It was replaced while it was read.",
                todo=todo,
            )
        raise (NotFound if status == 404 else Expired)(
            f"{self.name} is no longer there.",
            why="It was removed or replaced while it was read.",
            todo=todo,
        )

    def _verify(self) -> None:
        """At the end: raise DigestMismatch if all was read and is something else."""
        crc = self.crc
        if crc is not None and self._announced is not None and crc != self._announced:
            raise DigestMismatch(
                f"What came of {self.name} are not the bytes that the server announced.",
                why=f"Their CRC64NVME is {crc:016x}, not {self._announced:016x}.",
                todo="Do not use what came; read it again.",
            )


def _crc_of(digests: object) -> int | None:
    """The CRC64NVME among the digests of a name's record."""
    text = digests.get("crc64nvme") if isinstance(digests, Mapping) else None
    try:
        return None if text is None else int(str(text), 16)
    except ValueError as error:
        raise BadAnswer("The server's digest cannot be read.") from error


def next_block(reading: Reading, size: int = BLOCK) -> bytes:
    """The next bytes, `size` of them unless the end is nearer; none at the end."""
    block = memoryview(bytearray(size))
    filled = 0
    while filled < size and (taken := reading.read_into(block[filled:])):
        filled += taken
    return bytes(block[:filled])
