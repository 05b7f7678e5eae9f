"""`towpath serve`: hands what the command line says to the server's assembly.

Rules: decides nothing, reads no amounts; what was not said is not handed on, so that the
environment, a settings file or the defaults can say it.
"""

from __future__ import annotations

from pathlib import Path

import click

from towpath.cli.layers import server_settings
from towpath.cli.options import output_options
from towpath.cli.output import Output

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="8000 by default.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept; towpath-data by default.",
)
@click.option(
    "--unix-socket",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Listen on this Unix socket, in place of address and port.",
)
@click.option("--base-path", metavar="PATH", help="Where all routes live below, as /towpath.")
@click.option(
    "--proxies",
    metavar="LIST",
    help="Addresses and networks of proxies whose X-Forwarded fields count, with commas between.",
)
@click.option(
    "--cors-origins",
    metavar="LIST",
    help="Origins whose pages may ask, as https://app.example.org, with commas between.",
)
@click.option("--tokens", type=_FILE, help="Who may do what; `towpath token new` adds to it.")
@click.option(
    "--anonymous-anywhere",
    is_flag=True,
    default=None,
    help="Without tokens, serve other machines too.",
)
@click.option("--tls-cert", type=_FILE, help="The certificate, in PEM.")
@click.option("--tls-key", type=_FILE, help="Its private key, in PEM.")
@click.option(
    "--durability",
    type=click.Choice(["strict", "relaxed"]),
    help="strict, by default: what was answered survives a power cut.",
)
@click.option("--max-length", metavar="SIZE", help="The longest upload that is taken, as 2TiB.")
@click.option("--lifetime", metavar="TIME", help="When an idle upload ends; 24h by default.")
@click.option("--memory", metavar="SIZE", help="For all bodies at once; 256MiB by default.")
@click.option(
    "--config",
    type=_FILE,
    help="A TOML file with these and further settings, in place of the usual files.",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["text", "json"]))
@output_options
def serve(_output: Output, **options: object) -> int:
    """Start a server, and serve until Ctrl-C or SIGTERM.

    Every option can also be set as TOWPATH_ and its name, such as TOWPATH_PORT, or in the table
    [server] of your settings file or the machine's. towpath.toml in the working folder may set
    port, log_level and log_format there.
    """
    from towpath.assemble import serve as run

    config = options.pop("config")
    kept = {} if config else server_settings()
    said = {name: value for name, value in options.items() if value is not None}
    return run(config=config if isinstance(config, Path) else None, kept=kept, **said)
