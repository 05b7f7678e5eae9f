"""`towpath top`: the uploads of a server as they happen.

Rules: what is shown is what the server's events say, nothing is asked for twice; one that ended
stays for a while, so that people see it end; a stream that breaks is opened again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from towpath.cli.amounts import duration, size
from towpath.cli.exits import OK
from towpath.cli.options import Caller, caller_options
from towpath.cli.output import printable
from towpath.client.events import LISTENING, Event, listen
from towpath.errors import Cut, ServerUnreachable, TowpathError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_STAYS = 10.0  # seconds that an upload is shown after its end
_AGAIN = 2.0  # seconds before a stream that broke is opened again
_FACTS = 5.0  # seconds between two looks at the server itself
_FINAL = ("complete", "cancelled", "expired", "failed")


@click.command()
@click.option("--once", is_flag=True, help="Show how things stand, and end.")
@caller_options
def top(caller: Caller, once: bool) -> int:
    """Watch the uploads that the server has, until Ctrl-C.

    With --json each event is a line, with the fields that the server tells.
    """
    if once and not caller.output.as_json:
        board = Board()
        for event in _events(caller, once=True):
            board.take(event)
        board.server = _server(caller)
        _console().print(board.table())
        return OK
    with suppress(KeyboardInterrupt):  # the way to end it
        if caller.output.as_json:
            _tell(caller, once=once)
        else:
            _watch(caller)
    return OK


@dataclass(slots=True)
class Board:
    """The newest facts of each upload."""

    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)  # id -> when
    server: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""

    def take(self, event: Event) -> None:
        """Note what an event says."""
        key = event.data.get("id")
        if isinstance(key, str):
            self.uploads[key] = event.data
            if event.data.get("state") in _FINAL:
                self.ended.setdefault(key, time.monotonic())

    def sweep(self, now: float) -> None:
        """Let go of what ended some time ago."""
        for key in [key for key, when in self.ended.items() if now - when > _STAYS]:
            del self.ended[key], self.uploads[key]

    def begin_again(self) -> None:
        """A new stream tells how everything stands."""
        self.uploads.clear()
        self.ended.clear()

    def table(self, rows: int | None = None) -> RenderableType:
        """What people see; at most `rows` uploads, those that move fastest first."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
        table.add_column("name", ratio=1, no_wrap=True)
        table.add_column("state", no_wrap=True)
        for heading in ("done", "received", "of", "speed", "left"):
            table.add_column(heading, justify="right", no_wrap=True)
        ordered = sorted(self.uploads.values(), key=_weight)
        for upload in ordered[:rows]:
            table.add_row(*_row(upload))
        parts: list[RenderableType] = [Text(self._summary()), table]
        if rows is not None and len(ordered) > rows:
            parts.append(Text(f"and {len(ordered) - rows} more"))
        if self.trouble:
            parts.append(Text(printable(self.trouble), style="bold"))
        return Group(*parts)

    def _summary(self) -> str:
        moving = [each for each in self.uploads.values() if _speed(each)]
        speed = sum(map(_speed, moving))
        open_ = len(self.uploads) - len(self.ended)
        parts = [f"{open_} unfinished", f"{len(moving)} moving", f"{size(speed)}/s"]
        memory, store = self.server.get("memory") or {}, self.server.get("store") or {}
        if memory.get("budget"):
            parts.append(f"memory {size(memory.get('reserved', 0))} of {size(memory['budget'])}")
        if store.get("free") is not None:
            parts.append(f"{size(store['free'])} free")
        return "  ".join(parts)


def _weight(upload: dict[str, Any]) -> tuple[bool, float, str]:
    over = upload.get("state") in _FINAL
    return over, -_speed(upload), str(upload.get("name") or "~")


def _speed(upload: dict[str, Any]) -> float:
    """Bytes a second; the last event of what has ended may still tell some."""
    over = upload.get("state") in _FINAL
    return 0.0 if over else float(upload.get("bytes_per_second") or 0)


def _row(upload: dict[str, Any]) -> tuple[RenderableType, ...]:
    """The cells of one upload, as text that cannot be markup."""
    from rich.markup import escape

    from towpath.cli.fitting import Fitted

    length, received = upload.get("length"), int(upload.get("received") or 0)
    share = f"{min(received * 100 // length, 100)} %" if length else "?"
    speed, left = _speed(upload), upload.get("eta_seconds")
    return (
        Fitted(printable(str(upload.get("name") or upload.get("id")), lines=False)),
        escape(str(upload.get("state"))),
        share if length != 0 else "100 %",
        size(received),
        "?" if length is None else size(length),
        f"{size(speed)}/s" if speed else "",
        duration(left) if left else "",
    )


def _tell(caller: Caller, *, once: bool) -> None:
    for event in _events(caller, once=once):
        caller.output.record(event.kind, **event.data)


def _events(caller: Caller, *, once: bool) -> Iterator[Event]:
    """Events, from one stream to how things stand, or from stream to stream."""
    peer = caller.peer()
    try:
        while True:
            try:
                for event in listen(peer, lambda: None):
                    yield event
                    if once and event.kind == LISTENING:
                        return
            except Cut:
                if once:
                    raise
            if once:
                return
            time.sleep(_AGAIN)
    finally:
        peer.done_with()


def _watch(caller: Caller) -> None:
    """Draw until Ctrl-C. A thread listens, since a stream may be silent for long."""
    from rich.live import Live

    heard: queue.Queue[Event | TowpathError | None] = queue.Queue(maxsize=1000)
    threading.Thread(target=_hear, args=(caller, heard), daemon=True).start()
    board, looked = Board(), 0.0
    console = _console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            _drain(board, heard)
            now = time.monotonic()
            if now - looked >= _FACTS:
                looked, board.server = now, _server(caller) or board.server
            board.sweep(now)
            live.update(board.table(max(console.height - 4, 1)), refresh=True)


def _drain(board: Board, heard: queue.Queue[Event | TowpathError | None]) -> None:
    """Take what has come within half a second. Raises what ends the listening for good."""
    until = time.monotonic() + 0.5
    while (left := until - time.monotonic()) > 0:
        try:
            item = heard.get(timeout=left)
        except queue.Empty:
            return
        if item is None:
            board.begin_again()
            board.trouble = ""
        elif isinstance(item, (Cut, ServerUnreachable)):
            board.trouble = f"{item} Trying again."
        elif isinstance(item, TowpathError):
            raise item
        else:
            board.take(item)


def _hear(caller: Caller, heard: queue.Queue[Event | TowpathError | None]) -> None:
    """Put events into the queue, None before those of a new stream, and what goes wrong."""
    peer = caller.peer()
    while True:
        try:
            begun = False
            for event in listen(peer, lambda: None):
                if not begun:
                    begun = True
                    heard.put(None)
                heard.put(event)
        except TowpathError as error:
            heard.put(error)
            if not isinstance(error, (Cut, ServerUnreachable)):
                return
        time.sleep(_AGAIN)


def _server(caller: Caller) -> dict[str, Any]:
    """What the server says of itself; {} while it does not."""
    from towpath.client.peer import expect

    peer = caller.peer()
    try:
        return expect(peer.ask("GET", peer.api("server")), api=True).json()
    except TowpathError:
        return {}
    finally:
        peer.done_with()


def _console() -> Console:
    from rich.console import Console

    return Console()
