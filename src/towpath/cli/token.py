"""`towpath token`: secrets for callers of a server.

Rules: a secret is printed once and kept nowhere; the tokens file holds only its hash. A server that
runs looks at its file before each answer, so what is written here counts at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from towpath.cli.aliases import Aliased
from towpath.cli.options import output_options
from towpath.cli.output import Output
from towpath.cli.stored import write_whole
from towpath.client.progress import rfc3339
from towpath.errors import NotFound, SettingsError

SCOPES = ("read", "write", "list", "remove")


_FILE = click.argument("file", type=click.Path(dir_okay=False))


@click.group(cls=Aliased)
def token() -> None:
    """Make, list and revoke tokens for the callers of a server.

    They are in a file, which the server is given with --tokens and follows while it runs.
    """


@token.command()
@_FILE
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
    """Print a new token, and add its hash to the tokens FILE of a server.

    `towpath token create` is the same.
    """
    token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    entry = {
        "id": token_id,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "tenant": tenant,
        "subject": subject,
        "scopes": list(scopes or SCOPES),
        "prefix": prefix,
        "created": rfc3339(time.time()),
    }
    path = Path(os.path.realpath(file))
    with _alone(path):
        append(path, entry)
    text = f"tow_{token_id}_{secret}"
    output.line(text)
    output.record("token", token=text, **{k: v for k, v in entry.items() if k != "sha256"})
    output.say(f"It will not be shown again. {file} has its hash; hand the line to {subject}.")


@token.command("list")
@_FILE
@output_options
def list_all(output: Output, file: str) -> None:
    """List the tokens in FILE: id, subject, tenant, what each allows, and when it was made.

    No secret is in the file, so none can be shown. A token has no end: revoke it.
    """
    for entry in _entries(Path(file))[1]:
        told: dict[str, Any] = {name: entry.get(name) for name in ("id", "subject", "tenant")}
        told["scopes"] = entry.get("scopes", list(SCOPES))
        told |= {"prefix": entry.get("prefix", ""), "created": entry.get("created")}
        output.record("token", **told)
        day = str(told["created"] or "-")[:10]
        scopes = ",".join(told["scopes"])
        line = f"{told['id']:<8}  {told['subject']:<12}  {told['tenant']:<10}  {day:<10}  {scopes}"
        output.line(f"{line}  {told['prefix']}".rstrip())


@token.command()
@_FILE
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@output_options
def revoke(output: Output, file: str, ids: tuple[str, ...]) -> None:
    """Take tokens out of FILE, by their ids: whoever shows one is not known any more.

    A server that runs knows it at the next request.
    """
    path = Path(os.path.realpath(file))
    with _alone(path):
        text, entries = _entries(path)
        known = {str(entry.get("id")): str(entry.get("subject")) for entry in entries}
        for token_id in ids:
            if token_id not in known:
                raise NotFound(
                    f"There is no token {token_id} in {file}.",
                    why="None was revoked.",
                    todo=f"`towpath token list {file}` lists their ids.",
                )
        rest = [entry for entry in entries if entry.get("id") not in ids]
        write_whole(path, _without(text, ids, rest, file), as_before=True)
    for token_id in dict.fromkeys(ids):
        output.record("revoked", id=token_id, subject=known[token_id])
        output.say(f"Revoked {token_id}, which {known[token_id]} had.")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until nobody else changes a file of that folder by this command, and keep it so."""
    try:
        import fcntl  # not every system has it
    except ImportError:
        yield
        return
    try:
        handle = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _entries(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The text of a tokens file, and its tables. Raises SettingsError."""
    try:
        text = path.read_text("utf-8")
        entries = tomllib.loads(text).get("token", [])
        if not (isinstance(entries, list) and all(isinstance(one, dict) for one in entries)):
            raise ValueError("It has no [[token]] tables")
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error
    return text, entries


def _without(text: str, ids: Sequence[str], rest: list[dict[str, Any]], file: str) -> str:
    """The file without some of its tables, the rest as it was. Raises SettingsError."""
    first, *blocks = re.split(r"(?m)^(?=[ \t]*\[)", text)
    kept = [block for block in blocks if _id_of(block) not in ids]
    left = "".join([first, *kept])
    try:
        as_meant = tomllib.loads(left).get("token", []) == rest
    except tomllib.TOMLDecodeError:
        as_meant = False
    if not as_meant:
        raise SettingsError(
            f"{file} cannot be changed.",
            why="It is written in a way that this command does not write.",
            todo="Take the token out with an editor.",
        )
    return left


def _id_of(block: str) -> str | None:
    """The id of a [[token]] table; None if it is none."""
    try:
        (entry,) = tomllib.loads(block)["token"]
    except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError):
        return None
    return str(entry.get("id"))


def _unusable(path: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"The tokens file {path} cannot be used.", why=f"{error}.", todo="Repair or move it."
    )


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
        raise _unusable(path, error) from error


def _toml(value: object) -> str:
    """Strings and lists of strings are the same in JSON and TOML, but for one character."""
    return json.dumps(value).replace("\x7f", "\\u007f")
