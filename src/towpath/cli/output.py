"""How a command speaks: lines or JSON on stdout, messages on stderr.

Rules: stdout is what a program would read, and nothing else; with --json it is one object per
line, each with `schema` and `type`. New types and fields may be added; none changes its meaning.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import textwrap
import traceback
from contextlib import suppress
from typing import TextIO

from towpath.cli.exits import exit_code
from towpath.errors import TowpathError, Unauthenticated

SCHEMA = 1
_TODO: dict[type[TowpathError], str] = {  # where a server's advice is for programs
    Unauthenticated: "Show a token: by `towpath login`, TOWPATH_TOKEN or --token-file.",
}
_NARROWEST = 20  # columns: less is no terminal for people


class Output:
    """Where a command's words go. `as_json`: for programs. `debug`: with tracebacks."""

    def __init__(self, *, as_json: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug

    def line(self, text: str) -> None:
        """Data for people; nothing with --json."""
        if not self.as_json:
            _tell(printable(text))

    def as_named(self, text: str) -> None:
        """Data with the names of files here, which a program gets byte by byte as they are."""
        if self.as_json:
            return
        _tell(printable(text) if sys.stdout.isatty() else os.fsencode(text))

    def record(self, kind: str, **fields: object) -> None:
        """Data for programs; nothing without --json."""
        if self.as_json:
            _tell(json_line(kind, **fields))

    def say(self, text: str) -> None:
        """A message, on stderr."""
        text = printable(text, lines=False)
        print(wrapped(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)

    def error(self, error: Exception, *, about: str = "") -> int:
        """Say what happened, why, and what to do; return the exit code for it."""
        error = _ours(error)
        code = exit_code(error)
        if isinstance(error, TowpathError):
            word, todo = error.code, _TODO.get(type(error), error.todo)
            parts = {"what": error.what, "why": error.why, "todo": todo}
            text = " ".join(filter(None, parts.values()))
        else:
            word, text = "internal", f"{type(error).__name__}: {error}"
            parts = {"what": text, "why": "This is a fault of Towpath.", "todo": ""}
            text += " This is a fault of Towpath; --debug shows where."
        where = f"{about}: " if about and about not in text else ""
        self.say(f"towpath: {where}{text} [{word}]")
        if self.debug:
            traceback.print_exception(error, file=sys.stderr)
        self.record("error", code=word, exit_code=code, about=about or None, **parts)
        return code


def _tell(text: str | bytes) -> None:
    """A line on stdout. Raises StoreFull, TransferError if it is a file that takes none."""
    try:
        if isinstance(text, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(text + b"\n")
            sys.stdout.buffer.flush()
        else:
            print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        from towpath.client.disk import refused

        forget_stdout()
        raise refused(error, "What this command prints on stdout cannot be written.") from error


def forget_stdout() -> None:
    """What is left in the buffer of stdout goes nowhere, so that the interpreter ends in peace."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _ours(error: Exception) -> Exception:
    """What a disk here refuses, in our words; anything else as it is."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not isinstance(error, OSError) or (error.filename is None and not full):
        return error
    from towpath.client.disk import named

    found = named(error)
    found.__cause__ = error
    return found


def json_line(kind: str, **fields: object) -> str:
    """One JSON object."""
    return json.dumps({"schema": SCHEMA, "type": kind, **fields}, ensure_ascii=True)


def printable(text: str, *, lines: bool = True) -> str:
    """Text with control characters made visible: a name must not steer a terminal.

    `lines`: it may be of several lines, and have tabs.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept else ascii(letter)[1:-1] for letter in text
    )


def wrapped(text: str, stream: TextIO | None = None, indent: int = 0) -> str:
    """A message whose lines end between words, as wide as the terminal: stderr's by default.

    `indent`: columns before each line.
    """
    text = " " * indent + text
    try:
        width = os.get_terminal_size((stream or sys.stderr).fileno()).columns
    except (OSError, ValueError):  # it has no size
        width = 0
    if len(text) <= width or width < _NARROWEST:
        return text
    lines = textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return "\n".join(lines)
