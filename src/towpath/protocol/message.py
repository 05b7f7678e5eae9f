"""The head of a request and the reply to it, as values; bodies pass elsewhere.

Rules: field names are lower-case inside; fields of the same name are joined by ", " in order
(RFC 9110 section 5.3); values are Latin-1 text without surrounding white space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request without its body. `path` is decoded and relative to where the dialect lives."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    base: str = ""  # where the dialect lives, for Locations, without a slash at the end
    query: str = ""  # as it was sent, without the question mark
    root: str = ""  # where the application lives, if it is mounted below another one
    trailers: bool = False  # what comes behind a chunked body can be read

    def get(self, name: str) -> str | None:
        """The field's value, or None."""
        return self.fields.get(name)

    @property
    def has_body(self) -> bool:
        """True if body bytes are announced."""
        length = self.get("content-length")
        return "transfer-encoding" in self.fields or (
            length is not None and length.strip("0") != ""
        )

    @property
    def holds_back(self) -> bool:
        """True if the body comes only once it is asked for (RFC 9110 section 10.1.1)."""
        return (self.get("expect") or "").strip().lower() == "100-continue"


def join_fields(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Raw header fields as the mapping that `Head` wants."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered. `closes` asks for the connection to end after it."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    closes: bool = False

    def with_fields(self, *fields: tuple[str, str]) -> Reply:
        """The reply with further fields; a name that it has already keeps its value."""
        have = {name.lower() for name, _ in self.fields}
        more = tuple(pair for pair in fields if pair[0].lower() not in have)
        return Reply(
            status=self.status, fields=self.fields + more, body=self.body, closes=self.closes
        )
