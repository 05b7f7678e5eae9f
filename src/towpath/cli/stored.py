"""What the command line keeps between calls: settings, and one token for each server.

Rules: settings are lines of the files that `layers` finds, tokens are files of their own below
tokens/; all that is written is for its owner alone, and a token that others can read is not used;
files are replaced whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import click

from towpath.cli.layers import (
    SERVER,
    config_file,
    layers,
    parsed,
    read_text,
    refuse_here,
)
from towpath.cli.options import DEFAULT_URL, FILE, Rate, Size
from towpath.cli.show import WAYS
from towpath.client.surroundings import config_folder
from towpath.errors import SettingsError

_LONGEST = 240  # bytes of a file's name


class Setting(NamedTuple):
    """A default that the user can change. `variable` of the environment counts before the files.

    `here`: the file of the working folder, which may be a stranger's, may say it, too.
    """

    kind: click.ParamType[Any]
    default: str
    meaning: str
    variable: str = ""
    here: bool = False


SETTINGS: Mapping[str, Setting] = {
    "url": Setting(click.STRING, DEFAULT_URL, "the server", "TOWPATH_URL"),
    "token_file": Setting(FILE, "", "where the token is", "TOWPATH_TOKEN_FILE"),
    "ca": Setting(FILE, "", "certificates to trust", "TOWPATH_CA"),
    "cert": Setting(FILE, "", "a certificate to show", "TOWPATH_CERT"),
    "cert_key": Setting(FILE, "", "its key", "TOWPATH_CERT_KEY"),
    "proxy": Setting(click.STRING, "", "an HTTP proxy, or none", "TOWPATH_PROXY"),
    "progress": Setting(click.Choice(WAYS), "auto", "how progress is shown", here=True),
    "parallel": Setting(click.IntRange(1, 64), "4", "transfers at once", here=True),
    "retries": Setting(click.IntRange(0), "10", "failures in a row that are borne", here=True),
    "chunk_size": Setting(Size(), "", "bytes of one request", here=True),
    "limit": Setting(Rate(), "", "bytes a second", "TOWPATH_LIMIT", here=True),
}


class Kept(NamedTuple):
    """What files say of a setting. `origin`: the file."""

    value: str | int
    origin: Path


def kept_settings() -> dict[str, Kept]:
    """What the files say, each setting from the one that counts first. Raises SettingsError."""
    found: dict[str, Kept] = {}
    for layer in layers():
        said = _checked_all(layer.said, layer.file)
        if layer.is_here:
            refuse_here((name for name in said if not SETTINGS[name].here), layer.file)
        for name, value in said.items():
            found.setdefault(name, Kept(value, layer.file))
    return found


def read_settings() -> dict[str, Any]:
    """The values alone, as commands get them for defaults. Raises SettingsError."""
    return {name: kept.value for name, kept in kept_settings().items()}


def change_setting(name: str, value: str | None) -> None:
    """Keep a setting, or with None leave it to its default. Raises SettingsError."""
    file = config_file()
    whole = parsed(read_text(file) or "", file)
    kept = _checked_all(whole, file)
    setting = SETTINGS.get(name)
    if setting is None:
        raise _unknown(name)
    if value is None:
        kept.pop(name, None)
    else:
        wanted = _checked(name, value, f"The setting {name}")
        if setting.kind is FILE:
            value = os.path.abspath(value)  # noqa: PTH100 - of a link, its own name
        kept[name] = wanted if isinstance(setting.kind, click.IntRange) else value
    line = re.compile(rf"^\s*(?:{name}|\"{name}\"|'{name}')\s*=")
    before = file.read_text("utf-8").splitlines() if file.exists() else []
    tables = next((at for at, each in enumerate(before) if each.lstrip().startswith("[")), None)
    lines = [each for each in before[:tables] if not line.match(each)]
    if name in kept:
        lines.append(f"{name} = {_toml(kept[name])}")
    lines += before[tables:] if tables is not None else []
    text = "\n".join([*lines, ""])
    if parsed(text, file) != {**{one: whole[one] for one in whole if one not in SETTINGS}, **kept}:
        raise SettingsError(
            f"{file} cannot be changed.",
            why="It is written in a way that this command does not write.",
            todo="Change it with an editor.",
        )
    write_whole(file, text)


def canonical(url: str) -> str:
    """A server's address as it is kept. Raises SettingsError for what is none."""
    from towpath.client.dial import split

    origin, target = split(url)
    return f"{origin}{target.partition('?')[0].rstrip('/')}/"


def token_of(url: str) -> str | None:
    """The token that is kept for a server. Raises SettingsError if others could read it."""
    folder = config_folder() / "tokens"
    if not folder.is_dir():
        return None
    file = _token_file(canonical(url))
    try:
        mode = file.stat().st_mode
        if os.name == "posix" and mode & 0o077:
            raise SettingsError(
                f"The token in {file} is not used.",
                why="Others on this machine could have read it.",
                todo="Take it back at the server, and log in with another one.",
            )
        return file.read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The token in {file} cannot be read.", why=f"{error}.") from error


def keep_token(url: str, token: str) -> Path:
    """Keep a token for a server; where it is. `url` is canonical."""
    file = _token_file(url)
    write_whole(file, f"{token}\n")
    return file


def forget_token(url: str) -> bool:
    """Remove a server's token; False if there was none. `url` is canonical."""
    try:
        _token_file(url).unlink()
    except FileNotFoundError:
        return False
    return True


def servers() -> list[str]:
    """The servers whose tokens are kept."""
    return sorted(unquote(file.name) for file in (config_folder() / "tokens").glob("http*"))


def write_whole(file: Path, text: str, *, as_before: bool = False) -> None:
    """Replace a file by one that only its owner reads, whole or not at all.

    `as_before`: the file is there, and owner and permissions stay.
    """
    import tempfile

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".new-", dir=file.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            if as_before and os.name == "posix":
                before = file.stat()
                if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
                os.fchmod(out.fileno(), before.st_mode & 0o777)
            out.flush()
            os.fsync(out.fileno())
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _token_file(url: str) -> Path:
    name = quote(url, safe="")
    if len(name) > _LONGEST:
        raise SettingsError(
            "No token can be kept for that server.",
            why="Its address is too long.",
            todo="Use TOWPATH_TOKEN or --token-file.",
        )
    return config_folder() / "tokens" / name


def _checked_all(said: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The settings of the command line among what a file says. Raises SettingsError."""
    found = {name: value for name, value in said.items() if name != SERVER}
    for name, value in found.items():
        if name not in SETTINGS:
            raise _unknown(name, file)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise SettingsError(
                f"The setting {name} in {file} cannot be read.",
                why="It is neither a text nor a whole number.",
                todo="Correct the file.",
            )
        _checked(name, str(value), f"The setting {name} in {file}")
    return found


def _checked(name: str, value: str, called: str) -> Any:  # noqa: ANN401 - settings are of many types
    try:
        return SETTINGS[name].kind.convert(value, None, None)
    except click.BadParameter as error:
        raise SettingsError(
            f"{called} cannot be {value!r}.", why=error.message, todo="Correct it."
        ) from error


def _unknown(name: str, file: Path | None = None) -> SettingsError:
    where = f" in {file}" if file else ""
    return SettingsError(
        f"There is no setting {name!r}{where}.",
        why=f"There are {', '.join(SETTINGS)}.",
        todo="Correct its name or leave it out.",
    )


def _toml(value: str | int) -> str:
    """Strings and numbers are the same in JSON and TOML, but for one character."""
    return json.dumps(value).replace("\x7f", "\\u007f")
