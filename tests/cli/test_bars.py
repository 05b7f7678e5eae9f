"""Bars on a terminal: how they look in its width, and what is said while they are drawn."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.client.fake import FakeServer
from towpath.cli.bars import Bars
from towpath.cli.fitting import shortened
from towpath.client.progress import Direction, Progress, TransferState

Snapshot = Callable[[str, str], None]
MIB = 1024 * 1024


def at(count: int, *, state: str = "running", speed: float = 0.0) -> Progress:
    """So many MiB of 400."""
    left = 400 * MIB - count * MIB
    return Progress(
        transfer_id="x",
        direction=Direction.UPLOAD,
        state=TransferState(state),
        total_bytes=400 * MIB,
        transferred_bytes=count * MIB,
        sent_bytes=0,
        resumed_from=0,
        bytes_per_second=speed,
        eta_seconds=left / speed if speed else None,
        retries=0,
        started_at=0.0,
        updated_at=0.0,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_bars_fit_the_width(width: int, snapshot: Snapshot) -> None:
    bars = Bars()
    bars.update("short.bin", at(0))
    bars.update("/srv/[red]archive[/red]/2026/a rather long folder/scan-of-page-1.tif", at(100))
    bars.update("/srv/archive/2026/a rather long folder/and another one/scan-2.tif", at(399))
    bars.update("影像/二零二六年五月的所有照片/第一张照片的原始文件.raw", at(200, speed=12.5 * MIB))
    bars.update("fast.bin", at(250, speed=900.0 * MIB))
    bars.update("waits.bin", at(300, state="waiting"))
    bars.update("done.bin", at(400))
    bars.update("done.bin", at(400, state="complete"))
    console = Console(width=width, color_system=None, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(bars.picture())
    bars.close()
    text = capture.get()
    assert {columns(line) for line in text.splitlines()} == {width}
    snapshot(f"bars-{width}", "\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def columns(text: str) -> int:
    """What a terminal needs for it."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def test_what_is_too_wide_loses_its_middle() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abc…fghijk"
    assert shortened("影像" * 10, 11) == "影像…像影像"
    for width in range(1, 40):
        assert columns(shortened("影a像b" * 10, width)) <= width


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("to_file", [True, False])
def test_names_are_said_where_stdout_goes_while_bars_are_drawn(
    environment: dict[str, str], server: FakeServer, tmp_path: Path, to_file: bool
) -> None:
    import pty  # noqa: PLC0415 - only there

    name = "a name that is rather long and has many words in it, so that it is wider than 80.bin"
    (tmp_path / name).write_bytes(b"x" * 100)
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "towpath", "put", str(tmp_path / name), "--progress", "bar"]
    with subprocess.Popen(
        command,
        env={**os.environ, **environment, "TERM": "xterm", "NO_COLOR": "1"},
        stdout=subprocess.PIPE if to_file else end,
        stderr=end,
    ) as process:
        os.close(end)
        shown = b""
        while block := _read(terminal):
            shown += block
        out = process.stdout.read() if process.stdout else b""
    os.close(terminal)
    assert process.returncode == 0
    assert out == (f"{name}\n".encode() if to_file else b"")
    assert (name.encode() in shown) is not to_file
    assert b"1 file, 100 B in" in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
