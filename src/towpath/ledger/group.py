"""Many commits, one trip to the disk: those that wait are done together, by one of those who wait.

Rules:
- Knows nothing of what a commit is: `perform` does a group, and gives each ticket its error.
- One at a time leads: it does its own commit and all that have come until then as one group, then
  hands over to the first of those that came since. There is no thread for it: who commits alone
  pays for no switch of threads, which costs more than the commit itself.
- The leader's ticket is the first in the line. Who waits is answered, or called to lead.
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

    __slots__ = ("called", "changes", "error", "leads")

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.error: Exception | None = None
        self.leads = False
        self.called = threading.Lock()  # held until there is an answer; cheaper than an Event
        self.called.acquire()


class GroupCommit:
    """A line of commits that are done in groups. Any thread may join it."""

    def __init__(self, perform: Callable[[Sequence[Ticket]], None]) -> None:
        self._perform = perform
        self._line: deque[Ticket] = deque()
        self._led = False  # somebody leads, or has been called to
        self._closed = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)  # places in the line
        self._rest = threading.Condition(self._lock)  # nobody leads

    def commit(self, changes: Sequence[Change]) -> None:
        """Return when the changes are durable; raise why they are not."""
        self.wait(self.join(changes))

    def join(self, changes: Sequence[Change]) -> Ticket:
        """Put a commit into the line; `wait` must follow. Raises LedgerError when it is closed."""
        ticket = Ticket(changes)
        with self._lock:
            while len(self._line) >= LONGEST_LINE and not self._closed:
                self._room.wait()
            if self._closed:
                raise rules.closed()
            self._line.append(ticket)
            if not self._led:
                self._led = ticket.leads = True
        return ticket

    def wait(self, ticket: Ticket) -> None:
        """Return when the ticket's commit is durable, leading if need be; raise why it is not."""
        try:
            if not ticket.leads:
                ticket.called.acquire()
        except BaseException:  # an interrupt: others must not wait for who has gone
            self._leave(ticket)
            raise
        if ticket.leads:
            self._lead()
        if ticket.error is not None:
            raise ticket.error

    def close(self) -> None:
        """Let nobody join, and return when the line is empty. Idempotent."""
        with self._lock:
            self._closed = True
            self._room.notify_all()
            while self._led:
                self._rest.wait()

    def _lead(self) -> None:
        with self._lock:
            group = [self._line.popleft() for _ in range(min(len(self._line), LARGEST_GROUP))]
            self._room.notify(len(group))
        try:
            self._perform(group)
        except BaseException as error:
            for ticket in group:
                ticket.error = ticket.error or _broken(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over()
            for ticket in group[1:]:
                ticket.called.release()

    def _hand_over(self) -> None:
        with self._lock:
            if self._line:
                self._line[0].leads = True
                self._line[0].called.release()
            else:
                self._led = False
                self._rest.notify_all()

    def _leave(self, ticket: Ticket) -> None:
        with self._lock:
            if not ticket.leads and ticket in self._line:
                self._line.remove(ticket)
        if ticket.leads:
            self._lead()


def _broken(error: BaseException) -> LedgerError:
    broken = LedgerError(
        "The commit was given up.",
        why=f"Who did it met {type(error).__name__}: {error}.",
        todo="Read the rows again to see what holds.",
    )
    broken.__cause__ = error
    return broken
