"""`towpath cat`: objects on stdout.

Rules: nothing but their bytes goes to stdout; whoever reads may go away, which is no failure.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from towpath.cli.keyfiles import opening_options, opens
from towpath.cli.options import Caller, bytes_options


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--retries", type=click.IntRange(0), default=10, show_default=True, help="In a row.")
@opening_options
@bytes_options
def cat(caller: Caller, names: tuple[str, ...], retries: int, **said: Any) -> None:  # noqa: ANN401 - as click has parsed it
    """Write objects to stdout, one after the other.

    NAME may be an address that `towpath link` made. A line that breaks is dialled again. Bytes are
    compared with the server's digest when all of them are through: exit code 6 says that they are
    not the ones.
    """
    from towpath.client.coded_peer import Decoding
    from towpath.client.outflow import Outflow

    peer = Decoding(caller.peer(), opens(said, caller.output))
    try:
        for name in names:
            for block in Outflow(peer, name, retries=retries).blocks():
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        _forget_stdout()
    finally:
        peer.done_with()


def _forget_stdout() -> None:
    """Let what is still buffered go nowhere, so that the end of the process is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
