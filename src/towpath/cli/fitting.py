"""A name that gives way in its middle where there is no room: names of one folder differ at ends.

Rules: width is counted in columns of a terminal, of which some letters take two.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_NARROWEST = 8  # columns


class Fitted:
    """A text for a table of rich, as wide as there is room."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        width = cell_len(self._text)
        return Measurement(min(_NARROWEST, width), width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self._text, options.max_width), no_wrap=True, overflow="ellipsis")


def shortened(text: str, width: int) -> str:
    """The text, without its middle if it takes more than `width` columns."""
    if cell_len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return f"{_first(text, width - 1 - end)}…{_first(text[::-1], end)[::-1]}"


def _first(text: str, width: int) -> str:
    """As many letters as have room."""
    taken = 0
    for index, letter in enumerate(text):
        taken += cell_len(letter)
        if taken > width:
            return text[:index]
    return text
