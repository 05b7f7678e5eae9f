"""What the record of a file's keys is called: it stands beside the object that it belongs to.

Rules: the name follows from the object's and from the file's id, so that whoever knows one finds
the other; it never leaves the object's folder. An upload says the id in its metadata, so that the
record can be found before the file is whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FILE = "towpath-file"
"""The metadata by which an upload says the id of its file, in hex."""

RECORD_TYPE = "application/json"
"""What a record is stored as."""

_LONGEST_SEGMENT, _LONGEST_NAME = 255, 1024  # bytes that a server takes
_END = re.compile(r"\.([0-9a-f]{8})\.keys\Z")
_FILE_ID = re.compile(r"[0-9a-f]{32}")


def record_name(name: str, file_id: bytes) -> str:
    """What the record of a file's keys is called, beside an object that is called `name`.

    It is there so that who may write the one may write the other.
    """
    end = f".{file_id[:4].hex()}.keys"
    folder, slash, last = name.rpartition("/")
    room = min(_LONGEST_SEGMENT, _LONGEST_NAME - len((folder + slash).encode())) - len(end)
    return f"{folder}{slash}{last.encode()[: max(room, 1)].decode(errors='ignore')}{end}"


def is_beside(record: str, name: str) -> bool:
    """True if the record of the keys of what is called `name` may be called `record`."""
    found = _END.search(record)
    return found is not None and record == record_name(name, bytes.fromhex(found[1]))


def is_record(name: str, media_type: str | None) -> bool:
    """True for what is stored as a record of keys, and is no file of somebody's."""
    return media_type == RECORD_TYPE and _END.search(name) is not None


def file_id_of(metadata: Mapping[str, object]) -> bytes | None:
    """The id of its file, as an upload says it; None if it says none that can be."""
    said = metadata.get(FILE)
    if not isinstance(said, str) or not _FILE_ID.fullmatch(said):
        return None
    return bytes.fromhex(said)
