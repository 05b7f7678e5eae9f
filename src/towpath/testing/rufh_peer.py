"""A server of Resumable Uploads for HTTP as its suite sees it, in one version of the protocol.

Rules: every request of a draft says its interop version unless the check says otherwise; interim
answers are kept with the final one; uploads are cancelled at the end of a check.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from towpath.testing.conformance import Checks, Skipped, require
from towpath.testing.peer import Begun, Fields, Heard, Peer
from towpath.testing.rawhttp import Answer
from towpath.testing.rufh_versions import ASKED, Version

INTEROP = "Upload-Draft-Interop-Version"
NOTICED = 0.5  # seconds in which a server reads what came before a cut
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*(?:=\s*(-?\d{1,15}|\?[01]|\"[^\"]*\"))?(?:;.*)?")


class RufhPeer(Peer):
    """A URL to which representations can be uploaded."""

    def __init__(
        self,
        url: str,
        version: Version,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        noticed: float = NOTICED,
    ) -> None:
        super().__init__(url, headers=headers, timeout=timeout)
        self.version = version
        self.noticed = noticed

    def fresh(self) -> RufhPeer:
        """The same server, for the next check."""
        return RufhPeer(
            self.url,
            self.version,
            headers=self.headers,
            timeout=self.timeout,
            noticed=self.noticed,
        )

    def spoken(self, fields: Fields | None = None) -> dict[str, str | int]:
        """Fields with those that every request has."""
        number = self.version.interop
        always: dict[str, str | int] = {} if number is None else {INTEROP: number}
        return {**always, **(fields or {})}

    def state(self, *, complete: bool) -> Fields:
        """The field that says whether a request ends the upload."""
        return {self.version.state: "?1" if complete is not self.version.inverted else "?0"}

    def complete(self, heard: Heard) -> bool:
        """What an answer says of completeness, which it must say."""
        value = heard.field(self.version.state)
        if value not in ("?0", "?1"):
            raise heard.wrong(f"{self.version.state}: {value!r} is no boolean")
        return (value == "?1") is not self.version.inverted

    def want_state(self, heard: Heard, *, complete: bool) -> Heard:
        """Fail unless the answer says this of completeness."""
        if self.complete(heard) is not complete:
            raise heard.wrong(f"{self.version.state}: {heard.field(self.version.state)}")
        return heard

    def start(
        self,
        body: bytes,
        *,
        complete: bool = False,
        length: int | None = None,
        fields: Fields | None = None,
        chunked: bool = False,
    ) -> Heard:
        """Ask for an upload by POST; what is created will be cancelled."""
        every = self._started(complete=complete, length=length, fields=fields)
        heard = self.ask("POST", self.url, every, body, chunked=chunked)
        self._remember(heard, complete=complete)
        return heard

    def begin_start(
        self, size: int | None, *, complete: bool = False, fields: Fields | None = None
    ) -> Begun:
        """Ask for an upload, its content still to be sent."""
        every = self._started(complete=complete, length=None, fields=fields)
        return self.begin("POST", self.url, every, length=size)

    def announced(self, begun: Begun) -> str:
        """The URL in the 104 that comes before the content is sent; skips where none comes."""
        try:
            heard = begun.next()
            while heard.status == 100:
                heard = begun.next()
        except TimeoutError:
            raise Skipped("no 104 comes before the content") from None
        return self.location(heard.want(104))

    def create(
        self, body: bytes = b"", *, length: int | None = None, fields: Fields | None = None
    ) -> str:
        """Create an incomplete upload, which must work; its URL."""
        heard = self.start(body, length=length, fields=fields)
        return self.location(heard.want_done())

    def head(self, url: str) -> Heard:
        """Ask for the offset; that there is one is wanted."""
        heard = self.ask("HEAD", url, self.spoken())
        return heard.want(*self.version.told) if self.version.told else heard.want_done()

    def offset(self, url: str) -> int:
        """How far an upload is."""
        return self.head(url).number("Upload-Offset")

    def append(
        self,
        url: str,
        offset: int | str | None,
        body: bytes,
        *,
        complete: bool = False,
        fields: Fields | None = None,
        chunked: bool = False,
    ) -> Heard:
        """Append by PATCH; None sends no offset."""
        every = self._appended(offset, complete=complete, fields=fields)
        return self.ask("PATCH", url, every, body, chunked=chunked)

    def appended(self, url: str, offset: int, body: bytes, *, complete: bool = False) -> Heard:
        """Append, which must work."""
        heard = self.append(url, offset, body, complete=complete)
        ok = () if complete else self.version.appended
        return heard.want(*ok) if ok else heard.want_done()

    def begin_append(
        self, url: str, offset: int, size: int | None, *, complete: bool = False
    ) -> Begun:
        """Append, the content still to be sent. Without a size it is chunked."""
        every = self._appended(offset, complete=complete, fields=None)
        return self.begin("PATCH", url, every, length=size)

    def require_offset(self, url: str, wanted: int, after: Heard) -> None:
        """Fail unless HEAD tells this offset after what was heard."""
        seen = self.offset(url)
        require(seen == wanted, f"{after.asked}: {after.status}, then the offset is {seen}")

    def require_inactive(self, url: str, after: str) -> None:
        """Fail unless the upload is refused, with 404 where the version asks it."""
        heard = self.ask("HEAD", url, self.spoken())
        named = Heard(f"{after}, then HEAD", heard.answer)
        if self.version.asks("404 for what is not active"):
            named.want(404)
        named.want_refused()

    def cut_append(self, url: str, offset: int, body: bytes, *, complete: bool = False) -> None:
        """Append a body that is announced twice as long, and go away after it."""
        with self.begin_append(url, offset, 2 * len(body), complete=complete) as begun:
            begun.send(body)
            time.sleep(self.noticed)
        time.sleep(self.noticed)

    def remove(self, url: str) -> None:
        """Cancel an upload."""
        self.ask("DELETE", url, self.spoken())

    def _started(
        self, *, complete: bool, length: int | None, fields: Fields | None
    ) -> dict[str, str | int]:
        size: Fields = {} if length is None else {"Upload-Length": length}
        if not self.version.asks("length"):
            size = {}
        return self.spoken({**self.state(complete=complete), **size, **(fields or {})})

    def _appended(
        self, offset: int | str | None, *, complete: bool, fields: Fields | None
    ) -> dict[str, str | int]:
        where: Fields = {} if offset is None else {"Upload-Offset": offset}
        kind = {"Content-Type": self.version.append_type}
        return self.spoken({**self.state(complete=complete), **kind, **where, **(fields or {})})

    def _remember(self, heard: Heard, *, complete: bool) -> None:
        for answer in heard.answer.interim:
            if "location" in answer.fields:
                self.location(Heard(heard.asked, answer))
        if heard.done and heard.has("Location") and not complete:
            self.location(heard)


def announcements(heard: Heard) -> list[Answer]:
    """The 104s that lead to an upload."""
    return [a for a in heard.answer.interim if a.status == 104 and "location" in a.fields]


def limits(heard: Heard) -> dict[str, int]:
    """Upload-Limit, which must be a dictionary whose known members are integers."""
    known = {"max-size", "min-size", "max-append-size", "min-append-size", "max-age", "expires"}
    found = {}
    text = heard.field("Upload-Limit")
    for member in text.split(","):
        match = _MEMBER.fullmatch(member)
        if not match:
            raise heard.wrong(f"Upload-Limit: {text!r} is no dictionary")
        if match[1] in known:
            if not (match[2] or "").isdigit():
                raise heard.wrong(f"Upload-Limit: {match[1]} of {text!r} is no number")
            found[match[1]] = int(match[2])
    return found


def always(_: RufhPeer) -> str | None:
    """For checks that every version asks."""
    return None


def asked(what: str) -> Callable[[RufhPeer], str | None]:
    """For checks that some versions ask."""
    if what not in ASKED:
        raise ValueError(what)

    def applies(peer: RufhPeer) -> str | None:
        version = peer.version
        return None if version.asks(what) else f"version {version.name} does not ask it"

    return applies


def new_checks() -> Checks[RufhPeer]:
    """A module's collector. A part of the specification is what tus calls an extension."""
    return Checks(lambda _: always)
