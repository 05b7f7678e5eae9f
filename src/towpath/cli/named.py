"""Names of the server as they are written on the command line.

Rules: what no server could take as a name is refused before anybody is asked.
"""

from __future__ import annotations

from typing import Any

import click

from towpath.client.location import nameless


class ServerName(click.ParamType[str]):
    """A name of the server: text that is UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - as click hands it over
        if wrong := nameless(value):
            self.fail(wrong.what, param, ctx)
        return str(value)


SERVER_NAME = ServerName()


def insist_on_names(*names: str) -> None:
    """Raise UsageError for the first that cannot be a name."""
    for name in names:
        if wrong := nameless(name):
            raise click.UsageError(wrong.what)
