"""`towpath config`: the settings of the command line, where they come from, and to change them.

Rules: what is shown is what the next command will use; secrets are named, never shown.
"""

from __future__ import annotations

import re

import click

from towpath.cli.options import output_options
from towpath.cli.output import Output
from towpath.cli.stored import (
    SETTINGS,
    canonical,
    change_setting,
    config_file,
    read_settings,
    servers,
)
from towpath.client.surroundings import state_folder, token, variable
from towpath.errors import NotFound

_PASSWORD = re.compile(r"(?<=://)[^/@]+(?=@)")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show every setting, its value and where that comes from.

    A flag counts before the environment, that before the settings file, that before the default.
    """
    if context.invoked_subcommand is not None:
        return
    output = context.find_object(Output) or Output()
    output.as_json = output.as_json or as_json
    rows = [(name, *found(name)) for name in SETTINGS]
    rows.append(("token", *_token(rows[0][1])))
    widest = max(len(value) for _, value, _ in rows)
    for name, value, origin in rows:
        output.record("setting", name=name, value=value or None, origin=origin)
        output.line(f"{name:<11} {value or '-':<{min(widest, 44)}}  {origin}")
    for what, folder in (("settings", config_file()), ("transfers", state_folder())):
        output.record("folder", name=what, path=str(folder))
        output.line(f"{what:<11} {folder}")


@config.command("get")
@click.argument("name")
@output_options
def get_one(output: Output, name: str) -> None:
    """Print the value of one setting."""
    if name not in SETTINGS:
        raise NotFound(f"There is no setting {name!r}.", why=f"There are {', '.join(SETTINGS)}.")
    value, origin = found(name)
    output.line(value)
    output.record("setting", name=name, value=value or None, origin=origin)


@config.command("set")
@click.argument("name")
@click.argument("value")
@output_options
def set_one(output: Output, name: str, value: str) -> None:
    """Keep VALUE for the setting NAME."""
    if name == "proxy" and "@" in value:
        raise click.UsageError(
            "A proxy's password would be seen by others: set TOWPATH_PROXY, or edit "
            f"{config_file()}."
        )
    change_setting(name, value)
    shown, origin = found(name)
    output.record("setting", name=name, value=shown or None, origin=origin)
    overruled = SETTINGS[name].variable
    if overruled and variable(overruled):
        output.say(f"{overruled} is set, and counts before the file.")


@config.command("unset")
@click.argument("name")
@output_options
def unset_one(output: Output, name: str) -> None:
    """Leave the setting NAME to its default."""
    change_setting(name, None)
    shown, origin = found(name)
    output.record("setting", name=name, value=shown or None, origin=origin)


@config.command("path")
@output_options
def path(output: Output) -> None:
    """Print where the settings file is, or would be."""
    output.line(str(config_file()))
    output.record("folder", name="settings", path=str(config_file()))


def found(name: str) -> tuple[str, str]:
    """A setting's value as text, without passwords, and where it comes from."""
    setting = SETTINGS[name]
    if setting.variable and (value := variable(setting.variable)):
        return _PASSWORD.sub("***", value), setting.variable
    kept = read_settings()
    if name in kept:
        return _PASSWORD.sub("***", str(kept[name])), config_file().name
    return setting.default, "default"


def _token(url: str) -> tuple[str, str]:
    """That there is a token, and where it comes from."""
    if found("token_file")[0]:
        return "***", "token_file"
    if token():
        return "***", "TOWPATH_TOKEN"
    if canonical(url) in servers():
        return "***", "towpath login"
    return "", "none"
