"""Where a file lies here and what it is called on the server, one from the other.

Rules: a name of the server never leads out of a folder here.
"""

from __future__ import annotations

import os

from towpath.errors import Malformed

Location = str | os.PathLike[str]


def name_for(wanted: str | None, own: str) -> str:
    """The name on the server: `wanted`, in the folder `wanted/`, or as the file itself."""
    name = (wanted or own).lstrip("/")
    return name + own if name.endswith("/") or not name else name


def nameless(name: str, path: str = "") -> Malformed | None:
    """Why it cannot be a name, as bytes of other encodings cannot; `path`: what was to get it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return Malformed(
            f"{path or name!a} cannot be a name: it is not UTF-8.",
            field="name",
            todo="Give it another name.",
        )
    return None


def insist_on_name(name: str) -> str:
    """The name, if a server could take it. Raises Malformed."""
    if wrong := nameless(name):
        raise wrong
    return name


def absolute(path: Location) -> str:
    """The path from the root, with links kept: what was said is the name.

    Only a relative path asks the system, for the working folder; the blocking client does so
    in its caller's thread, which no event loop shares.
    """
    given = os.fspath(path)
    return os.path.normpath(given) if os.path.isabs(given) else os.path.abspath(given)  # noqa: PTH100, PTH117


def local_name(name: str) -> str:
    """The last part of a server's name, if a file may be called so. Raises Malformed."""
    last = name.rstrip("/").rpartition("/")[2]
    if last in ("", ".", "..") or "\0" in last or os.sep in last or (os.altsep or "\0") in last:
        raise Malformed(
            f"{name!r} gives no name for a file.", field="path", todo="Say what to call it here."
        )
    return last
