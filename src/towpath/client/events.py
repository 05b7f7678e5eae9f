"""What a server tells of its uploads as it happens: Server-Sent Events, read line by line.

Rules: blocking; a line and an event have a bound, since both come from the other side; comments
and fields that we do not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from towpath.client import words
from towpath.client.peer import Peer
from towpath.client.wire import RECEIVE, Answer
from towpath.errors import BadAnswer

LISTENING = "listening"
"""The event after which news follow: how things stand has been said."""

_LONGEST = 1024 * 1024  # bytes of an event


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind, and the facts."""

    kind: str
    data: dict[str, Any]


def listen(peer: Peer, check: Callable[[], None]) -> Iterator[Event]:
    """The events of all uploads that the caller may see, until the stream ends.

    `check` may raise at any wait. Raises Forbidden, ServerUnreachable, Cut.
    """
    with peer.open("GET", peer.api("events"), {"Accept": "text/event-stream"}, check=check) as line:
        answer = line.answer()
        if answer.status != 200:
            raise words.refusal(answer.status, answer.fields, answer.text(), api=True)
        if "text/event-stream" not in answer.fields.get("content-type", ""):
            raise words.stranger("It does not tell of events.")
        yield from _events(answer)


def _events(answer: Answer) -> Iterator[Event]:
    kind, data = "", ""
    for text in _lines(answer):
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif not text:
            if kind and data:
                yield Event(kind, _facts(data))
            kind, data = "", ""


def _lines(answer: Answer) -> Iterator[str]:
    block, rest = memoryview(bytearray(RECEIVE)), b""
    while taken := answer.read_into(block):
        *whole, rest = (rest + bytes(block[:taken])).split(b"\n")
        for each in whole:
            yield each.rstrip(b"\r").decode("utf-8", "replace")
        if len(rest) > _LONGEST:
            raise BadAnswer("An event of the server is too long.")


def _facts(data: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadAnswer("An event of the server cannot be read.")
    return found
