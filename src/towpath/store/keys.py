"""Keys, and what a store that follows this file calls its things: `uploads/<key>`, `objects/<key>`.

Rules: a key is 8 to 64 characters of [0-9a-z]; whatever reaches a path or an address went through
this file before, so that no word of a stranger ever becomes a path.
"""

from __future__ import annotations

import re

from towpath.errors import Malformed, NotFound

UPLOADS = "uploads"
OBJECTS = "objects"

_KEY = re.compile("[0-9a-z]{8,64}")


def is_key(text: str) -> bool:
    """Whether `text` may be a key."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> str:
    """Return the key. Raises Malformed when it is none."""
    if not is_key(key):
        raise Malformed("A key is 8 to 64 characters of 0-9 and a-z.", field="key")
    return key


def split(at: str) -> tuple[str, str]:
    """Kind and key of a handle or an address. Raises NotFound when it can be neither."""
    kind, _, key = at.partition("/")
    if kind not in (UPLOADS, OBJECTS) or not is_key(key):
        raise NotFound("The store holds nothing by that name.")
    return kind, key


def key_of(kind: str, at: str) -> str:
    """The key in a handle (kind `uploads`) or an address (`objects`). Raises NotFound."""
    found, key = split(at)
    if found != kind:
        raise NotFound("The store holds nothing of that kind by that name.")
    return key


def behind(kind: str, after: str) -> str | None:
    """The key behind which a page that starts after `after` goes on in this kind.

    None: the page starts behind all of this kind. Pages are ordered by `at`, objects first.
    """
    prefix = f"{kind}/"
    if after.startswith(prefix):
        return after.removeprefix(prefix)
    return "" if after < prefix else None
