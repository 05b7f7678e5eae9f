"""Where a file is to go: a name, a folder of names, or a file of this machine.

    documents/2024/           the folder: the file keeps its own name there
    documents/2024/x.pdf      that name
    /srv/archive/x.pdf        that file of this machine; in process only
    file:///srv/archive/      the same as a URL

Rules: a URL of a store that is not there is refused, never read as a name.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from towpath.core.names import check_name
from towpath.errors import Malformed, SettingsError

FILE = "file://"


def address_of(destination: str, own: str, *, in_process: bool) -> str:
    """The name, or the file:// URL, for a file called `own`. Raises Malformed, SettingsError."""
    if not destination:
        raise Malformed("The destination is empty.", field="destination", todo="Say where to.")
    if "://" in destination or (in_process and Path(destination).is_absolute()):
        path = file_of(destination, in_process=in_process)
        if destination.endswith("/") or path.is_dir():
            path = path / own
        insist_on_place(path, "destination")
        return path.as_uri()
    name = destination.removeprefix("./").lstrip("/")
    return check_name(name + own if name.endswith("/") or not name else name)


def file_of(destination: str, *, in_process: bool) -> Path:
    """The file of this machine that a URL or a path stands for. Raises SettingsError."""
    if "://" not in destination:
        return Path(destination)
    parts = urlsplit(destination)
    if parts.scheme != "file":
        raise SettingsError(
            f"There is no store for {parts.scheme}:// here.",
            why="Destinations are names, folders of names, paths, and file:// URLs.",
            todo="Choose one of these.",
        )
    if not in_process:
        raise SettingsError(
            f"A server does not write to {destination}.",
            why="file:// is a file of this machine, and this operation has a server.",
            todo="Give a name, or leave the server's URL out.",
        )
    if parts.netloc not in ("", "localhost"):
        raise SettingsError(
            f"{destination} is on another machine.",
            why=f"A file:// URL with the host {parts.netloc} cannot be reached from here.",
            todo="Write file:/// and the path.",
        )
    path = Path(url2pathname(parts.path) if parts.path else "")
    if not path.is_absolute():
        raise Malformed(f"{destination} has no path.", field="destination")
    return path


def target_of(path: str, own: str) -> Path:
    """The local file that a download makes: `path`, or `own` in the folder `path`."""
    target = Path(path)
    if path.endswith("/") or target.is_dir():
        last = own.rstrip("/").rpartition("/")[2]
        if last in ("", ".", "..") or "\0" in last:
            raise Malformed(f"{own!r} gives no name for a file.", field="destination_path")
        target = target / last
    target = Path(os.path.abspath(target))  # noqa: PTH100 - links stay, ".." goes
    insist_on_place(target, "destination_path")
    return target


def insist_on_place(target: Path, field: str) -> None:
    """Raise Malformed if there cannot be a file `target`: for a folder, or for a file above it."""
    if target.is_dir():
        raise Malformed(f"{target} is a folder.", field=field, todo="Give another name.")
    above = next((each for each in target.parents if each.exists()), target.parent)
    if above.exists() and not above.is_dir():
        raise Malformed(
            f"There cannot be a file {target}.",
            field=field,
            why=f"{above} is a file, not a folder.",
            todo="Give another path.",
        )
