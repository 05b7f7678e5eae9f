"""Answers on their way out: small replies whole, objects block by block or by the kernel.

Rules: no more than one block of an object is held; nobody reads ahead of a slow client; a reply
to a request whose body was not read asks for the connection to close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from towpath.engine.shelf import Opened
from towpath.errors import StoreError, StoreLost
from towpath.protocol.download import Delivery
from towpath.protocol.message import Reply
from towpath.store.base import Reading

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def send_reply(
    scope: MutableMapping[str, Any],
    send: Send,
    reply: Reply,
    *,
    unread: bool = False,
    linger: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Send a reply; `unread`: the request's body was not read.

    `linger` is waited for when all is sent, before the connection may close: a close on bytes that
    are still coming makes the kernel send RST, which may destroy the reply (RFC 9112 section 9.6).
    """
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.fields]
    bodiless = reply.status in {204, 304} or reply.status < 200
    if not bodiless and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    if (unread or reply.closes) and "towpath.sendfile" not in scope.get("extensions", {}):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if bodiless or scope["method"] == "HEAD" else reply.body
    if linger is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await linger()
        body = b""
    await send({"type": "http.response.body", "body": body})


async def send_object(
    scope: MutableMapping[str, Any], send: Send, delivery: Delivery, opened: Opened
) -> None:
    """Send what a delivery says of an object. Raises StoreError before the head is sent."""
    if not delivery.pieces or scope["method"] == "HEAD":
        await send_reply(scope, send, delivery.reply)
        return
    loop = asyncio.get_running_loop()
    start: MutableMapping[str, Any] | None = start_of(delivery.reply)
    for piece in delivery.pieces:
        reading = await loop.run_in_executor(None, opened.read, piece.start, piece.end)
        last = piece is delivery.pieces[-1] and not delivery.after
        try:
            if start is not None:
                await send(start)
            start = None
            if piece.before:
                await send({"type": "http.response.body", "body": piece.before, "more_body": True})
            await send_reading(scope, send, reading, piece.end - piece.start, last=last)
        finally:
            await loop.run_in_executor(None, reading.close)
    if delivery.after:
        await send({"type": "http.response.body", "body": delivery.after})


def start_of(reply: Reply) -> MutableMapping[str, Any]:
    """The message that begins an answer."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.fields]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def send_reading(
    scope: MutableMapping[str, Any], send: Send, reading: Reading, count: int, *, last: bool
) -> None:
    """Send the `count` bytes of a reading; `last`: nothing of the body comes behind them."""
    if reading.file is not None and "towpath.sendfile" in scope.get("extensions", {}):
        descriptor, offset, size = reading.file
        message = {"type": "towpath.sendfile", "fd": descriptor, "offset": offset, "count": size}
        await send({**message, "more_body": not last})
    else:
        await _send_blocks(send, reading, count, last=last)


async def _send_blocks(send: Send, reading: Reading, count: int, *, last: bool) -> None:
    loop = asyncio.get_running_loop()
    blocks = iter(reading)
    left = count
    while left:
        body = await loop.run_in_executor(None, _copy_next, blocks)
        if not body or len(body) > left:
            raise StoreLost(
                "The object's bytes ended early.",
                why=f"{left} of them are missing.",
                todo="Run a scrub; restore the object from a copy.",
            )
        left -= len(body)
        await send({"type": "http.response.body", "body": body, "more_body": left > 0 or not last})


def _copy_next(blocks: Iterator[memoryview]) -> bytes:
    """The next block as bytes that stay, since the reader's buffer is used again."""
    try:
        return bytes(next(blocks, b""))
    except OSError as error:
        raise StoreError("The object cannot be read.", why=f"{error}.") from error
