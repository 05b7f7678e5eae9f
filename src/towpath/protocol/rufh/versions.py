"""How the versions of resumable uploads for HTTP differ on the wire: one row a version.

draft-ietf-httpbis-resumable-upload, its section Draft Version Identification: the number that
`Upload-Draft-Interop-Version` says. -01 is 3, -02 is 4, -03 is 5, -04 and -05 are 6, -06 to -08
are 7, -09 to -11 are 8, -12 is 9. Who says none speaks the form that the RFC will have.
"""

from __future__ import annotations

from dataclasses import dataclass

from towpath.protocol.message import Head
from towpath.protocol.structured import read_boolean, read_integer, write_boolean

NAME = "rufh"
VERSION = "upload-draft-interop-version"
PARTIAL = "application/partial-upload"
ACCEPT_PATCH = ("accept-patch", PARTIAL)

MISMATCHING = "mismatching-upload-offset"
COMPLETED = "completed-upload"
INCONSISTENT = "inconsistent-upload-length"

_STATE = ("upload-offset", "upload-complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interop:
    """One version, where it differs."""

    number: int | None
    completeness: str = "upload-complete"  # the field that says whether an upload is complete
    inverted: bool = False  # ... by saying that it is not
    silence_completes: bool = False  # an append that does not say it is the last one is
    append_type: str | None = PARTIAL  # Content-Type of an append; None: any
    append_status: int = 204  # of an append that did not complete
    offset_statuses: tuple[int, ...] = (204, 200)  # of an offset retrieval; we send the first
    query_forbids: tuple[str, ...] = ()  # fields that an offset retrieval must not have
    cancel_forbids: tuple[str, ...] = ()  # fields that a cancellation must not have
    gone: int = 410  # of an upload that is no more
    lifetime: str | None = "max-age"  # its key in Upload-Limit; None: there is no Upload-Limit
    problems: frozenset[str] = frozenset({MISMATCHING, INCONSISTENT})  # types that exist
    overlong_invalidates: bool = True  # going beyond the length is the end of the upload
    progress: bool = True  # a 104 may tell the offset while content arrives

    def read_completeness(self, head: Head) -> bool | None:
        """Whether a request says that it completes the upload; None: not said, or not readable."""
        value = read_boolean(head.get(self.completeness))
        return None if value is None else value is not self.inverted

    def write_completeness(self, complete: bool) -> tuple[str, str]:
        """The field that says so."""
        return self.completeness, write_boolean(complete is not self.inverted)


_ALL_PROBLEMS = frozenset({MISMATCHING, COMPLETED, INCONSISTENT})

FINAL = Interop(number=None)
"""The form without a version."""

VERSIONS: dict[int, Interop] = {
    3: Interop(
        number=3,
        completeness="upload-incomplete",
        inverted=True,
        silence_completes=True,
        append_type=None,
        append_status=201,
        offset_statuses=(204,),
        query_forbids=("upload-offset", "upload-incomplete"),
        cancel_forbids=("upload-offset", "upload-incomplete"),
        gone=404,
        lifetime=None,
        problems=frozenset(),
        overlong_invalidates=False,
        progress=False,
    ),
    4: Interop(
        number=4,
        silence_completes=True,
        append_type=None,
        append_status=201,
        offset_statuses=(204,),
        query_forbids=_STATE,
        cancel_forbids=_STATE,
        gone=404,
        lifetime=None,
        problems=frozenset(),
        overlong_invalidates=False,
        progress=False,
    ),
    5: Interop(
        number=5,
        silence_completes=True,
        append_type=None,
        append_status=201,
        query_forbids=_STATE,
        cancel_forbids=_STATE,
        gone=404,
        lifetime=None,
        problems=frozenset(),
        overlong_invalidates=False,
    ),
    6: Interop(
        number=6,
        silence_completes=True,
        append_status=201,
        query_forbids=(*_STATE, "upload-length"),
        cancel_forbids=_STATE,
        gone=404,
        lifetime="expires",
        problems=frozenset({MISMATCHING, COMPLETED}),
        overlong_invalidates=False,
    ),
    7: Interop(number=7, problems=_ALL_PROBLEMS),
    8: Interop(number=8, problems=_ALL_PROBLEMS),
    9: Interop(number=9),
}


def version_of(head: Head) -> Interop:
    """The version that a request speaks; FINAL for one that we do not know."""
    number = read_integer(head.get(VERSION))
    if number in VERSIONS:
        return VERSIONS[number]
    inverted = VERSIONS[3].completeness
    return VERSIONS[3] if VERSION not in head.fields and inverted in head.fields else FINAL


def may_inform(head: Head, *, unasked: bool) -> bool:
    """True if a 104 may be sent: the client says a version that we speak.

    `unasked`: also one that says no version. Until the RFC is out its drafts forbid that.
    """
    if VERSION not in head.fields:
        return unasked and version_of(head) is FINAL
    return read_integer(head.get(VERSION)) in VERSIONS
