"""What passes a wire in clear: where requests put bytes, and which offsets answers tell.

Rules: it listens as a wire's tap; a head that passes in two pieces is still heard; memory is
bounded by the number of requests, not of bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from towpath.testing.wire import Connection

_MARK = b" HTTP/1.1\r\n"
_TAIL = 8 * 1024  # bytes within which a head must fit
_REQUEST = re.compile(rb"(PATCH|PUT|POST|HEAD|GET|DELETE|OPTIONS) (/\S*) HTTP/1\.1\r\n")
_PLACE = re.compile(rb"(?i)\r\n(?:upload-offset: *|content-range: *bytes )(\d+)")
_TOLD = re.compile(rb"(?i)\r\nupload-offset: *(\d+)\r\n")
_LOCATION = re.compile(rb"(?i)\r\nlocation: *(?:https?://[^/]*)?(/\S*)")


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head: `place` is where its bytes go, if it says so."""

    method: str
    path: str
    place: int | None


class Overheard:
    """Requests, told offsets and locations, in the order in which they passed."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.locations: list[str] = []
        self.told = 0  # the greatest offset that an answer told
        self._tails: dict[tuple[int, str], bytes] = {}
        self._heard: dict[tuple[int, str], int] = {}  # position after the last head

    def __call__(self, connection: Connection, way: str, piece: memoryview) -> None:
        """Listen to a piece that has passed."""
        key = (connection.number, way)
        data = self._tails.get(key, b"") + piece
        passed = connection.up.passed if way == "up" else connection.down.passed
        start = passed - len(data)  # where `data` begins in its direction
        if way == "up":
            self._listen_up(key, data, start)
        else:
            for told in _TOLD.finditer(data):
                self.told = max(self.told, int(told[1]))
            for location in _LOCATION.finditer(data):
                path = location[1].decode("latin-1")
                if path not in self.locations:
                    self.locations.append(path)
        self._tails[key] = data[-_TAIL:]

    def _listen_up(self, key: tuple[int, str], data: bytes, start: int) -> None:
        mark = data.find(_MARK)
        while mark >= 0:
            lines = _REQUEST.finditer(data, max(0, mark - 4096), mark + len(_MARK))
            request = next((each for each in lines if each.end() == mark + len(_MARK)), None)
            end = data.find(b"\r\n\r\n", mark)
            if request and end >= 0 and start + end > self._heard.get(key, -1):
                self._heard[key] = start + end
                place = _PLACE.search(data, mark, end)
                words = (request[1].decode(), request[2].decode("latin-1"))
                self.requests.append(Request(*words, int(place[1]) if place else None))
            mark = data.find(_MARK, mark + 1)
