"""How long lines end on a terminal."""

from __future__ import annotations

import os
import sys

import pytest

from towpath.cli.output import Output

TEXT = "Nobody answers at https://up.example.org. Connection refused. Check the address, and look."


def test_a_remark_goes_to_programs_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Output().remark(TEXT, indent=14)
    Output(as_json=True).remark(TEXT, indent=14)
    assert capsys.readouterr().out == f"{'':<14}{TEXT}\n"


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_remark_is_set_in_on_every_line_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    import pty  # noqa: PLC0415 - only there
    import termios  # noqa: PLC0415 - only there

    ours, end = pty.openpty()
    termios.tcsetwinsize(end, (24, width))
    with os.fdopen(end, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        Output().remark(TEXT, indent=14)
        lines = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert all(line.startswith(" " * 14) and len(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines) == TEXT
    assert len(lines) == {40: 4, 80: 2, 120: 1}[width]
