"""`towpath link`: an address that whoever has it may use, without a token, until it expires.

Rules: the address is a secret; it goes to stdout and nowhere else.
"""

from __future__ import annotations

from typing import Any

import click

from towpath.cli.named import SERVER_NAME
from towpath.cli.options import Caller, caller_options
from towpath.cli.output import Output
from towpath.client.records import LinkRecord


class Span(click.ParamType[int]):
    """A time such as 90s, 30m, 24h or 7d, in whole seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as click hands it over
        from towpath.settings import read_seconds

        if isinstance(value, int):
            return value
        try:
            seconds = int(read_seconds(value))
        except (ValueError, KeyError):
            seconds = 0
        if seconds < 1:
            self.fail(f"{value!r} is no time; write one such as 30m, 24h or 7d.", param, ctx)
        return seconds


@click.command()
@click.argument("name", type=SERVER_NAME)
@click.option(
    "--for", "seconds", type=Span(), help="How long it works, as 24h; an hour by default."
)
@click.option("--inline", is_flag=True, help="Browsers show it; else they save it.")
@click.option("--filename", default="", help="What it is saved as.")
@click.option("--upload", is_flag=True, help="NAME is the id of an unfinished upload to be filled.")
@caller_options
def link(
    caller: Caller,
    name: str,
    seconds: int | None,
    inline: bool,
    filename: str,
    upload: bool,
) -> None:
    """Print an address that reads the object NAME without a token.

    Whoever has the address may use it until it expires. With --upload it takes the bytes of an
    upload whose length is known, by tus, and nothing else.
    """
    if upload:
        if inline or filename:
            raise click.UsageError("--inline and --filename are for objects that are read.")
        from towpath.client.names import link_to_write

        peer = caller.peer()
        try:
            made = link_to_write(peer, name, seconds=seconds)
        finally:
            peer.done_with()
    else:
        with caller.client() as client:
            disposition = "inline" if inline else ""
            made = client.link(name, seconds=seconds, disposition=disposition, filename=filename)
    _show(caller.output, name, made)


def _show(output: Output, name: str, made: LinkRecord) -> None:
    output.line(made.href)
    output.record("link", name=name, **made.to_dict())
    if made.expires_at:
        until = made.expires_at[:19].replace("T", " ")
        output.say(f"It works until {until} UTC. Whoever has it can use it.")
