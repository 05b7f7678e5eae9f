"""`towpath completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: towpath completion bash > ~/.local/share/bash-completion/completions/towpath
    zsh:  towpath completion zsh > "${fpath[1]}/_towpath"
    fish: towpath completion fish > ~/.config/fish/completions/towpath.fish
    """  # noqa: D301 - click reads \b as: these lines stay as they are
    from click.shell_completion import get_completion_class

    from towpath.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are those that click has
    made = kind(cli, {}, "towpath", "_TOWPATH_COMPLETE")
    # Not `source`: for bash it starts one, to see whether it is new enough.
    sys.stdout.write(made.source_template % made.source_vars())
