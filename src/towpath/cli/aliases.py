"""Other programs' words for our commands: one table, and the group that knows it.

Rules: an alias is called what it stands for from the first moment, so that it has that one's
settings, help and messages; lists name only the commands themselves.
"""

from __future__ import annotations

import click

ALIASES = {"upload": "put", "ps": "transfers", "token create": "token new"}
"""The words of an alias, groups before it, and those of the command itself."""


class Aliased(click.Group):
    """A group whose commands have further names."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        first, *rest = args
        groups: list[str] = []
        at: click.Context | None = ctx
        while at is not None and at.parent is not None:
            groups, at = [at.info_name or "", *groups], at.parent
        meant = ALIASES.get(" ".join((*groups, first)), first)
        return super().resolve_command(ctx, [meant.rpartition(" ")[2], *rest])
