"""`towpath mv`: names on the server become others; no byte moves."""

from __future__ import annotations

import click

from towpath.cli.exits import OK, PARTLY
from towpath.cli.named import SERVER_NAME
from towpath.cli.names import went_along
from towpath.cli.options import Caller, caller_options
from towpath.errors import TowpathError


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME... DEST", type=SERVER_NAME)
@click.option(
    "--on-conflict",
    type=click.Choice(["fail", "replace", "keep-both"]),
    default="fail",
    show_default=True,
    help="When the name is taken.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@caller_options
def mv(caller: Caller, names: tuple[str, ...], on_conflict: str, dry_run: bool) -> int:
    """Call a name on the server DEST, or put names into the folder DEST/.

    Each name moves at once or not at all: nobody sees its object under two names, or under none.
    The record of an encrypted file's keys moves along.
    Prints what each is called then.
    """
    if len(names) < 2:
        raise click.UsageError("Say what to move, and where to: NAME... DEST.")
    *sources, dest = names
    if len(sources) > 1 and not dest.endswith("/"):
        raise click.UsageError(f"Several names go into a folder: {dest}/")
    codes: list[int] = []
    moved: list[str] = []
    output = caller.output
    with caller.client() as client:
        for name in sources:
            to = dest + name.rpartition("/")[2] if dest.endswith("/") else dest
            try:
                if dry_run:
                    client.stat(name)
                    output.record("plan", action="move", name=name, to=to)
                    output.line(f"{name} -> {to}")
                    continue
                now = client.move(name, to, on_conflict=on_conflict)
            except TowpathError as error:
                if not went_along(name, moved, error):
                    codes.append(output.error(error, about=name))
            else:
                moved.append(name)
                output.record("moved", name=name, to=now)
                output.line(now)
    if not codes:
        return OK
    return codes[0] if len(codes) == len(sources) and len(set(codes)) == 1 else PARTLY
