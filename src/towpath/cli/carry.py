"""Carry many transfers, a few at a time, show how they go, and sum up.

Rules: jobs are taken one by one as there is room, so a folder of any size is fine; one that fails
does not stop the others; an interruption pauses all and says how to go on.
"""

from __future__ import annotations

import queue
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from towpath.cli.amounts import duration, size
from towpath.cli.exits import LIMIT, OK, PARTLY, TEMPORARY, UNREACHABLE
from towpath.cli.interrupt import Ear, Halt, interruptible
from towpath.cli.output import Output
from towpath.cli.show import Show
from towpath.client.progress import Direction
from towpath.errors import DigestMismatch, TowpathError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client, DownloadResult, Progress, UploadResult

    Result = UploadResult | DownloadResult

News = Callable[["Progress"], None]
Begin = Callable[["Client", News], "BlockingTransfer[Any]"]
_GO_ON = (TEMPORARY, UNREACHABLE, LIMIT)  # exit codes after which trying again makes sense
_LOOK = 0.5  # seconds: some systems hear a signal only between waits
SMALL_FOR_ONE = 4  # small files that go in the place of another one
_TWICE = (
    "{}: the answer to the joining of its parts was lost, so they were joined again. The server may"
    " have the file twice: look there."
)
_ANEW = (
    "{}: an encrypted upload of it that began elsewhere cannot be gone on with here. It is sent"
    " from its beginning; the other one expires."
)


class Job(NamedTuple):
    """A transfer to come. `label`: what people see; `data`: what its result prints.

    `small`: it goes in one request, which waits more than it works. `proof`: a transfer that
    proves its result, which counts only after that.
    """

    label: str
    begin: Begin
    data: Callable[[Any], str]
    resumable: bool = True
    small: bool = False
    proof: Callable[[Any], Begin] | None = None


class Tally:
    """What came of the jobs."""

    def __init__(self) -> None:
        self.done = 0
        self.bytes = 0
        self.verified = True
        self.proven = True
        self.failed = 0
        self.codes: set[int] = set()  # of those that failed

    def code(self) -> int:
        """The exit code for all."""
        if not self.codes:
            return OK
        return PARTLY if self.done or len(self.codes) > 1 else min(self.codes)

    def fail(self, code: int) -> None:
        """One more that failed with this exit code."""
        self.failed += 1
        self.codes.add(code)


def at_once(
    parallel: int, connections: int | None = None, total: int | None = None
) -> dict[str, Any]:
    """What a client is told, so that small files may go beside one another."""
    from towpath.client.lines import MOST

    return {
        "parallel": parallel if parallel == 1 else SMALL_FOR_ONE * parallel,
        "total_connections": total or max(MOST, parallel, connections or 0),
    }


def carry(
    client: Client,
    jobs: Iterable[Job],
    *,
    output: Output,
    show: Show,
    parallel: int,
    missed: Callable[[], int] = lambda: 0,
) -> int:
    """Carry the jobs; return the exit code. `missed`: how many failed before they were a job."""
    began, tally = time.monotonic(), Tally()
    crew = _Crew(client, output, show, tally)
    try:
        with interruptible() as ear, client:
            crew.work(iter(jobs), parallel, ear)
    except Halt as halt:
        client.close()  # it may have come before the client was entered
        show.close()
        crew.paused()
        return halt.code
    finally:
        show.close()
    seconds = time.monotonic() - began
    if tally.done:
        speed = f" ({size(tally.bytes / seconds)}/s)" if tally.bytes and seconds >= 1 else ""
        files = "1 file" if tally.done == 1 else f"{tally.done} files"
        proof = ", verified" if tally.verified else ", not verified"
        proof = ", read back and compared" if tally.proven else proof
        output.say(f"{files}, {size(tally.bytes)} in {duration(seconds)}{speed}{proof}.")
    failed = tally.failed + missed()
    if tally.done + failed > 1 or output.as_json:
        output.record("summary", done=tally.done, failed=failed, bytes=tally.bytes, seconds=seconds)
        if failed:
            output.say(f"{failed} failed.")
    return tally.code()


class _Crew:
    """The transfers that are under way."""

    def __init__(self, client: Client, output: Output, show: Show, tally: Tally) -> None:
        self._client = client
        self._output = output
        self._show = show
        self._tally = tally
        self._news: queue.SimpleQueue[tuple[int, Progress]] = queue.SimpleQueue()
        self._active: dict[int, tuple[Job, BlockingTransfer[Any]]] = {}
        self._taken = 0  # places for small ones, of those that are under way
        self._unproven: dict[int, Result] = {}  # what is read back now
        self._told: set[int] = set()  # of whose beginning something was said
        self._all_began = False

    def work(self, jobs: Iterator[Job], parallel: int, ear: Ear) -> None:
        """Carry all jobs, `parallel` of them at a time; SMALL_FOR_ONE small ones count as one.

        With one at a time, it is one of any size.
        """
        number = 0
        next_one: Job | None = None
        while True:
            while next_one is not None or self._fits(1, parallel):
                next_one = next_one or next(jobs, None)
                self._all_began = next_one is None
                if next_one is None or not self._fits(_size_of(next_one), parallel):
                    break
                number += 1
                with ear.holding():  # who began is in `_active`, to be told of
                    self._begin(number, next_one)
                next_one = None
            if not self._active:
                return
            try:
                number_of, progress = self._news.get(timeout=_LOOK)
            except queue.Empty:
                continue
            self._hear(number_of, progress, ear)

    def _fits(self, size: int, parallel: int) -> bool:
        """Whether one more may go, which takes so many of the places of small ones."""
        if parallel == 1:
            return not self._active
        return self._taken + size <= SMALL_FOR_ONE * parallel

    def paused(self) -> None:
        """Say how to go on with what was stopped, and with what was not begun."""
        for number, (job, transfer) in self._active.items():
            if number in self._unproven:
                name = self._unproven[number].name
                self._output.say(
                    f"{job.label} is on the server, but was not read back to its end. That does:"
                    f" towpath verify --read {shlex.quote(name)}"
                )
                continue
            if transfer.progress.state.is_final:
                continue  # done just now
            if _is_remembered(transfer.id):
                self._output.record("paused", id=transfer.id, label=job.label)
                self._output.say(f"Paused. Continue with: towpath resume {transfer.id}")
            elif not job.resumable:
                self._output.say(f"Stopped. {job.label} was a stream, which cannot be resumed.")
        if not self._all_began:
            self._output.say("If there is more to carry, run this command again.")

    def _news_of(self, number: int) -> News:
        return lambda progress: self._news.put((number, progress))

    def _begin(self, number: int, job: Job) -> None:
        try:
            self._active[number] = job, job.begin(self._client, self._news_of(number))
            self._taken += _size_of(job)
        except TowpathError as error:
            self._tally.fail(self._output.error(error, about=job.label))

    def _hear(self, number: int, progress: Progress, ear: Ear) -> None:
        job, transfer = self._active[number]
        if progress.resumed_from and number not in self._told:
            self._told.add(number)
            total = progress.total_bytes
            share = f"{progress.resumed_from * 100 / total:.0f} %" if total else "where it stopped"
            self._output.say(f"{job.label}: resuming from {share}.")
        if progress.begun_anew and number not in self._told:
            self._told.add(number)
            self._output.say(_ANEW.format(job.label))
        proving = number in self._unproven
        self._show.update(f"{job.label} (reading back)" if proving else job.label, progress)
        if not progress.state.is_final:
            return
        try:
            result: Result = transfer.result()
            if job.proof is not None and not proving:
                with ear.holding():
                    proof = job.proof(result)(self._client, self._news_of(number))
                    self._active[number] = job, proof
                    self._unproven[number] = result
                return
        except TowpathError as error:
            told = error.__cause__ if isinstance(error.__cause__, DigestMismatch) else error
            code = self._output.error(told, about=job.label)
            self._tally.fail(code)
            if code in _GO_ON and _is_remembered(transfer.id):
                self._output.say(f"What got through is kept: towpath resume {transfer.id}")
        else:
            result = self._unproven.get(number, result)
            self._tally.proven = self._tally.proven and proving
            self._tally.done += 1
            self._tally.bytes += result.length
            self._tally.verified = self._tally.verified and result.verified
            if getattr(result, "perhaps_twice", False):
                self._output.say(_TWICE.format(job.label))
            self._output.line(job.data(result))
            if self._output.as_json:
                direction = Direction.UPLOAD if proving else progress.direction
                read = {"read_back": True} if proving else {}
                self._output.record("result", direction=direction, **result.to_dict(), **read)
        del self._active[number]
        self._taken -= _size_of(job)
        self._told.discard(number)
        self._unproven.pop(number, None)


def _size_of(job: Job) -> int:
    return 1 if job.small else SMALL_FOR_ONE


def _is_remembered(transfer_id: str) -> bool:
    """True when another process could go on with it."""
    from towpath.client.resume import Notebook
    from towpath.client.surroundings import state_folder

    return Notebook(state_folder()).read(transfer_id) is not None
