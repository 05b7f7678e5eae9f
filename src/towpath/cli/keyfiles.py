"""Options that say whose keys a file is encrypted for, or opened with.

Rules: a secret comes from a file, from the environment or from a prompt, never from the command
line, where every user of the machine could read it; a public key is no secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from towpath.errors import SettingsError

if TYPE_CHECKING:
    from towpath.cli.output import Output
    from towpath.codec.keys import Identity, KeyFile, Locks, Opens, Passphrase, Recipient

_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST = 4096  # bytes of a key's or a passphrase's file
_FILE = click.Path(exists=True, dir_okay=False)
CODING = ("compress", "encrypt", "key_file", "recipient", "passphrase_file", "passphrase_env")


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


def _passphrases(what: str) -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option("--passphrase-file", metavar="FILE", type=_FILE, help=f"{what} in this file."),
        click.option(
            "--passphrase-env", metavar="NAME", help=f"{what} in this environment variable."
        ),
    )


def locks(said: dict[str, Any], output: Output) -> tuple[Locks, ...]:
    """Whom to encrypt for, as `sealing_options` were given. Raises SettingsError, Malformed."""
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
    return found


def _passphrase(said: dict[str, Any]) -> list[Passphrase]:
    from towpath.client.surroundings import secret
    from towpath.codec.keys import Passphrase

    found = []
    if said["passphrase_file"]:
        found.append(_read(said["passphrase_file"]).removesuffix("\n").removesuffix("\r"))
    if name := said["passphrase_env"]:
        if (words := secret(name)) is None:
            raise SettingsError(f"There is no environment variable {name}.")
        found.append(words)
    if "" in found:
        raise SettingsError("The passphrase is empty.")
    return [Passphrase(words) for words in found]


def _asked(*, again: bool) -> Passphrase:
    from towpath.codec.keys import Passphrase

    return Passphrase(
        click.prompt("Passphrase", hide_input=True, err=True, confirmation_prompt=again)
    )


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
