"""What came with an upload or an object, by key.

Rules: metadata is kept as it was sent, and read only where something in it matters here; two forms
are known: pairs of a key and the base64 of its value, with commas between, and a JSON object.
"""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from typing import Any

_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+\Z")


def read_pairs(text: str) -> dict[str, str]:
    """Keys and values of pairs. A key without a value gives "".

    Raises ValueError, which says why: a bad key, a repeated one, bad base64, or no UTF-8.
    """
    values: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.match(key):
            raise ValueError("A key is empty or has a character that is not printable ASCII.")
        if key in values:
            raise ValueError(f"The key “{key[:40]}” is there twice.")
        try:
            values[key] = base64.b64decode(encoded.strip(), validate=True).decode()
        except UnicodeDecodeError:
            raise ValueError(f"The value of “{key[:40]}” is not UTF-8 text.") from None
        except ValueError:
            raise ValueError(f"The value of “{key[:40]}” is not base64.") from None
    return values


def read_metadata(text: str) -> dict[str, Any]:
    """The values by key, in either form; none where it cannot be read."""
    found: dict[str, Any] = {}
    with suppress(ValueError, RecursionError):
        found = json.loads(text) if text.startswith("{") else read_pairs(text)
    return found
