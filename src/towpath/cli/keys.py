"""`towpath keys`: make keys, and change who can read a file.

Rules: a secret goes to a file of its owner and is never printed; nothing is overwritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from towpath.cli.exits import OK
from towpath.cli.keyfiles import locks, opening_options, opens, write_new
from towpath.cli.named import SERVER_NAME
from towpath.cli.options import Caller, caller_options, output_options
from towpath.cli.output import Output

_FILE = click.Path(exists=True, dir_okay=False)


@click.group()
def keys() -> None:
    """Make keys for encrypted files, and change who can read them."""


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--identity",
    is_flag=True,
    help="A pair for receiving: others encrypt for FILE.pub, only FILE opens it.",
)
@output_options
def new(output: Output, file: str, *, identity: bool) -> int:
    """Write a new secret key to FILE, which must not exist."""
    from towpath.codec.keys import Identity, KeyFile

    if not identity:
        key = KeyFile.new()
        write_new(Path(file), key.text(), secret=True)
        output.record("key", file=file, id=key.id)
        output.say(f"{file} has a new key. Without it what is encrypted for it is lost.")
        return OK
    own = Identity.new()
    write_new(Path(file), own.text(), secret=True)
    write_new(Path(f"{file}.pub"), own.recipient.text(), secret=False)
    output.record("identity", file=file, public=f"{file}.pub", id=own.recipient.id)
    output.say(f"{file} has a new identity; hand {file}.pub to who shall encrypt for it.")
    return OK


@keys.command()
@click.argument("name", type=SERVER_NAME)
@opening_options
@click.option(
    "--to-key-file", "for_keys", multiple=True, type=_FILE, help="From now on for this key."
)
@click.option(
    "--to-recipient",
    "for_recipients",
    metavar="FILE",
    multiple=True,
    type=_FILE,
    help="From now on for the owner of this public key.",
)
@click.option(
    "--to-passphrase-file",
    "for_passphrase",
    metavar="FILE",
    type=_FILE,
    help="From now on for the passphrase in this file.",
)
@caller_options
def wrap(caller: Caller, name: str, **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Change who can read the encrypted file NAME. No data moves.

    The first options open it as it is; those that begin with --to say all that shall open it from
    now on. Who has kept a copy of the old record and an old key can still read the file.
    """
    given = {
        "key_file": said["for_keys"],
        "recipient": said["for_recipients"],
        "passphrase_file": said["for_passphrase"],
        "passphrase_env": None,
        "encrypt": False,
    }
    renewed = locks(given, caller.output)
    if not renewed:
        raise click.UsageError("Say who shall be able to read it: --to-key-file and the like.")
    old = opens(said, caller.output)
    with caller.client() as client:
        client.rewrap(name, old, renewed)
    caller.output.record("rewrapped", name=name, wraps=len(renewed))
    caller.output.say(f"The keys of {name} are wrapped anew.")
    return OK
