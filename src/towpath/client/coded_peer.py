"""A server whose coded objects look like the files that they hold, to whoever downloads from it.

Rules: what is not coded passes through untouched; an object is looked at once; it shares the
connections of the peer that it stands before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from towpath.client.coded import AS_STORED
from towpath.client.memory import SHARED, Memory
from towpath.client.peer import Exchange, Peer, Reply, expect
from towpath.client.wire import Answer
from towpath.codec import MEDIA_TYPES, PACKED
from towpath.errors import BadAnswer

if TYPE_CHECKING:
    from towpath.client.coded_object import CodedObject
    from towpath.codec.keys import Opens


def _nobody() -> None:
    """No wish to stop."""


class Decoding(Peer):
    """The server of `peer`. `keys`: what may open its encrypted objects.

    `sealed`: encrypted objects are opened, or an error; else they are what is stored.
    """

    def __init__(
        self,
        peer: Peer,
        keys: Sequence[Opens],
        *,
        sealed: bool = True,
        memory: Memory = SHARED,
    ) -> None:
        vars(self).update(vars(peer))  # the same dialer, token and idle connections
        self._plain_peer = peer
        self._keys = keys
        self._kinds = MEDIA_TYPES if sealed else (PACKED,)
        self._memory = memory
        self._seen: dict[str, CodedObject | None] = {}

    def ask(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None = None,
        *,
        check: Callable[[], None] = _nobody,
        again: bool = False,
    ) -> Reply:
        """A request without a body; what it says of a coded object is said of its file."""
        if method == "HEAD":
            return self._looked(url, fields or {}, check, again=again)
        reply = self._plain_peer.ask(method, url, fields, check=check, again=again)
        if method == "GET" and reply.ok and url.startswith(self.api("names", "")):
            return self._told(reply, check)
        return reply

    @property
    def stored(self) -> Peer:
        """The same server, with its objects as they are stored."""
        return self._plain_peer

    def coded(self, url: str, check: Callable[[], None] = _nobody) -> CodedObject | None:
        """The object at `url` as the file in its chunks; None if it is not coded.

        Raises Unreadable, WrongKey, and what the server says when it cannot say that.
        """
        if url not in self._seen:
            reply = self._looked(url, {}, check, again=True)
            if url not in self._seen:
                expect(reply)  # which it is not: ask again later
        return self._seen[url]

    def done_with(self) -> None:
        """Close the idle connections."""
        self._plain_peer.done_with()

    def _looked(
        self, url: str, fields: Mapping[str, str], check: Callable[[], None], *, again: bool
    ) -> Reply:
        """The answer to HEAD, after which it is known whether the object is coded."""
        stored = {**fields, **AS_STORED}
        reply = self._plain_peer.ask("HEAD", url, stored, check=check, again=again)
        if url not in self._seen and not _may_pass(reply):
            kind = reply.fields.get("content-type") if reply.ok else None
            self._seen[url] = self._open(url, check) if kind in self._kinds else None
        coded = self._seen.get(url)
        return reply if coded is None or not reply.ok else reply._replace(fields=_facts(coded))

    def _told(self, reply: Reply, check: Callable[[], None]) -> Reply:
        """The record of a name, with what is true of the file."""
        record = reply.json()
        href = record.get("href")
        if not isinstance(href, str):
            return reply
        url = self.address(href)
        if url not in self._seen:
            kind = record.get("media_type")
            self._seen[url] = self._open(url, check) if kind in self._kinds else None
        if (coded := self._seen[url]) is None:
            return reply
        digests = {"crc64nvme": f"{coded.crc:016x}"}
        told = {**record, "length": coded.length, "etag": coded.etag, "digests": digests}
        return reply._replace(body=json.dumps(told).encode())

    def open(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | None = None,
        *,
        length: int | None = None,
        check: Callable[[], None] = _nobody,
    ) -> Exchange:
        """Send the head of a request; a GET of a coded object gets its file."""
        if method == "GET" and (coded := self.coded(url, check)) is not None:
            return _Decoded(coded, fields or {}, check)
        return self._plain_peer.open(method, url, fields, length=length, check=check)

    def _open(self, url: str, check: Callable[[], None]) -> CodedObject:
        from towpath.client.coded_object import CodedObject  # noqa: PLC0415 - slow to import

        return CodedObject(self._plain_peer, url, self._keys, check, self._memory)


def _may_pass(reply: Reply) -> bool:
    """True if the server only has no time to say what it has."""
    return reply.status >= 500 or reply.status == 429


def _facts(coded: CodedObject) -> dict[str, str]:
    from towpath.core.digest import CRC64NVME, crc_bytes, format_digests  # noqa: PLC0415 - slow

    return {
        "content-length": str(coded.length),
        "etag": coded.etag,
        "accept-ranges": "bytes",
        "repr-digest": format_digests({CRC64NVME: crc_bytes(coded.crc)}),
    }


class _Decoded(Exchange):
    """A GET that is answered from the chunks of an object."""

    def __init__(
        self, coded: CodedObject, fields: Mapping[str, str], check: Callable[[], None]
    ) -> None:
        start, end = _span(fields, coded)
        self._answer = _File(coded, start, end, check)

    def answer(self) -> Answer:
        return self._answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._answer.close()


class _File(Answer):
    """Bytes of the file, as an answer's body."""

    def __init__(self, coded: CodedObject, start: int, end: int, check: Callable[[], None]) -> None:
        self.status = 200
        self.fields = _facts(coded)
        if (start, end) != (0, coded.length):
            self.status = 206
            self.fields["content-range"] = f"bytes {start}-{end - 1}/{coded.length}"
            self.fields["content-length"] = str(end - start)
        self._blocks: Generator[memoryview, None, None] = coded.blocks(start, end, check)
        self._block = memoryview(b"")

    def read_into(self, view: memoryview) -> int:
        self._next()
        taken = min(len(view), len(self._block))
        view[:taken] = self._block[:taken]
        self._block = self._block[taken:]
        return taken

    def take(self, block: memoryview) -> memoryview:
        self._next()
        taken, self._block = self._block, memoryview(b"")
        return taken

    def _next(self) -> None:
        if not self._block:
            self._block = next(self._blocks, memoryview(b""))

    def close(self) -> None:
        """Let go of the connection that the chunks come over."""
        self._blocks.close()


def _span(fields: Mapping[str, str], coded: CodedObject) -> tuple[int, int]:
    """The bytes that a Range asks for, as `bytes=FIRST-` or `bytes=FIRST-LAST`; else all."""
    wanted = fields.get("Range", "")
    if not wanted or fields.get("If-Range", coded.etag) != coded.etag:
        return 0, coded.length
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first.isdigit() or int(first) >= coded.length:
        raise BadAnswer("That range is not in the file.", why=f"It has {coded.length} bytes.")
    return int(first), min(int(last) + 1, coded.length) if last.isdigit() else coded.length
