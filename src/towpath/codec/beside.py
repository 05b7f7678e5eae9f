"""What the record of a file's keys is called: it stands beside the object that it belongs to.

Rules: the name follows from the object's and from the file's id, so that whoever knows one finds
the other; it never leaves the object's folder.
"""

from __future__ import annotations

import re

_LONGEST_SEGMENT, _LONGEST_NAME = 255, 1024  # bytes that a server takes
_END = re.compile(r"\.([0-9a-f]{8})\.keys\Z")


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
