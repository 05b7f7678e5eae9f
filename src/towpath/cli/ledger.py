"""`towpath ledger`: chores on a data directory whose server does not run."""

from __future__ import annotations

from pathlib import Path

import click

from towpath.cli.layers import server_settings
from towpath.cli.options import output_options
from towpath.cli.output import Output


@click.group()
def ledger() -> None:
    """Look after the ledger of a server that does not run."""


@ledger.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The data directory; towpath-data by default.",
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="A settings file.")
@output_options
def rebuild(output: Output, data: Path | None, config: Path | None) -> int:
    """Make the ledger again from the manifests that stand beside the objects.

    Adds what is missing and changes nothing that is there.
    """
    from towpath.assemble import rebuild_ledger

    done = rebuild_ledger(config=config, kept={} if config else server_settings(), data=data)
    output.line(f"{done.added} objects added, {done.known} known already.")
    for at in done.unreadable:
        output.say(f"towpath: {at}: Its manifest is missing or damaged. The bytes were left alone.")
    output.record("rebuilt", added=done.added, known=done.known, unreadable=done.unreadable)
    return 3 if done.unreadable else 0
