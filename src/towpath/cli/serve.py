"""`towpath serve`: hands what the command line says to the server's assembly.

Rules: decides nothing; what was not said is not handed on, so that settings can say it.
"""

from __future__ import annotations

import click

from towpath.cli.options import Size, output_options
from towpath.cli.output import Output


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 8000 by default.")
@click.option("--data", type=click.Path(file_okay=False), help="The folder that holds everything.")
@click.option("--tls-cert", type=click.Path(dir_okay=False), help="The certificate, in PEM.")
@click.option("--tls-key", type=click.Path(dir_okay=False), help="Its private key, in PEM.")
@click.option(
    "--tokens", type=click.Path(dir_okay=False), help="Who may do what; see `towpath token`."
)
@click.option("--durability", metavar="LEVEL", help="When an answer promises bytes to be safe.")
@click.option("--max-size", type=Size(), help="The largest upload that is taken, such as 2TiB.")
@click.option(
    "--workers", type=click.IntRange(1), help="Processes; more than one needs PostgreSQL."
)
@click.option("--config", type=click.Path(dir_okay=False), help="A TOML file with settings.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["auto", "text", "json"]))
@output_options
def serve(_output: Output, **options: object) -> int:
    """Start a server, and serve until Ctrl-C or SIGTERM."""
    from towpath.assemble import serve as run

    said = {name: value for name, value in options.items() if value is not None}
    code: int = run(**said)
    return code
