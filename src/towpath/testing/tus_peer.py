"""A tus 1.0 server as its suite sees it.

Rules: every request says Tus-Resumable unless the check says otherwise; what the server offers is
asked once for each URL; a check of an extension that is not offered is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from towpath.testing.conformance import Checks, Skipped, require
from towpath.testing.peer import Fields, Heard, Peer

VERSION = "1.0.0"
BODY = "application/offset+octet-stream"
SETTLES_IN = 5.0  # seconds that a server has to notice that a client went away


class TusPeer(Peer):
    """A URL at which uploads are created."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        options: Heard | None = None,
    ) -> None:
        super().__init__(url, headers=headers, timeout=timeout)
        self.options = options or self.ask("OPTIONS", url)

    def fresh(self) -> TusPeer:
        """The same server, for the next check."""
        headers, options = self.headers, self.options
        return TusPeer(self.url, headers=headers, timeout=self.timeout, options=options)

    @property
    def extensions(self) -> list[str]:
        """What Tus-Extension lists."""
        return self.options.words("Tus-Extension")

    def say(
        self,
        method: str,
        url: str,
        fields: Fields | None = None,
        body: bytes | None = None,
        *,
        chunked: bool = False,
        trailers: Fields | None = None,
    ) -> Heard:
        """Ask in tus."""
        fields = {"Tus-Resumable": VERSION, **(fields or {})}
        return self.ask(method, url, fields, body, chunked=chunked, trailers=trailers)

    def post(self, fields: Fields, body: bytes | None = None) -> Heard:
        """Ask for a creation; what is created will be removed."""
        if body is not None:
            fields = {"Content-Type": BODY, **fields}
        heard = self.say("POST", self.url, fields, body)
        if heard.done and heard.has("Location"):
            self.location(heard)
        return heard

    def create(self, length: int | None, fields: Fields | None = None) -> str:
        """Create an upload (None: its length comes later), which must work; its URL."""
        size: Fields = {"Upload-Defer-Length": 1} if length is None else {"Upload-Length": length}
        return self.location(self.post({**size, **(fields or {})}).want(201))

    def patch(
        self,
        url: str,
        offset: int | str | None,
        body: bytes,
        fields: Fields | None = None,
        *,
        chunked: bool = False,
        trailers: Fields | None = None,
    ) -> Heard:
        """Send a chunk; None sends no offset."""
        where: Fields = {} if offset is None else {"Upload-Offset": offset}
        every = {"Content-Type": BODY, **where, **(fields or {})}
        return self.say("PATCH", url, every, body, chunked=chunked, trailers=trailers)

    def head(self, url: str) -> Heard:
        """Ask how far an upload is; that there is one is wanted."""
        return self.say("HEAD", url).want(200, 204)

    def offset(self, url: str) -> int:
        """How far an upload is."""
        return self.head(url).number("Upload-Offset")

    def uploaded(self, body: bytes, fields: Fields | None = None) -> str:
        """A complete upload with these bytes."""
        url = self.create(len(body), fields)
        if body:
            self.patch(url, 0, body).want(204)
        return url

    def settled_offset(self, url: str, wanted: int) -> int:
        """The offset once it is what is wanted, or after some seconds."""
        deadline = time.monotonic() + SETTLES_IN
        while True:
            heard = self.say("HEAD", url)
            if heard.status in (200, 204) and heard.number("Upload-Offset") == wanted:
                return wanted
            if time.monotonic() > deadline:
                return heard.want(200, 204).number("Upload-Offset")
            time.sleep(0.1)

    def require_offset(self, url: str, wanted: int, after: Heard) -> None:
        """Fail unless HEAD tells this offset after what was heard."""
        seen = self.offset(url)
        require(seen == wanted, f"{after.asked}: {after.status}, then the offset is {seen}")

    def download(self, url: str) -> bytes:
        """What GET gives, on a server that gives uploads back (the protocol does not ask it)."""
        heard = self.ask("GET", url)
        if heard.status != 200:
            raise Skipped(f"the server does not give uploads back: GET answers {heard.status}")
        return heard.answer.body

    def remove(self, url: str) -> None:
        """Terminate an upload, where that is offered."""
        if "termination" in self.extensions:
            self.say("DELETE", url)


def offered(extension: str) -> Callable[[TusPeer], str | None]:
    """Whether checks of an extension apply: most need an upload, which creation makes."""
    return offered_with() if extension == "core" else offered_with(extension)


def offered_with(*extensions: str) -> Callable[[TusPeer], str | None]:
    """Whether checks apply that need all of these."""
    needs = {"creation", *extensions}

    def applies(peer: TusPeer) -> str | None:
        missing = sorted(needs - set(peer.extensions))
        return f"{missing[0]} is not offered" if missing else None

    return applies


def always(_: TusPeer) -> str | None:
    """For checks that need no upload."""
    return None


def new_checks() -> Checks[TusPeer]:
    """A module's collector."""
    return Checks(offered)
