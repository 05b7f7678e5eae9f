"""`towpath cat`: objects on stdout.

Rules: nothing but their bytes goes to stdout; whoever reads may go away, which is no failure.
"""

from __future__ import annotations

from typing import Any

import click

from towpath.cli.keyfiles import opening_options, opens
from towpath.cli.named import SERVER_NAME
from towpath.cli.options import Caller, bytes_options
from towpath.cli.pour import pour


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=SERVER_NAME)
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@opening_options
@bytes_options
def cat(caller: Caller, names: tuple[str, ...], retries: int, **said: Any) -> int:  # noqa: ANN401 - as click has parsed it
    """Write objects to stdout, one after the other.

    NAME may be an address that `towpath link` made. A line that breaks is dialled again. Bytes are
    compared with the server's digest when all of them are through: exit code 6 says that they are
    not the ones.
    """
    keys = opens(said, caller.output)
    client = caller.client(retries=retries)
    return pour(client, names, keys=keys, output=caller.output, show=caller.show())
