"""Read an object's bytes one after the other, over cuts, and prove them at the end.

Rules: blocking; every byte is handed on once and in order; bytes of two objects are never mixed: a
name that points to another object meanwhile is an error. What was handed on before a mismatch is
found cannot be taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from towpath.client import words
from towpath.client.blocks import BLOCK, crc64nvme
from towpath.client.peer import Peer
from towpath.client.retry import Patience
from towpath.client.wire import Answer
from towpath.errors import BadAnswer, Cut, DigestMismatch, Malformed, NameConflict, TowpathError


@dataclass(slots=True)
class Outflow:
    """An object on its way. `name`: its name on the server, or its URL, a link too."""

    peer: Peer
    name: str
    retries: int = 10
    sleep: Callable[[float], None] = time.sleep
    offset: int = 0  # bytes that were handed on
    length: int | None = None
    crc: int = 0  # CRC64NVME of what was handed on
    announced: int | None = None
    _etag: str = field(default="")

    def blocks(self) -> Iterator[memoryview]:
        """The bytes; each block is good until the next one is asked for.

        Raises NotFound, Forbidden, StoreLost, ServerUnreachable, Cut, NameConflict when the name
        points to another object meanwhile, DigestMismatch at the end.
        """
        buffer, patience = memoryview(bytearray(BLOCK)), Patience(self.retries)
        url = self._url()
        while True:
            before = self.offset
            try:
                yield from self._carry(url, buffer)
                break
            except TowpathError as error:
                if self.offset > before:
                    patience.progress()
                self.sleep(patience.after(error))
        if self.announced is not None and self.crc != self.announced:
            raise DigestMismatch(
                f"What came of {self.name} are not the bytes that the server announced.",
                why=f"Their CRC64NVME is {self.crc:016x}, not {self.announced:016x}.",
                todo="Do not use them; read it again.",
            )

    def _url(self) -> str:
        if "://" in self.name:
            return self.peer.address(self.name)
        if not self.name or self.name.endswith("/"):
            raise Malformed(
                f"{self.name!r} is no name of an object.", field="name", todo="Name an object."
            )
        return self.peer.address(f"names/{quote(self.name)}")

    def _carry(self, url: str, buffer: memoryview) -> Iterator[memoryview]:
        fields = {"Accept-Encoding": "identity"}
        if self.offset:
            fields |= {"Range": f"bytes={self.offset}-", "If-Range": self._etag}
        if self.offset and self.offset == self.length:
            return
        with self.peer.open("GET", url, fields) as exchange:
            answer = exchange.answer()
            self._begin(answer)
            while taken := answer.read_into(buffer):
                self.offset += taken
                self.crc = crc64nvme(buffer[:taken], self.crc)
                yield buffer[:taken]
        if self.length is not None and self.offset != self.length:
            raise Cut("The answer ended early.", why=f"{self.offset} of {self.length} bytes came.")

    def _begin(self, answer: Answer) -> None:
        """Look whether it is the object that was begun with, from where we are."""
        if answer.status not in (200, 206):
            raise words.refusal(answer.status, answer.fields, answer.text())
        etag = answer.fields.get("etag", "")
        if not self.offset:
            self._etag, self.announced = etag, words.crc_of(answer.fields)
            self.length = words.number(answer.fields, "content-length")
            return
        if answer.status == 200 or etag != self._etag:
            raise NameConflict(
                f"{self.name} is another object than it was.",
                why="It was replaced while it was read.",
                todo="Read it again from the beginning.",
            )
        if not answer.fields.get("content-range", "").startswith(f"bytes {self.offset}-"):
            raise BadAnswer("The server sent another range than was asked for.")
