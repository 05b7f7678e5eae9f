"""Many commits, one trip to the disk: those that wait are done together by one thread.

Rules:
- Knows nothing of what a commit is: `perform` does a group, and gives each ticket its error.
- Who waits is always answered, whatever happens to the thread.
- The line is bounded: when it is full, who comes waits before it joins.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from towpath.errors import LedgerError
from towpath.ledger import rules
from towpath.ledger.base import Change

LARGEST_GROUP = 256  # commits that share one transaction: bounds how long the first one waits
LONGEST_LINE = 4096  # commits that wait: bounds the memory they hold


class Ticket:
    """One commit on its way, and its answer."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.error: Exception | None = None
        self._unanswered = threading.Lock()  # held until there is an answer; cheaper than an Event
        self._unanswered.acquire()

    def wait(self) -> None:
        """Return when the commit is durable; raise why it is not. For one waiter, once."""
        self._unanswered.acquire()
        if self.error is not None:
            raise self.error

    def answer(self) -> None:
        """Let the waiter go on, with `error` as it is."""
        self._unanswered.release()


class GroupCommit:
    """A line of commits before one thread that does them in groups."""

    def __init__(self, perform: Callable[[Sequence[Ticket]], None]) -> None:
        self._perform = perform
        self._line: deque[Ticket] = deque()
        self._closed = False
        lock = threading.Lock()
        self._some = threading.Condition(lock)  # tickets to do, or the end
        self._room = threading.Condition(lock)  # places in the line
        self._thread = threading.Thread(target=self._run, name="towpath-ledger", daemon=True)
        self._thread.start()

    def submit(self, changes: Sequence[Change]) -> Ticket:
        """Put a commit into the line. Raises LedgerError when the line is closed."""
        ticket = Ticket(changes)
        with self._some:
            while len(self._line) >= LONGEST_LINE and not self._closed:
                self._room.wait()
            if self._closed:
                raise rules.closed()
            self._line.append(ticket)
            self._some.notify()
        return ticket

    def close(self) -> None:
        """Do what is in the line, then end. Idempotent."""
        with self._some:
            self._closed = True
            self._some.notify_all()
            self._room.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._perform(group)
            except BaseException as error:  # noqa: BLE001  a thread has nobody to raise it to
                for ticket in group:
                    ticket.error = _broken(error)
            for ticket in group:
                ticket.answer()

    def _next_group(self) -> list[Ticket]:
        """Wait for commits and take those that are there; none: the end."""
        with self._some:
            while not self._line and not self._closed:
                self._some.wait()
            group = [self._line.popleft() for _ in range(min(len(self._line), LARGEST_GROUP))]
            self._room.notify(len(group))
            return group


def _broken(error: BaseException) -> LedgerError:
    broken = LedgerError(
        "The commit was given up.",
        why=f"The ledger's writer met {type(error).__name__}: {error}",
        todo="Read the rows again to see what holds.",
    )
    broken.__cause__ = error
    return broken
