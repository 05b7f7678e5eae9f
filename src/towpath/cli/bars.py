"""A bar for each transfer that is under way, on stderr; it goes when the transfer is done.

Rules: what a command says meanwhile appears above the bars as it was said, whole and unwrapped;
stdout is touched only where it is the terminal too, so that what goes to a file still goes there.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.table import Column

from towpath.cli.fitting import Fitted
from towpath.cli.output import printable
from towpath.cli.show import describe

if TYPE_CHECKING:
    from towpath.client.progress import Progress


class Bars:
    """Shows progress as bars."""

    def __init__(self) -> None:
        console = _Terminal(stderr=True)
        self._bars = RichProgress(
            _Label(table_column=Column(ratio=2, no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.fields[facts]}", markup=False, table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stood_in: list[_Above] = []
        if console.is_terminal:
            self._stand_in(console)
        self._bars.start()

    def update(self, label: str, progress: Progress) -> None:
        task = self._tasks.get(label)
        if task is None:
            text = printable(label, lines=False)
            task = self._tasks[label] = self._bars.add_task(text, total=None, facts="")
        done = progress.transferred_bytes
        self._bars.update(
            task, total=progress.total_bytes, completed=done, facts=describe(progress)
        )
        if progress.state.is_final:
            self._bars.remove_task(self._tasks.pop(label))

    def close(self) -> None:
        self._bars.stop()
        for above in self._stood_in:
            above.leave()
        self._stood_in.clear()

    def picture(self) -> Any:  # noqa: ANN401 - whatever rich draws
        """What is drawn."""
        return self._bars.get_renderable()

    def _stand_in(self, console: Console) -> None:
        for name in ("stderr", "stdout"):
            stream = getattr(sys, name)
            if name == "stderr" or stream.isatty():
                above = _Above(console, name, stream)
                setattr(sys, name, above)
                self._stood_in.append(above)


class _Terminal(Console):
    """Leaves room for the ^C that a terminal shows: else it would be on a line of its own."""

    @property  # type: ignore[misc]  # only read here
    def size(self) -> ConsoleDimensions:
        found = super().size
        return ConsoleDimensions(max(found.width - len("^C") - 1, 1), found.height)


class _Label(ProgressColumn):
    """What is carried."""

    def render(self, task: RichTask) -> Fitted:
        return Fitted(task.description)


class _Above(io.TextIOBase):
    """Stands for stdout or stderr: whole lines appear above the bars."""

    def __init__(self, console: Console, name: str, stream: TextIO) -> None:
        self._console = console
        self._name = name
        self._begun = ""
        self.rich_proxied_file = stream  # where the console itself writes

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.out(line, highlight=False)
        return len(text)

    def isatty(self) -> bool:
        return self.rich_proxied_file.isatty()

    def fileno(self) -> int:
        return self.rich_proxied_file.fileno()

    @property
    def buffer(self) -> Any:  # noqa: ANN401 - as the stream has it
        return self.rich_proxied_file.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read only, as most are
        return self.rich_proxied_file.encoding

    def leave(self) -> None:
        """Give the place back."""
        setattr(sys, self._name, self.rich_proxied_file)
        if self._begun:
            self.rich_proxied_file.write(self._begun)
