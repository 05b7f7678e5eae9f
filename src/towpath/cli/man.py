"""`towpath man`: manual pages, made from the same texts as --help.

Rules: roff of the man macros, which man, groff and mandoc read; the same commands make the same
pages: no date, no path, no name of a machine stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from towpath.cli.options import output_options
from towpath.cli.output import Output

_MARK = re.compile(r"`([^`]+)`")

CODES = (
    ("0", "It is done."),
    ("1", "An error."),
    ("2", "The call was wrong."),
    ("3", "Some of several failed."),
    ("4", "There is no such thing."),
    ("5", "It may pass: what got through is kept, run it again."),
    ("6", "Bytes are not the ones that they should be, or a file has changed."),
    ("7", "Who asks is not known, or may not."),
    ("8", "A name is taken, or somebody else is at it."),
    ("9", "A limit is reached, or a disk is full."),
    ("10", "The server cannot be reached."),
    ("130", "Interrupted; what got through is kept."),
    ("143", "Terminated; what got through is kept."),
)
VARIABLES = (
    ("TOWPATH_URL", "The server."),
    ("TOWPATH_TOKEN", "The token for it."),
    ("TOWPATH_TOKEN_FILE", "The file with the token."),
    ("TOWPATH_CA, TOWPATH_CERT, TOWPATH_CERT_KEY", "What to trust, what to show, and its key."),
    ("TOWPATH_PROXY", "An HTTP proxy, or none. Else HTTPS_PROXY, HTTP_PROXY and NO_PROXY count."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "Where settings and unfinished transfers are kept."),
)


@click.command()
@click.argument("command", nargs=-1)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the pages of all commands into this folder.",
)
@output_options
def man(output: Output, command: tuple[str, ...], folder: Path | None) -> None:
    """Print the manual page of a command, or write all of them into a folder.

    `towpath man put | man -l -` shows one; `towpath man --to ~/.local/share/man/man1` installs
    them.
    """
    from towpath.cli.main import cli

    with click.Context(cli, info_name="towpath", **cli.context_settings) as top:
        if folder is None:
            output.line("\n".join(page(_find(top, command))))
            return
        if command:
            raise click.UsageError("--to writes all pages; leave out the command.")
        folder.mkdir(parents=True, exist_ok=True)
        for context in contexts(top):
            file = folder / f"{_title(context)}.1"
            file.write_text("\n".join([*page(context), ""]), encoding="utf-8")
            output.line(str(file))
            output.record("page", path=str(file))


def contexts(context: click.Context) -> Iterator[click.Context]:
    """A command and all below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from contexts(_below(context, name))


def _find(context: click.Context, command: tuple[str, ...]) -> click.Context:
    for name in command:
        context = _below(context, name)
    return context


def _below(context: click.Context, name: str) -> click.Context:
    group = context.command
    found = group.get_command(context, name) if isinstance(group, click.Group) else None
    if found is None:
        raise click.UsageError(f"There is no command {context.command_path} {name}.")
    return click.Context(found, info_name=name, parent=context)


def page(context: click.Context) -> list[str]:
    """The lines of a page."""
    from towpath import __version__

    command, title = context.command, _title(context)
    lines = [
        f'.TH "{escaped(title.upper())}" "1" "" "towpath {escaped(__version__)}" "Towpath"',
        ".SH NAME",
        f"{escaped(title)} \\- {escaped(_summary(context))}",
        ".SH SYNOPSIS",
        f".B {escaped(context.command_path)}",
        escaped(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
    ]
    options = [
        each for each in (param.get_help_record(context) for param in _options(context)) if each
    ]
    if options:
        lines.append(".SH OPTIONS")
        lines += _terms(options)
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        lines += _terms(list(_commands(context)))
    lines += [".SH ENVIRONMENT", *_terms(VARIABLES), ".SH EXIT STATUS", *_terms(CODES)]
    return [*lines, ".SH SEE ALSO", *_related(context)]


def _title(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _summary(context: click.Context) -> str:
    text = " ".join(re.split(r"\n\s*\n", (context.command.help or "").strip())[0].split())
    return text[:1].lower() + text[1:].rstrip(".")


def _options(context: click.Context) -> list[click.Option]:
    return [each for each in context.command.get_params(context) if isinstance(each, click.Option)]


def _commands(context: click.Context) -> Iterator[tuple[str, str]]:
    group = context.command
    assert isinstance(group, click.Group)  # noqa: S101 - asked before
    for name in group.list_commands(context):
        yield name, _summary(_below(context, name))


def _related(context: click.Context) -> list[str]:
    """The pages above and below, on one line."""
    pages = [] if context.parent is None else [_title(context.parent)]
    if isinstance(context.command, click.Group):
        pages += [f"{_title(context)}-{name}" for name in context.command.list_commands(context)]
    return [f".BR {escaped(each)} (1)" + ("," if each != pages[-1] else "") for each in pages]


def _terms(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    lines = []
    for term, text in pairs:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", escaped(" ".join(text.split()))]
    return lines


def _paragraphs(text: str) -> list[str]:
    """Help as click has it: paragraphs between empty lines; a backspace keeps lines."""
    lines: list[str] = []
    for number, part in enumerate(re.split(r"\n\s*\n", text.strip())):
        rows = [row.strip() for row in part.strip().splitlines()]
        if rows and rows[0] == "\b":
            lines += [".PP", ".nf", *map(_marked, rows[1:]), ".fi"]
            continue
        lines += [".PP"] * (number > 0)
        lines.append(_marked(" ".join(rows)))
    return lines


def _marked(text: str) -> str:
    """Text whose `code` is bold."""
    return _MARK.sub(lambda match: f"\\fB{match[1]}\\fR", escaped(text))


def escaped(text: str) -> str:
    """Text that roff shows as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
    return f"\\&{text}" if text.startswith((".", "'")) else text
