"""Writes the generated pages of docs/reference: `python -m tests.docs.reference`.

Rules: what a page says comes from the code alone; a test compares, so that no page is stale.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import click

from towpath import errors, settings
from towpath.cli.main import cli
from towpath.errors import TowpathError
from towpath.protocol.problem import status_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
_FIELD = re.compile(r"^    (\w+): [^=]+ = (.+?)(?:  # (.+))?$", re.MULTILINE)


def settings_page() -> str:
    """One row a setting, with the comment that stands beside it."""
    source = inspect.getsource(settings.Settings)
    found = {match[1]: (match[2], match[3] or "") for match in _FIELD.finditer(source)}
    rows = []
    for field in fields(settings.Settings):
        default = getattr(settings.Settings(), field.name)
        written, said = found[field.name]
        rows.append(f"| `{field.name}` | {_shown(default, written)} | {said} |")
    return (
        "# Settings\n\n"
        "Written from `settings.py`. A setting is a flag, a variable `TOWPATH_<NAME>`, or a line\n"
        "of the TOML file of `--config`; the first that says something counts. Without `--config`\n"
        "the table `[server]` of [the usual files](../guide/running-a-server.md#settings) counts,\n"
        "of which `towpath.toml` in the working folder may set `port`, `log_level` and\n"
        "`log_format`. Sizes are written\n"
        "as `8MiB` or `8M` (8 x 1024 x 1024 bytes) or `8MB` (8,000,000), times as `500ms`, `30s`,\n"
        "`24h` or `7d`.\n\n"
        "| setting | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _shown(value: object, written: str) -> str:
    """A default as one would write it; `written`: as the source has it, which tells its unit."""
    if value is None or value in {(), ""}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if isinstance(value, int) and name[:3].upper() in written and value % unit == 0:
            return f"{value // unit}{name}"
    for unit, name in ((86400, "d"), (3600, "h")):
        if isinstance(value, float) and value and value % unit == 0:
            return f"{value / unit:g}{name}"
    return f"{value:g}" if isinstance(value, int | float) else f"`{value}`"


def errors_page() -> str:
    """One row an error class."""
    rows = []
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(kind, TowpathError):
            continue
        status = status_of(kind.__new__(kind))
        meaning = (inspect.getdoc(kind) or "").splitlines()[0]
        rows.append(f"| `{name}` | `{kind.code}` | {status} | {meaning} |")
    return (
        "# Errors\n\n"
        "Written from `errors.py` and `protocol/problem.py`. Over HTTP an error is a problem\n"
        "document (RFC 9457) whose `code` is the word below; `title` says what happened, `detail`\n"
        "why, `todo` what to do.\n\n"
        "| class | code | status | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def commands_page() -> str:
    """The help of every command."""
    parts = ["# Commands\n\nWritten from the command line's own help.\n"]
    with click.Context(cli, info_name="towpath", terminal_width=80, **cli.context_settings) as top:
        for name in cli.list_commands(top):
            command = cli.get_command(top, name)
            assert command is not None
            parts += _help(command, top, name)
    return "\n".join(parts)


def _help(command: click.Command, parent: click.Context, name: str) -> list[str]:
    with click.Context(command, info_name=name, parent=parent, terminal_width=80) as context:
        parts = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                parts += _help(found, context, inner)
    return parts


PAGES = {"settings.md": settings_page, "errors.md": errors_page, "commands.md": commands_page}


def main() -> None:
    """Write them all."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
