"""How a command speaks: lines or JSON on stdout, messages on stderr.

Rules: stdout is what a program would read, and nothing else; with --json it is one object per
line, each with `schema` and `type`. New types and fields may be added; none changes its meaning.
"""

from __future__ import annotations

import json
import sys
import traceback

from towpath.cli.exits import exit_code
from towpath.errors import TowpathError

SCHEMA = 1


class Output:
    """Where a command's words go. `as_json`: for programs. `debug`: with tracebacks."""

    def __init__(self, *, as_json: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug

    def line(self, text: str) -> None:
        """Data for people; nothing with --json."""
        if not self.as_json:
            print(printable(text), flush=True)

    def record(self, kind: str, **fields: object) -> None:
        """Data for programs; nothing without --json."""
        if self.as_json:
            print(json_line(kind, **fields), flush=True)

    def say(self, text: str) -> None:
        """A message, on stderr."""
        print(printable(text), file=sys.stderr, flush=True)

    def error(self, error: Exception, *, about: str = "") -> int:
        """Say what happened, why, and what to do; return the exit code for it."""
        code = exit_code(error)
        if isinstance(error, TowpathError):
            word, text = error.code, str(error)
            parts = {"what": error.what, "why": error.why, "todo": error.todo}
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


def json_line(kind: str, **fields: object) -> str:
    """One JSON object."""
    return json.dumps({"schema": SCHEMA, "type": kind, **fields}, ensure_ascii=True)


def printable(text: str) -> str:
    """Text with control characters made visible: a name must not steer a terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1]
        for letter in text
    )
