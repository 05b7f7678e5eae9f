"""The files that hold settings: in the working folder, of the user, and of the machine.

Rules: what a file says counts before those after it. The working folder may be somebody else's, so
its file may only say what leads no byte, no secret and no trust elsewhere; anything else in it is
refused, never passed over: a user who meant it would send files to another server than they think.
Settings of `towpath serve` stand in the table `[server]`; all others stand above it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from towpath.client.surroundings import config_folder
from towpath.errors import SettingsError

HERE = "towpath.toml"
# Windows has no such folder that its administrators alone may write to.
MACHINE = None if sys.platform == "win32" else Path("/etc/towpath/config.toml")
SERVER = "server"
_SERVER_HERE = ("port", "log_level", "log_format")
_LONGEST = 64 * 1024  # bytes of a file


class Layer(NamedTuple):
    """What one file says. `is_here`: it lies in the working folder."""

    file: Path
    said: Mapping[str, Any]
    is_here: bool


def config_file() -> Path:
    """Where the user's settings are."""
    return config_folder() / "config.toml"


def layers() -> list[Layer]:
    """The files that there are, the one that counts first in front. Raises SettingsError."""
    places = [(Path(HERE), True), (config_file(), False)]
    if MACHINE is not None:
        places.append((MACHINE, False))
    found = ((place, read_text(place), is_here) for place, is_here in places)
    return [
        Layer(place.absolute(), parsed(text, place.absolute()), is_here)
        for place, text, is_here in found
        if text is not None
    ]


def server_settings() -> dict[str, object]:
    """What the files say of a server here. Raises SettingsError."""
    given: dict[str, object] = {}
    for layer in reversed(layers()):
        table = layer.said.get(SERVER, {})
        if not isinstance(table, dict):
            raise SettingsError(
                f"{SERVER} in {layer.file} cannot be read.",
                why="It is no table.",
                todo=f"Write [{SERVER}], and the settings of the server below it.",
            )
        if layer.is_here:
            refuse_here((name for name in table if name not in _SERVER_HERE), layer.file)
        given.update(table)
    return given


def refuse_here(names: Iterable[str], file: Path) -> None:
    """Raise SettingsError if there is one: the file in the working folder must not say it."""
    for name in names:
        raise SettingsError(
            f"{file} must not set {name!r}.",
            why="It lies in the working folder, which may be somebody else's, and that setting"
            " could lead bytes or secrets elsewhere.",
            todo=f"If it is meant, put it into {config_file()}; else take it out, or work in"
            " another folder.",
        )


def read_text(file: Path) -> str | None:
    """What is in a file of settings; None if there is none. Raises SettingsError."""
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe may lie there
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(file, f"{error.strerror}.") from error
    try:
        with open(handle, "rb") as opened:  # noqa: PTH123 - it is open already
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _unreadable(file, "It is no file.")
            content = opened.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise _unreadable(file, f"It is longer than {_LONGEST} bytes.")
        return content.decode("utf-8")
    except OSError as error:
        raise _unreadable(file, f"{error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"{error}.") from error


def parsed(text: str, file: Path) -> dict[str, Any]:
    """A file of settings as TOML. Raises SettingsError."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(file, f"{error}.") from error


def _unreadable(file: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The settings in {file} cannot be read.", why=why, todo="Correct the file."
    )
