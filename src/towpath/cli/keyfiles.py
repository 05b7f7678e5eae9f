"""Options that say whose keys a file is encrypted for, or opened with.

Rules: a secret comes from a file, from the environment or from a prompt, never from the command
line, where every user of the machine could read it; a public key is no secret.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from towpath.errors import SettingsError, StateConflict

if TYPE_CHECKING:
    from towpath.cli.output import Output
    from towpath.client.resume import Note
    from towpath.codec.keys import Identity, KeyFile, Locks, Opens, Passphrase, Recipient

_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST = 4096  # bytes of a key's or a passphrase's file
_FILE = click.Path(exists=True, dir_okay=False)
_LOCKING = ("encrypt", "key_file", "recipient", "passphrase_file", "passphrase_env")
CODING = ("compress", *_LOCKING)


def sealing_options(command: _F) -> _F:
    """What `put` takes: --compress, and whom to encrypt for."""
    for option in reversed(
        (
            click.option("--compress", is_flag=True, help="Compress what becomes shorter by it."),
            click.option(
                "--encrypt",
                is_flag=True,
                help="Encrypt before it leaves; asks for a passphrase if no key is given.",
            ),
            click.option(
                "--key-file", multiple=True, type=_FILE, help="Encrypt for who has this key."
            ),
            click.option(
                "--recipient",
                multiple=True,
                metavar="FILE",
                type=_FILE,
                help="Encrypt for the owner of this public key.",
            ),
            *_passphrases("Encrypt with the passphrase"),
        )
    ):
        command = option(command)
    return command


def opening_options(command: _F) -> _F:
    """What `get` takes: keys that may open what is encrypted."""
    for option in reversed(
        (
            click.option(
                "--key-file",
                multiple=True,
                type=_FILE,
                help="A key, or an identity, that opens what is encrypted.",
            ),
            *_passphrases("Open with the passphrase"),
            click.option("--ask-passphrase", is_flag=True, help="Ask for the passphrase."),
        )
    ):
        command = option(command)
    return command


def resuming_options(command: _F) -> _F:
    """What `resume` takes: the keys of what is encrypted, where they cannot be found again."""
    for option in reversed(
        (
            click.option(
                "--key-file",
                multiple=True,
                type=_FILE,
                help="A key of what is encrypted, if it is no longer where it was.",
            ),
            click.option(
                "--recipient",
                multiple=True,
                metavar="FILE",
                type=_FILE,
                help="A public key that an upload is encrypted for, likewise.",
            ),
            *_passphrases("The passphrase is"),
            click.option("--ask-passphrase", is_flag=True, help="Ask for the passphrase."),
        )
    ):
        command = option(command)
    return command


def _passphrases(what: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option("--passphrase-file", metavar="FILE", type=_FILE, help=f"{what} in this file."),
        click.option(
            "--passphrase-env", metavar="NAME", help=f"{what} in this environment variable."
        ),
    )


def locks(said: dict[str, Any], output: Output) -> tuple[Locks, ...]:
    """Whom to encrypt for, as `sealing_options` were given. Raises SettingsError, Malformed."""
    if not any(said[name] for name in _LOCKING):
        return ()  # and nothing of the codec is imported
    from towpath.codec.keys import KeyFile, Recipient

    found: list[Locks] = []
    for path in said["key_file"]:
        key = _key(path, output)
        if not isinstance(key, KeyFile):
            raise SettingsError(f"{path} has no key to encrypt with.", todo="Is it a --recipient?")
        found.append(key)
    for path in said["recipient"]:
        key = _key(path, output)
        if not isinstance(key, Recipient):
            raise SettingsError(
                f"{path} has a secret key.", todo="Give the public one, which ends in .pub."
            )
        found.append(key)
    found += _passphrase(said)
    if said["encrypt"] and not found:
        found.append(_asked(again=True))
    return tuple(found)


class Again:
    """The keys of transfers that go on: those that the options say, else those that they had.

    `said`: as `resuming_options` were given. A passphrase is asked for once, here.
    """

    def __init__(self, said: dict[str, Any], output: Output) -> None:
        self._output = output
        self._said = {**said, "encrypt": False, "ask_passphrase": False}
        self._asked = [_asked(again=False)] if said["ask_passphrase"] else []
        self._given = bool(self._asked) or any(self._said[name] for name in _FROM)

    def locks(self, note: Note) -> tuple[Locks, ...]:
        """Whom an encrypted upload is for. Raises StateConflict where that cannot be known."""
        if self._given:
            return (*locks(self._said, self._output), *self._asked)
        lost = [path for _, path in note.keys if path and not Path(path).is_file()]
        if lost or not all(path for _, path in note.keys) or not note.keys:
            raise StateConflict(
                f"The upload of {note.path} is encrypted.",
                why=f"{lost[0]} is no longer there."
                if lost
                else "Not all of its keys are in files.",
                todo="Give all of its keys again: --key-file, --recipient, --passphrase-file, "
                "--passphrase-env, --ask-passphrase.",
            )
        return locks(_said_by(note), self._output)

    def opens(self, note: Note) -> tuple[Opens, ...]:
        """What may open a download. One that has no key that is needed says so by itself."""
        if self._given:
            return (*opens(self._said, self._output), *self._asked)
        return opens(_said_by(note), self._output)


_FROM = {  # options, and the kinds of keys that come from their files
    "key_file": ("key-file", "identity"),
    "recipient": ("recipient",),
    "passphrase_file": ("passphrase",),
    "passphrase_env": (),
}


def _said_by(note: Note) -> dict[str, Any]:
    """What a note remembers of keys, as options would say it: files that are there."""
    found: dict[str, Any] = {"encrypt": False, "ask_passphrase": False}
    for name, kinds in _FROM.items():
        found[name] = [
            path for kind, path in note.keys if kind in kinds and path and Path(path).is_file()
        ]
    for name in ("passphrase_file", "passphrase_env"):  # these are given once
        found[name] = next(iter(found[name]), None)
    return found


def opens(said: dict[str, Any], output: Output) -> tuple[Opens, ...]:
    """What may open files, as `opening_options` were given. Raises SettingsError, Malformed."""
    from towpath.codec.keys import Recipient

    found: list[Opens] = []
    for path in said["key_file"]:
        key = _key(path, output)
        if isinstance(key, Recipient):
            raise SettingsError(
                f"{path} has a public key, which opens nothing.", todo="Give its identity's file."
            )
        found.append(key)
    found += _passphrase(said)
    if said["ask_passphrase"]:
        found.append(_asked(again=False))
    return tuple(found)


def _key(path: str, output: Output) -> KeyFile | Identity | Recipient:
    from towpath.codec.keys import Recipient, parse_key

    found = parse_key(_read(path))
    if not isinstance(found, Recipient) and os.name == "posix":
        mode = Path(path).stat().st_mode
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            output.say(f"{path} can be read by others on this machine: chmod 600 {path}")
    return replace(found, path=str(Path(path).absolute()))


def _passphrase(said: dict[str, Any]) -> list[Passphrase]:
    from towpath.client.surroundings import secret
    from towpath.codec.keys import Passphrase

    found: list[Passphrase] = []
    if file := said["passphrase_file"]:
        words = _read(file).removesuffix("\n").removesuffix("\r")
        found.append(Passphrase(words, path=str(Path(file).absolute())))
    if name := said["passphrase_env"]:
        if (given := secret(name)) is None:
            raise SettingsError(f"There is no environment variable {name}.")
        found.append(Passphrase(given))
    if any(not each.words for each in found):
        raise SettingsError("The passphrase is empty.")
    return found


def _asked(*, again: bool) -> Passphrase:
    """What a person types. Raises SettingsError where nobody could: stdin may be the data."""
    from towpath.codec.keys import Passphrase

    if not _has_terminal():
        raise SettingsError(
            "There is no terminal to ask for the passphrase on.",
            todo="Say where it is: --passphrase-file or --passphrase-env.",
        )
    return Passphrase(
        click.prompt("Passphrase", hide_input=True, err=True, confirmation_prompt=again)
    )


def _has_terminal() -> bool:
    """True if a prompt is read from a terminal: the one of the process, whatever stdin is."""
    if os.name == "posix":
        with suppress(OSError):
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
            return True
    return sys.stdin is not None and sys.stdin.isatty()


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LONGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read.", why=f"{error}.") from error


def write_new(path: Path, text: str, *, secret: bool) -> None:
    """Write a file that is not there yet; a secret one only for its owner. Raises SettingsError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written.", why=f"{error.strerror}.") from error
