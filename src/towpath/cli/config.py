"""`towpath config`: the settings of the command line, where they come from, and to change them.

Rules: what is shown is what the next command will use; secrets are named, never shown.
"""

from __future__ import annotations

import re

import click

from towpath.cli.layers import config_file
from towpath.cli.options import output_options
from towpath.cli.output import Output
from towpath.cli.stored import (
    SETTINGS,
    canonical,
    change_setting,
    kept_settings,
    servers,
    write_whole,
)
from towpath.client.surroundings import state_folder, token, variable
from towpath.errors import NameConflict, NotFound

_PASSWORD = re.compile(r"(?<=://)[^/@]+(?=@)")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show every setting, its value and where that comes from.

    A flag counts before the environment, that before towpath.toml in the working folder, that
    before your settings file, that before /etc/towpath/config.toml, that before the default. The
    file of the working folder may set progress, parallel, retries, chunk_size and limit.
    """
    if context.invoked_subcommand is not None:
        return
    output = context.find_object(Output) or Output()
    output.as_json = output.as_json or as_json
    _show(output, origins=True)


@config.command("show")
@click.option("--origin", "origins", is_flag=True, help="Also where each comes from.")
@output_options
def show(output: Output, origins: bool) -> None:
    """Show every setting and its value.

    With --origin as `towpath config` alone: a variable of the environment, a file, or the
    default. Secrets are named, never shown.
    """
    _show(output, origins=origins)


@config.command("init")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@output_options
def init(output: Output, force: bool) -> None:
    """Write a settings file in which every setting stands, as a comment.

    A file that is there is left alone.
    """
    file = config_file()
    if file.exists() and not force:
        raise NameConflict(
            f"{file} exists.", why="It may hold settings.", todo="To replace it, add --force."
        )
    write_whole(file, _template())
    output.record("folder", name="settings", path=str(file))
    output.line(str(file))


def _template() -> str:
    """Every setting as a comment, with what it means."""
    lines = ["# Settings of the towpath command. A line counts without its #.", ""]
    for name, setting in SETTINGS.items():
        named = f"; {setting.variable} counts before this" if setting.variable else ""
        number = isinstance(setting.kind, click.IntRange)
        default = setting.default if number else f'"{setting.default}"'
        lines += [f"# {setting.meaning}{named}", f"# {name} = {default}", ""]
    return "\n".join(lines)


def _show(output: Output, *, origins: bool) -> None:
    """All settings, one a line."""
    rows = [(name, *found(name)) for name in SETTINGS]
    rows.append(("token", *_token(rows[0][1])))
    widest = max(len(value) for _, value, _ in rows)
    for name, value, origin in rows:
        where = {"origin": origin} if origins else {}
        output.record("setting", name=name, value=value or None, **where)
        shown = f"{value or '-':<{min(widest, 44)}}  {origin}" if origins else value or "-"
        output.line(f"{name:<11} {shown}")
    if not origins:
        return
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
    if origin != str(config_file()):
        output.say(f"{origin} says it, too, and counts before {config_file()}.")


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
    if kept := kept_settings().get(name):
        return _PASSWORD.sub("***", str(kept.value)), str(kept.origin)
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
