"""What the versions of Resumable Uploads for HTTP ask differently, in one table.

Rules: versions are the drafts' interop versions; the RFC, which has none, counts as 9. Where two
drafts share an interop version the later one counts. What stands in no row is asked by all.
"""

from __future__ import annotations

from dataclasses import dataclass

RFC = 9

# What is asked -> the first and the last version that ask it.
ASKED: dict[str, tuple[int, int]] = {
    # drafts only: the final text knows no interop version
    "interop version": (3, 8),
    # -01 to -05: each answer tells offset and completeness; later they are left to HEAD
    "offset in answers": (3, 6),
    "completeness of a creation": (3, 6),
    # -01 to -05: HEAD and DELETE with the upload's fields get 400, inactive uploads 404
    "bare requests": (3, 6),
    "404 for what is not active": (3, 6),
    "success at the end": (3, 6),
    "204 for a cancellation": (3, 7),
    # since -02
    "no location in progress": (4, RFC),
    "lengths that agree": (4, RFC),
    # since -04, -05: application/partial-upload, Upload-Length, Upload-Limit, problems, digests
    "media type": (6, RFC),
    "length": (6, RFC),
    "limits": (6, RFC),
    "limits in options": (6, 7),
    "problems": (6, RFC),
    "digests": (6, RFC),
    "content codings": (6, RFC),
    "complete uploads are closed": (6, RFC),
    "no offset beyond the length": (6, RFC),
    # since -06
    "completeness of the last answer": (7, RFC),
    "fields that cannot be read": (7, RFC),
    "length of an append": (7, RFC),
    # since -08
    "uploads that exceeded are invalid": (7, RFC),
    # since -09, -10
    "limits in head": (8, RFC),
    "accept-patch": (8, RFC),
    "limits with 413": (8, RFC),
    "limits in 104": (8, RFC),
    "100 beside 104": (8, RFC),
    "one location": (8, RFC),
    "progress": (8, RFC),
    "termination of requests": (8, RFC),
}


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the protocol."""

    name: str  # as --interop takes it
    draft: str
    number: int

    @property
    def interop(self) -> int | None:
        """What Upload-Draft-Interop-Version says."""
        return None if self.number == RFC else self.number

    @property
    def inverted(self) -> bool:
        """True if the field says that an upload is incomplete, as in -01."""
        return self.number == 3

    @property
    def state(self) -> str:
        """The field of completeness."""
        return "Upload-Incomplete" if self.inverted else "Upload-Complete"

    @property
    def append_type(self) -> str:
        """The media type of an append."""
        typed = self.asks("media type")
        return "application/partial-upload" if typed else "application/octet-stream"

    @property
    def told(self) -> tuple[int, ...]:
        """The statuses of a successful offset retrieval; none means any 2xx."""
        return (204,) if self.number <= 4 else (200, 204) if self.number <= 6 else ()

    @property
    def appended(self) -> tuple[int, ...]:
        """The statuses of a successful append; none means any 2xx."""
        return (201,) if self.number <= 5 else ()

    def asks(self, what: str) -> bool:
        """Whether a row of the table holds."""
        first, last = ASKED[what]
        return first <= self.number <= last


VERSIONS: dict[str, Version] = {
    version.name: version
    for version in (
        Version("3", "draft-ietf-httpbis-resumable-upload-01", 3),
        Version("4", "draft-ietf-httpbis-resumable-upload-02", 4),
        Version("5", "draft-ietf-httpbis-resumable-upload-03", 5),
        Version("6", "draft-ietf-httpbis-resumable-upload-05", 6),
        Version("7", "draft-ietf-httpbis-resumable-upload-08", 7),
        Version("8", "draft-ietf-httpbis-resumable-upload-12", 8),
        Version("rfc", "the RFC", RFC),
    )
}
