"""How long lines end on a terminal."""

from __future__ import annotations

import io
import os

import pytest

from towpath.cli.output import wrapped

TEXT = "Nobody answers at https://up.example.org. Connection refused. Check the address, and look."


def test_what_is_set_in_is_one_line_where_there_is_no_terminal() -> None:
    assert wrapped(TEXT, io.StringIO(), indent=14) == f"{'':<14}{TEXT}"


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_is_set_in_on_every_line_of_a_terminal(width: int) -> None:
    import pty  # noqa: PLC0415 - only there
    import termios  # noqa: PLC0415 - only there

    ours, end = pty.openpty()  # only its size counts
    termios.tcsetwinsize(end, (24, width))
    with os.fdopen(end, "w") as terminal:
        lines = wrapped(TEXT, terminal, indent=14).splitlines()
    os.close(ours)
    assert all(line.startswith(" " * 14) and len(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines) == TEXT
    assert len(lines) == {40: 4, 80: 2, 120: 1}[width]
