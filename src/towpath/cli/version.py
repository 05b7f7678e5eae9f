"""`towpath version`."""

from __future__ import annotations

import platform

import click

from towpath import __version__
from towpath.cli.options import output_options
from towpath.cli.output import Output


@click.command()
@output_options
def version(output: Output) -> None:
    """Show the versions of Towpath and Python, and the system."""
    facts = {
        "towpath": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    for name, value in facts.items():
        output.line(f"{name} {value}")
    output.record("version", **facts)
