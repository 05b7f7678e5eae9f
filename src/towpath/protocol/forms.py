"""multipart/form-data read as it comes (RFC 7578, RFC 2046 section 5.1); no I/O.

Rules:
- A form is fed block by block, cut wherever; the same form gives the same fields and bytes.
- Bytes of files are slices of the block they came in; what is kept between two blocks is a part's
  head, a field's value, or fewer bytes than a delimiter has.
- Fields together, heads and the count of parts are bounded; files are not.
- Lines end in CRLF, or all in LF if the first one does.
- Whatever comes, the only error is Malformed, and it names the field.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Collection
from dataclasses import dataclass

from towpath.errors import Malformed
from towpath.protocol.fields import read_media_type

MOST_FIELD_BYTES = 64 * 1024
"""Names and values of all fields of a form together."""

MOST_PARTS = 128
MOST_HEAD = 8 * 1024
MOST_AROUND = 1024
"""Bytes before the first delimiter, or behind the last."""

_MOST_PADDING = 70
_WINDOW = 64 * 1024  # searched at once: small enough for a processor's cache

_MEDIA_TYPE = "multipart/form-data"
_BOUNDARY = re.compile(
    r""";\s*boundary=(?:"([0-9A-Za-z'()+_,./:=? -]{1,70})"|([0-9A-Za-z'()+_,./:=?-]{1,70}))"""
    r"\s*(?:;|\Z)",
    re.IGNORECASE,
)
_LINE = re.compile(rb"[ \t]*(\r?\n)")
_LINE_SO_FAR = re.compile(rb"-|[ \t]*\r?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_PARAMETER = re.compile(
    r"""\s*;\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]*))\s*"""
)
_EXTENDED = re.compile(r"utf-8'[^']*'(.*)\Z", re.IGNORECASE | re.DOTALL)
_IDENTITY = {"7bit", "8bit", "binary"}
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}
_EMPTY = memoryview(b"")


@dataclass(frozen=True, slots=True)
class Field:
    """A small field, whole."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileBegin:
    """A file part begins. `filename` is as it was sent: a stranger's word."""

    name: str
    filename: str | None
    media_type: str | None


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Bytes of the file; valid as long as the block that was fed."""

    view: memoryview


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The file part has ended."""


@dataclass(frozen=True, slots=True)
class FormEnd:
    """The last delimiter was read."""


Event = Field | FileBegin | FileBytes | FileEnd | FormEnd


def is_form(content_type: str | None) -> bool:
    """True if that is a form with files."""
    return content_type is not None and (
        content_type.partition(";")[0].strip().lower() == _MEDIA_TYPE
    )


def read_boundary(content_type: str | None) -> bytes:
    """The boundary that a Content-Type names. Raises Malformed."""
    match = _BOUNDARY.search(content_type or "") if is_form(content_type) else None
    boundary = (match[1] or match[2]) if match is not None else ""
    if not boundary or boundary.endswith(" "):
        raise Malformed(
            "The body is not a form that can be read.",
            field="Content-Type",
            why=f"It must be {_MEDIA_TYPE} with a boundary of 1 to 70 characters.",
            todo="Let your HTTP library make the form and its Content-Type.",
        )
    return boundary.encode("ascii")


class FormReader:
    """Turns the blocks of one form into events. After an error it is of no use."""

    def __init__(self, boundary: bytes, *, files: Collection[str] = ()) -> None:
        """Parts with a file name are files, and so are those whose name is one of `files`."""
        self._dashes = b"--" + boundary
        self._eol = b""  # as the first delimiter's line ends
        self._delimiter = b""
        self._files = frozenset(files)
        self._state: Callable[[memoryview, list[Event]], memoryview] = self._open
        self._kept = bytearray()
        self._tail = b""  # content, unless the next bytes make a delimiter of it
        self._name = ""  # of the part that is read
        self._is_file = False
        self._room = MOST_FIELD_BYTES
        self._parts = 0
        self._around = 0
        self.ended = False

    @property
    def held(self) -> int:
        """Bytes of the file kept back because they may belong to a delimiter."""
        return len(self._tail) if self._is_file else 0

    def feed(self, block: memoryview) -> list[Event]:
        """What the block says. Raises Malformed."""
        events: list[Event] = []
        while len(block):
            block = self._state(block, events)
        return events

    def finish(self) -> None:
        """Call when the body has ended. Raises Malformed if the form has not."""
        if not self.ended:
            raise self._malformed("The form ended too early.", "Its last delimiter is missing.")

    # --- states: each takes what it can of a block and returns the rest ----------------------

    def _open(self, block: memoryview, _events: list[Event]) -> memoryview:
        """Before the first delimiter, which stands at the start of a line."""
        before = self._keep(block, MOST_AROUND + len(self._dashes))
        at = self._kept.find(self._dashes)
        while at > 0 and self._kept[at - 1] != 0x0A:
            at = self._kept.find(self._dashes, at + 1)
        if at < 0:
            if len(self._kept) == MOST_AROUND + len(self._dashes):
                raise self._malformed("The form cannot be read.", "Its boundary is not found.")
            return _EMPTY
        return self._go(self._line, block, at + len(self._dashes) - before)

    def _line(self, block: memoryview, events: list[Event]) -> memoryview:
        """Behind a delimiter: two dashes, or the rest of the line (RFC 2046 section 5.1.1)."""
        before = self._keep(block, _MOST_PADDING)
        if self._kept.startswith(b"--"):
            self.ended = True
            events.append(FormEnd())
            return self._go(self._close, block, 2 - before)
        line = _LINE.match(self._kept)
        if line is None:
            if len(self._kept) < _MOST_PADDING and _LINE_SO_FAR.fullmatch(self._kept):
                return _EMPTY
            raise self._malformed("The form cannot be read.", "Something follows a boundary.")
        eol = line[1]
        if self._eol not in {b"", eol}:
            raise self._malformed("The form cannot be read.", "Its lines end in two ways.")
        self._eol, self._delimiter = eol, eol + self._dashes
        return self._go(self._head, block, line.end() - before)

    def _head(self, block: memoryview, events: list[Event]) -> memoryview:
        """The fields of a part's head, up to an empty line."""
        before = self._keep(block, MOST_HEAD)
        end = self._eol * 2
        if self._kept.startswith(self._eol):
            raise self._malformed("The form cannot be read.", "A part has no head.")
        at = self._kept.find(end)
        if at < 0:
            if len(self._kept) == MOST_HEAD:
                raise self._malformed("The form cannot be read.", "A part's head is too long.")
            return _EMPTY
        taken = at + len(end) - before
        self._begin(bytes(self._kept[:at]), events)
        return self._go(self._part, block, taken)

    def _part(self, block: memoryview, events: list[Event]) -> memoryview:
        """A part's content, up to the next delimiter."""
        delimiter = self._delimiter
        if self._tail:
            need = len(delimiter) - len(self._tail)
            joined = self._tail + bytes(block[:need])
            if joined == delimiter:
                self._tail = b""
                return self._end(block[need:], events)
            if delimiter.startswith(joined):
                self._tail = joined
                return _EMPTY
            self._take(memoryview(self._tail), events)
            self._tail = b""
        at = _find(block, delimiter)
        if at >= 0:
            self._take(block[:at], events)
            return self._end(block[at + len(delimiter) :], events)
        keep = _overlap(block, delimiter)
        self._tail = bytes(block[len(block) - keep :])
        self._take(block[: len(block) - keep], events)
        return _EMPTY

    def _close(self, block: memoryview, _events: list[Event]) -> memoryview:
        """Behind the last delimiter nothing counts."""
        self._around += len(block)
        if self._around > MOST_AROUND:
            raise self._malformed("The form cannot be read.", "Too much follows its last boundary.")
        return _EMPTY

    # --- parts of states ---------------------------------------------------------------------

    def _keep(self, block: memoryview, most: int) -> int:
        """Add to what is kept, up to `most` bytes of it; return how much was kept before."""
        before = len(self._kept)
        self._kept += block[: most - before]
        return before

    def _go(
        self,
        state: Callable[[memoryview, list[Event]], memoryview],
        block: memoryview,
        taken: int,
    ) -> memoryview:
        """On to the next state, behind the bytes of the block that this one needed."""
        self._kept.clear()
        self._state = state
        return block[taken:]

    def _begin(self, head: bytes, events: list[Event]) -> None:
        self._name, filename, media_type = _read_head(head, self._eol)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise self._malformed("The form has too many fields.", f"At most {MOST_PARTS}.")
        self._is_file = filename is not None or self._name in self._files
        if self._is_file:
            events.append(FileBegin(self._name, filename, media_type))
        else:
            self._spend(len(self._name.encode()))

    def _take(self, view: memoryview, events: list[Event]) -> None:
        if self._is_file:
            if len(view):
                events.append(FileBytes(view))
        else:
            self._spend(len(view))
            self._kept += view

    def _end(self, rest: memoryview, events: list[Event]) -> memoryview:
        if self._is_file:
            events.append(FileEnd())
        else:
            events.append(Field(self._name, self._value()))
        self._is_file = False
        return self._go(self._line, rest, 0)

    def _value(self) -> str:
        try:
            return self._kept.decode()
        except UnicodeDecodeError:
            raise self._malformed(
                "A field's value cannot be read.", "It is not UTF-8 text."
            ) from None

    def _spend(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise self._malformed(
                "The form's fields are too large.",
                f"Together they may have {MOST_FIELD_BYTES} bytes.",
            )

    def _malformed(self, what: str, why: str) -> Malformed:
        return Malformed(
            what,
            field=self._name or "form",
            why=why,
            todo=f"Send {_MEDIA_TYPE} as RFC 7578 has it.",
        )


def _find(block: memoryview, delimiter: bytes) -> int:
    """Where the delimiter is in the block, or -1. Copies a window at a time, to search it."""
    size, overlap = len(block), len(delimiter) - 1
    for start in range(0, size, _WINDOW):
        at = bytes(block[start : start + _WINDOW + overlap]).find(delimiter)
        if at >= 0:
            return start + at
    return -1


def _overlap(block: memoryview, delimiter: bytes) -> int:
    """How many of the block's last bytes the delimiter may begin with.

    A delimiter's first byte stands in it once, so there is one candidate.
    """
    end = bytes(block[max(len(block) - len(delimiter) + 1, 0) :])
    at = end.rfind(delimiter[:1])
    return len(end) - at if at >= 0 and delimiter.startswith(end[at:]) else 0


def _read_head(head: bytes, eol: bytes) -> tuple[str, str | None, str | None]:
    """Name, file name and media type of a part (RFC 7578 section 4.2). Raises Malformed."""
    try:
        lines = head.decode().split(eol.decode()) if head else []
    except UnicodeDecodeError:
        raise _bad_head("It is not UTF-8 text.") from None
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not _TOKEN.match(name) or name in fields or "\n" in line or "\r" in line:
            raise _bad_head(f"“{ascii(line[:60])[1:-1]}” is no field, or is there twice.")
        fields[name] = value.strip()
    kind, semicolon, rest = fields.get("content-disposition", "").partition(";")
    if kind.strip().lower() != "form-data":
        raise _bad_head("A part's Content-Disposition is not form-data.")
    parameters = _read_parameters(semicolon + rest)
    part = parameters.get("name", "")
    if not part:
        raise _bad_head("A part has no name.")
    coding = fields.get("content-transfer-encoding", "binary")
    if coding.lower() not in _IDENTITY:
        raise Malformed(
            "A part's coding is not undone here.",
            field=part,
            why=f"Its Content-Transfer-Encoding is {coding[:40]!a}.",
            todo="Send the bytes as they are.",
        )
    filename = parameters.get("filename")
    if "filename*" in parameters:
        extended = _EXTENDED.match(parameters["filename*"])
        filename = urllib.parse.unquote(extended[1]) if extended is not None else filename or ""
    return part, filename, read_media_type(fields.get("content-type"))


def _read_parameters(text: str) -> dict[str, str]:
    """Parameters of Content-Disposition; quotes and line ends may be escaped as browsers do."""
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            if not text[at:].strip("; \t"):
                break
            raise _bad_head("A part's Content-Disposition cannot be read.")
        name, quoted, token = match.groups()
        value = token if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        if name.lower() in parameters:
            raise _bad_head(f"{name[:40]} is there twice.")
        if "*" not in name:
            value = re.sub("%(?:22|0[DAda])", lambda escaped: _ESCAPED[escaped[0].upper()], value)
        parameters[name.lower()] = value
        at = match.end()
    return parameters


def _bad_head(why: str) -> Malformed:
    return Malformed(
        "The form cannot be read.",
        field="Content-Disposition",
        why=why,
        todo='Begin each part with Content-Disposition: form-data; name="...".',
    )
