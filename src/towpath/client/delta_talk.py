"""The `ranges` dialect as a client speaks it: commands out, answers in.

Rules: one exchange at a time, in a worker thread; what a server refuses is raised as the error that
it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from towpath.client import words
from towpath.client.peer import Exchange, Peer, expect
from towpath.codec.cdc import Chunk, Cut, read_map
from towpath.core.command import Append
from towpath.core.transfer import Write
from towpath.errors import BadAnswer
from towpath.protocol import ranges

T = TypeVar("T")

_BLOCK = 64 * 1024  # bytes of a map that are taken at once


class Talk:
    """Speaks with the server of `peer`; `check` is called at every wait and may raise."""

    def __init__(self, peer: Peer, check: Callable[[], None]) -> None:
        self._peer = peer
        self._check = check

    def told(self, command: ranges.Command) -> ranges.Told:
        """Where the upload stands after a command. Raises TowpathError."""
        return _of(self._ask(command), ranges.Told)

    def look(self, key: str) -> ranges.Told:
        """Where the upload stands. Raises NotFound, Expired."""
        return _of(self._ask(ranges.Look(key=key, limit=1)), ranges.Page).upload

    def send(
        self, key: str, write: Write, views: Iterable[memoryview], moved: Callable[[int], None]
    ) -> ranges.Told:
        """Send a range; `moved` is told of each block. Where the upload stands then."""
        command = Append(key=key, write=write)
        with self._open(command, length=write.length) as exchange:
            for view in views:
                if not exchange.send(view):
                    break
                moved(len(view))
            return _of(_read(exchange), ranges.Told)

    def map(self, key: str, cut: Cut, take: Callable[[Iterator[Chunk]], T]) -> T:
        """What `take` makes of the chunks of an object. Raises NotFound, BadAnswer."""
        with self._open(ranges.Map(key=key, cut=cut)) as exchange:
            answer = exchange.answer()
            if answer.status != 200:
                raise words.refusal(answer.status, answer.fields, answer.text())
            block = memoryview(bytearray(_BLOCK))

            def blocks() -> Iterator[memoryview]:
                while taken := answer.read_into(block):
                    yield block[:taken]

            try:
                return take(read_map(blocks()))
            except ValueError as error:
                raise BadAnswer("The server's map cannot be read.", why=f"{error}.") from error

    def _ask(self, command: ranges.Command) -> ranges.Answer:
        _, body = ranges.compose(command)
        with self._open(command, length=len(body) or None) as exchange:
            if body:
                exchange.send(memoryview(body))
            return _read(exchange)

    def _open(self, command: ranges.Command, *, length: int | None = None) -> Exchange:
        head, _ = ranges.compose(command)
        url = f"ranges{head.path}" + (f"?{head.query}" if head.query else "")
        fields = {name: value for name, value in head.fields.items() if name != "content-length"}
        if length is None and head.method == "POST":
            length = 0
        address = self._peer.address(url)
        return self._peer.open(head.method, address, fields, length=length, check=self._check)


def _read(exchange: Exchange) -> ranges.Answer:
    reply = expect(exchange.reply())
    return ranges.read(reply.status, reply.body)


def _of(answer: ranges.Answer, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise BadAnswer("The server did not say how far the upload is.")
    return answer
