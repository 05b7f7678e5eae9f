"""Bytes as people write them: `8MiB`, `8M`, `8MB`, `17`.

Rules: pure, and the only reading of such a text, for sizes, rates and settings. With a B and no i a
unit is decimal: 8MB is 8,000,000. Else it is binary: 8MiB, 8Mi and 8M are 8 x 1024 x 1024. Upper
and lower case are the same.
"""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([kmgtp])(i?)(b?)|b?)", re.IGNORECASE)


def read_bytes(text: str) -> int:
    """The number of bytes. Raises ValueError, which says how to write one."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write one such as 8MiB, 8M (the same) or 8MB")
    number, unit, binary, byte = match.groups()
    base = 1000 if byte and not binary else 1024
    return int(float(number) * base ** " kmgtp".index((unit or " ").lower()))
