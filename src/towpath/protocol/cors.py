"""Which pages of other origins may ask, and what they may see: CORS, as the Fetch standard has it.

Rules: an origin is allowed as a whole, exactly; "*" never goes with credentials; every answer tells
its caches that it depends on the origin; what is not allowed gets no field and no hint. A page of
this server's own origin needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from towpath.protocol.message import Reply
from towpath.protocol.problem import problem

METHODS = ("OPTIONS", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

READS = (
    "Authorization", "Cache-Control", "Content-Digest", "Content-Disposition", "Content-Encoding",
    "Content-Range", "Content-Type", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
    "If-Unmodified-Since", "Range", "Repr-Digest", "Tus-Resumable", "Upload-Checksum",
    "Upload-Complete", "Upload-Concat", "Upload-Defer-Length", "Upload-Draft-Interop-Version",
    "Upload-Incomplete", "Upload-Length", "Upload-Metadata", "Upload-Offset", "Want-Content-Digest",
    "Want-Repr-Digest", "X-HTTP-Method-Override", "X-Request-Id", "X-Requested-With",
)  # fmt: skip
"""Fields of requests that we read, or that clients are known to send."""

TELLS = (
    "Accept-Patch", "Accept-Ranges", "Allow", "Content-Digest", "Content-Disposition",
    "Content-Encoding", "Content-Length", "Content-Range", "ETag", "Last-Modified", "Link",
    "Location", "Repr-Digest", "Retry-After", "Tus-Checksum-Algorithm", "Tus-Extension",
    "Tus-Max-Size", "Tus-Resumable", "Tus-Version", "Upload-Complete", "Upload-Concat",
    "Upload-Defer-Length", "Upload-Draft-Interop-Version", "Upload-Expires", "Upload-Incomplete",
    "Upload-Length", "Upload-Limit", "Upload-Metadata", "Upload-Name", "Upload-Offset",
    "WWW-Authenticate", "X-Request-Id",
)  # fmt: skip
"""Fields of answers that a page may see."""

MOST_FIELDS = 64
"""Further names of fields that one preflight may ask for."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PORTS = {"http": "80", "https": "443"}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Who may ask. `origins` are as `read_origin` gives them; `max_age`: seconds."""

    origins: frozenset[str] = frozenset()
    anyone: bool = False  # pages of every origin
    credentials: bool = False  # they may send cookies and the like; not with `anyone`
    max_age: int = 0  # that a browser may remember a preflight

    @property
    def any(self) -> bool:
        """True if there are pages that may."""
        return self.anyone or bool(self.origins)

    def allows(self, origin: str) -> bool:
        """True if pages of this origin may ask."""
        return self.anyone or origin in self.origins

    def fields(self, origin: str | None) -> Pairs:
        """What every answer has; `origin` as the request says it."""
        if not self.any:
            return ()
        said = [("vary", "Origin")]
        if origin is not None and self.allows(origin):
            said.append(("access-control-allow-origin", "*" if self.anyone else origin))
            said.append(("access-control-expose-headers", ", ".join(TELLS)))
            if self.credentials and not self.anyone:
                said.append(("access-control-allow-credentials", "true"))
        return tuple(said)

    def preflight(self, method: str, fields: Mapping[str, str]) -> Reply | None:
        """The answer to a browser that asks whether a page may ask; None for another request.

        The fields of `fields()` go with it. It says nothing about what is at the address.
        """
        origin, asked = fields.get("origin"), fields.get("access-control-request-method")
        if method != "OPTIONS" or origin is None or asked is None or not self.any:
            return None
        if not self.allows(origin):
            return problem(
                403,
                "Pages of this origin may not ask here.",
                why="It is none of those that the server was told of.",
                todo="Ask who runs the server to allow it by the setting cors_origins.",
                code="origin",
            )
        more = _names(fields.get("access-control-request-headers") or "")
        said = [
            ("access-control-allow-methods", ", ".join(METHODS)),
            ("access-control-allow-headers", ", ".join((*READS, *more))),
            ("access-control-max-age", str(self.max_age)),
            ("content-length", "0"),
        ]
        if fields.get("access-control-request-private-network") == "true":
            said.append(("access-control-allow-private-network", "true"))
        return Reply(status=200, fields=tuple(said))


def _names(field: str) -> Iterable[str]:
    """Names that are asked for beyond those we read: a page that is let in may send any."""
    known = {name.lower() for name in READS}
    asked = [name.strip() for name in field.split(",")][:MOST_FIELDS]
    return [name for name in asked if _NAME.fullmatch(name) and name.lower() not in known]


def read_origin(text: str) -> str:
    """An origin as browsers write it (RFC 6454 section 6.2). Raises ValueError for what is none."""
    found = _ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(text)
    scheme, host, port = found.groups()
    plain = port is None or port == _PORTS.get(scheme)
    return f"{scheme}://{host}" if plain else f"{scheme}://{host}:{port}"
