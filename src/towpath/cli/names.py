"""`towpath ls`, `stat` and `rm`: the names that a server knows."""

from __future__ import annotations

from collections.abc import Iterable

import click

from towpath.cli.amounts import size
from towpath.cli.exits import OK, PARTLY
from towpath.cli.named import SERVER_NAME
from towpath.cli.options import Caller, caller_options
from towpath.cli.output import printable
from towpath.client.words import ATTEMPT
from towpath.codec.beside import is_beside
from towpath.errors import NotFound, TowpathError

_OURS = {"name", "filename", "filetype", "mtime", "fingerprint", ATTEMPT}


@click.command()
@click.argument("prefix", default="", type=SERVER_NAME)
@click.option("-l", "--long", is_flag=True, help="With sizes, and times in UTC.")
@caller_options
def ls(caller: Caller, prefix: str, long: bool) -> None:
    """List the names on the server that begin with PREFIX."""
    output = caller.output
    with caller.client() as client:
        for name in client.names(prefix):
            output.record("name", **name.to_dict())
            if not long:
                output.line(name.path)
                continue
            mark = "  DAMAGED" if name.damaged else ""
            when = moment(name.updated_at or name.created_at)
            output.line(f"{size(name.length):>10}  {when}  {name.path}{mark}")


@click.command()
@click.argument("name", type=SERVER_NAME)
@caller_options
def stat(caller: Caller, name: str) -> None:
    """Show what the server knows of NAME."""
    with caller.client() as client:
        found = client.stat(name)
    caller.output.record("name", **found.to_dict())
    rows = {
        "name": found.path,
        "size": f"{size(found.length)} ({found.length} bytes)",
        "type": found.media_type or "unknown",
        "created": moment(found.created_at),
        "updated": moment(found.updated_at),
        **({"modified": moment(found.modified_at)} if found.modified_at else {}),
        "version": str(found.version),
        **found.digests,
        "id": found.id,
        **(
            {"damaged": "yes: the stored bytes are not the ones that came"} if found.damaged else {}
        ),
    }
    meta = [f"{key}={found.metadata[key]}" for key in sorted(found.metadata) if _is_told(key)]
    for key, value in [*rows.items(), *(("meta", pair) for pair in meta)]:
        caller.output.line(f"{key + ':':<11} {printable(value, lines=False)}")


def _is_told(key: str) -> bool:
    """Whether a key of metadata says something: not what other rows say, or clients need."""
    return key not in _OURS and not key.startswith("towpath-")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=SERVER_NAME)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@caller_options
def rm(caller: Caller, names: tuple[str, ...], dry_run: bool) -> int:
    """Remove names from the server.

    The record of an encrypted file's keys goes with it.
    """
    codes: list[int] = []
    removed: list[str] = []
    with caller.client() as client:
        for name in names:
            try:
                if dry_run:
                    length = client.stat(name).length
                    caller.output.record("plan", action="remove", name=name, total_bytes=length)
                    caller.output.line(f"{name}  {size(length)}")
                    continue
                client.remove(name)
            except TowpathError as error:
                if not went_along(name, removed, error):
                    codes.append(caller.output.error(error, about=name))
            else:
                removed.append(name)
                caller.output.record("removed", name=name)
                caller.output.say(f"Removed {name}.")
    if not codes:
        return OK
    return codes[0] if len(codes) == len(names) and len(set(codes)) == 1 else PARTLY


def went_along(name: str, others: Iterable[str], error: TowpathError) -> bool:
    """True if it is not there because the record of a file's keys goes with its file."""
    return isinstance(error, NotFound) and any(is_beside(name, other) for other in others)


def moment(rfc3339: str) -> str:
    """2026-11-21T08:00:00.123Z -> 2026-11-21T08:00:00Z: servers tell UTC, and so do we."""
    return f"{rfc3339[:19]}Z"
