"""`towpath token`: secrets for callers of a server.

Rules: a secret is printed once and kept nowhere; the tokens file holds only its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click

from towpath.cli.options import output_options
from towpath.cli.output import Output
from towpath.errors import SettingsError

SCOPES = ("read", "write", "list", "remove")


@click.group()
def token() -> None:
    """Make tokens for the callers of a server."""


@token.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--subject", required=True, help="Who it is for.")
@click.option("--tenant", default="default", show_default=True, help="Whose objects it sees.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="What it allows; may be given again. All of them by default.",
)
@click.option("--prefix", default="", help="Only names that begin so.")
@output_options
def new(
    output: Output, file: str, subject: str, tenant: str, scopes: tuple[str, ...], prefix: str
) -> None:
    """Print a new token, and add its hash to the tokens FILE of a server."""
    token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    entry = {
        "id": token_id,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "tenant": tenant,
        "subject": subject,
        "scopes": list(scopes or SCOPES),
        "prefix": prefix,
    }
    append(Path(file), entry)
    text = f"tow_{token_id}_{secret}"
    output.line(text)
    output.record("token", token=text, **{k: v for k, v in entry.items() if k != "sha256"})
    output.say(f"It will not be shown again. {file} has its hash; hand the line to {subject}.")


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Add a table to the tokens file, which only its owner may read. Raises SettingsError."""
    lines = ["[[token]]", *(f"{key} = {_toml(value)}" for key, value in entry.items()), ""]
    try:
        before = path.read_text("utf-8") if path.exists() else ""
        tomllib.loads(before)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            if before and not before.endswith("\n"):
                file.write("\n")
            file.write("\n".join(["", *lines] if before else lines))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"The tokens file {path} cannot be used.", why=f"{error}.", todo="Repair or move it."
        ) from error


def _toml(value: object) -> str:
    """Strings and lists of strings are the same in JSON and TOML, but for one character."""
    return json.dumps(value).replace("\x7f", "\\u007f")
