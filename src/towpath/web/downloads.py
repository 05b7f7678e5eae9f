"""GET and HEAD of /files/{id}: objects, and with `?follow` uploads whose rest still arrives.

Rules: who shows a link reads what it names and no more; what is cached under a link does not
outlive it; a reader who follows an upload and goes away is not read for any longer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any

from towpath.core.caller import Caller
from towpath.engine.engine import Engine
from towpath.engine.follow import Follow
from towpath.engine.shelf import Opened, Shelf
from towpath.errors import LimitReached, NotFound
from towpath.protocol.download import (
    Delivery,
    cache_control,
    deliver,
    deliver_arriving,
    keys_beside,
)
from towpath.protocol.message import Head, Reply
from towpath.protocol.problem import problem
from towpath.web.body import Send, send_object, send_reading, send_reply, start_of
from towpath.web.intake import query_of
from towpath.web.links import Links
from towpath.web.unpacked import for_reader, is_packed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_FOLLOWERS = 256
"""Readers of uploads that still arrive, at once."""


class Downloads:
    """Says what a reader gets."""

    def __init__(
        self,
        engine: Engine,
        shelf: Shelf,
        links: Links,
        *,
        follow: bool,
        patience: float,
        cache_seconds: int,
        cache_shared: bool,
    ) -> None:
        """`follow`: uploads may be read while they arrive; `patience`: seconds between two bytes.

        `cache_...`: how long objects may be kept, and by whom.
        """
        self._engine = engine
        self._shelf = shelf
        self._links = links
        self._follow = follow
        self._patience = patience
        self._cache_seconds = cache_seconds
        self._cache_shared = cache_shared
        self._followers: set[Arriving] = set()

    async def fetch(self, caller: Caller, head: Head, key: str) -> Whole | Arriving | Reply:
        """What to send. Raises NotFound, Expired, Forbidden, StoreLost, LimitReached."""
        try:
            opened = await self._shelf.open(caller, key)
        except NotFound:
            if not self._follow or "follow" not in query_of(head):
                raise
            return await self._arriving(caller, head, key)
        varies = is_packed(opened)
        opened = await for_reader(head, opened)
        whole = Whole(self._delivery(head, opened), opened)
        if self._links.find(head) is None:
            whole = whole.with_fields(*keys_beside(opened.object, opened.name))
        return whole.with_fields(("vary", "accept")) if varies else whole

    def _delivery(self, head: Head, opened: Opened) -> Delivery:
        seconds, name, kind = self._cache_seconds, opened.name, "attachment"
        link = self._links.find(head)
        if link is not None:
            seconds = min(seconds, link.expires - self._links.clock.now() // 1000)
            name, kind = link.filename or name, link.kind
        return deliver(
            head,
            opened.object,
            name,
            boundary=secrets.token_hex(16),
            cache=cache_control(seconds, shared=self._cache_shared),
            kind=kind,
        )

    async def _arriving(self, caller: Caller, head: Head, key: str) -> Arriving | Reply:
        if len(self._followers) >= MOST_FOLLOWERS:
            raise LimitReached(
                "Too many follow uploads now.",
                why=f"At most {MOST_FOLLOWERS} may at once.",
                todo="Try again soon, or read it when it is complete.",
            )
        following = Follow(self._engine, self._shelf, caller, key, patience=self._patience)
        reply, (start, end) = deliver_arriving(head, await following.begin())
        if reply.status == 416 or head.method == "HEAD":
            return reply
        return Arriving(following, reply, start, end, self._followers)


class Whole:
    """An object, or parts of it, to be sent."""

    def __init__(self, delivery: Delivery, opened: Opened) -> None:
        self._delivery = delivery
        self._opened = opened

    def with_fields(self, *fields: tuple[str, str]) -> Whole:
        """The same with further fields in its head."""
        reply = self._delivery.reply.with_fields(*fields)
        return Whole(replace(self._delivery, reply=reply), self._opened)

    async def send(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it. Raises StoreError."""
        await send_object(scope, send, self._delivery, self._opened)


class Arriving:
    """Bytes of an upload, to be sent as they become durable."""

    def __init__(
        self,
        following: Follow,
        reply: Reply,
        start: int,
        end: int | None,
        followers: set[Arriving],
    ) -> None:
        """`followers`: who is counted while sending."""
        self._following = following
        self._reply = reply
        self._start = start
        self._end = end
        self._followers = followers

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until all is sent or the reader is gone. Raises what ends the upload before."""
        if self._start == self._end:
            await send_reply(scope, send, self._reply)
            return
        self._followers.add(self)
        leaving = asyncio.ensure_future(gone(receive))
        try:
            await send(start_of(self._reply))
            # Some servers hold the head back until the body begins.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            await self._send_pieces(scope, send, leaving)
        finally:
            self._followers.discard(self)
            leaving.cancel()

    async def _send_pieces(self, scope: Scope, send: Send, leaving: asyncio.Future[None]) -> None:
        at, end = self._start, self._end
        while end is None or at < end:
            waiting = asyncio.ensure_future(self._following.until_there(at, end))
            both: set[asyncio.Future[Any]] = {waiting, leaving}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                return
            there = waiting.result()
            if there <= at:
                break
            reading = await self._following.read(at, there)
            try:
                await send_reading(
                    _without_length(scope, end), send, reading, there - at, last=there == end
                )
            finally:
                await asyncio.to_thread(reading.close)
            at = there
        if end is None:
            await send({"type": "http.response.body", "body": b""})


def _without_length(scope: Scope, end: int | None) -> Scope:
    """A body whose length is not known goes out in chunks, and not past Python."""
    return scope if end is not None else {**scope, "extensions": {}}


async def gone(receive: Receive) -> None:
    """Return when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def incomplete(state: str, offset: int) -> Reply:
    """The reply to who would read what is not complete."""
    return problem(
        409,
        "The upload is not complete yet.",
        why=f"It is {state}; {offset} bytes are durable.",
        todo="Read it when all its bytes have come.",
        code="incomplete",
    )
