"""What a person sees of commands, as it is on every machine: one text for stdout and stderr.

Rules: what differs with time, place or load is put to one value each; nothing else is touched.
"""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from towpath.cli.main import main

_SAME = (
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:54321"),
    (r"tow_[0-9a-f]{8}_[\w-]{43}", "tow_01234567_secret"),
    (r"\b[0-9a-f]{12}\b", "0123456789ab"),
    (r"key-file [0-9a-f]{16}", "key-file 0123456789abcdef"),
    (r"pid \d+ on \S+, since [\d:T+-]+", "pid 4711 on host, since 2026-11-21T08:00:00+00:00"),
    (r"\b20[2-5]\d-\d\d-\d\d \d\d:\d\d:\d\d\b", "2026-11-21 08:00:00"),
    (r"\b20[2-5]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-11-21T08:00:00Z"),
    (r"\bin [\d.]+ m?s( \([\d.]+ \w+/s\))?", "in 9 ms"),
    (r"(?m)(\d %)(?:  [\d.]+ \w+/s)?$", r"\1  9.9 MiB/s"),
    (r" {2,}[\d.]+ (MiB/s|ms)\b", r"  9.9 \1"),
    (r"[\d.]+ m?s after", "9 ms after"),
    (r"reached in \d+ ms", "reached in 9 ms"),
    (r"[\d.]+ [TGM]iB free", "1.0 TiB free"),
    (r"(?m)^\[.\] disk.*\n(?: .*\n)*", ""),  # as many as there are
    (r"(?m)^(id: +)\S+$", r"\1u1"),
    (r"(?m)^(towpath|python|system) \d?[\w.+-]*\d[\w.+-]*$", r"\1 1.2.3"),
    (r"Towpath \d+\S*", "Towpath 1.2.3"),
    (r'"towpath \d[^"]*"', '"towpath 1.2.3"'),
    (r"(127\.0\.0\.1:54321/\w+/)[\w.~-]{20,}\S*", r"\1signed"),
)


class Screen:
    """Runs commands, and keeps what they show. `root`: a path that is called /here."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._pieces: list[str] = []

    def run(self, *args: object) -> str:
        """Run one; what it showed."""
        words = [str(arg) for arg in args]
        shown = io.BytesIO()
        stream = io.TextIOWrapper(shown, "utf-8", write_through=True)
        with redirect_stdout(stream), redirect_stderr(stream):
            code = main(words)
        stream.flush()
        text = shown.getvalue().decode()
        self.show(shlex.join(words), text, code)
        return text

    def show(self, words: str, text: str, code: int) -> None:
        """Keep what a command showed that ran elsewhere."""
        self._pieces.append(f"$ towpath {words}\n{text}(exit {code})\n")

    def text(self) -> str:
        """All of it."""
        text = "\n".join(self._pieces).replace(self._root, "/here")
        for pattern, same in _SAME:
            text = re.sub(pattern, same, text)
        return text
