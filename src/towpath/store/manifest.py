"""The text of a manifest: one line of JSON, one line with the SHA-256 of the first.

Rules: pure; anybody can check it by hand (`head -1 FILE | sha256sum`); a text that is not exactly
what was written is no manifest.
"""

from __future__ import annotations

import hashlib
import json

from towpath.store.base import Manifest

LARGEST = 1 << 20  # bytes; what is longer is not read

_FORMAT = 1


def encode(manifest: Manifest) -> bytes:
    """The text to keep."""
    line = json.dumps(
        {"format": _FORMAT, "record": manifest.record}, sort_keys=True, separators=(",", ":")
    )
    return f"{line}\nsha256:{_sum(line)}\n".encode("ascii")


def decode(text: bytes) -> Manifest | None:
    """The manifest in `text`, or None when the text is damaged or of a later format."""
    try:
        line, checksum, rest = text.decode("ascii").split("\n")
    except ValueError:
        return None
    if rest or checksum != f"sha256:{_sum(line)}":
        return None
    value = json.loads(line)
    return Manifest(record=value["record"]) if value["format"] == _FORMAT else None


def _sum(line: str) -> str:
    return hashlib.sha256(f"{line}\n".encode("ascii")).hexdigest()
