"""The dialect of ranges as a client speaks it: requests to be sent, answers as values.

Rules: no I/O; the words themselves are those of towpath.protocol.ranges, which the server reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from towpath.client.peer import Reply, expect
from towpath.errors import BadAnswer
from towpath.protocol.ranges import told as telling
from towpath.protocol.ranges import wording
from towpath.protocol.ranges.told import Page, Told

PLACE = "ranges/"  # below the server's URL
JSON = {"Content-Type": "application/json"}
_BESIDE = "keep-both"  # where a name is taken
_UNSPOKEN = (404, 405, 501)  # what a server answers that does not know the dialect


def creation(length: int, name: str, on_conflict: str, metadata: Mapping[str, str]) -> bytes:
    """The body that creates an upload."""
    said = wording.describe(length, name, on_conflict or _BESIDE, metadata)
    return json.dumps(said).encode()


def created(reply: Reply) -> Told | None:
    """The upload that was made; None if the server does not speak the dialect."""
    explained = "json" in reply.fields.get("content-type", "")
    if reply.status in _UNSPOKEN or (400 <= reply.status < 500 and not explained):
        return None
    return told(reply)


def chunk(start: int, end: int, length: int) -> dict[str, str]:
    """The fields of a range of an upload of `length` bytes."""
    return {"content-range": wording.content_range(start, end - start, length)}


def look(url: str, after: int) -> str:
    """Where to ask for what is missing from the byte `after` on."""
    return f"{url}?{wording.look(after)}"


def told(reply: Reply) -> Told:
    """What the server says of the upload. Raises the error that it answers, BadAnswer."""
    answer = telling.read(reply.status, expect(reply).body)
    if isinstance(answer, Page):
        return answer.upload
    if not isinstance(answer, Told):
        raise BadAnswer("The server did not say how far the upload is.")
    return answer


def page(reply: Reply) -> Page:
    """Some of what is durable and what is missing. Raises as `told`."""
    answer = telling.read(reply.status, expect(reply).body)
    if not isinstance(answer, Page):
        raise BadAnswer("The server did not say what is missing.")
    return answer
