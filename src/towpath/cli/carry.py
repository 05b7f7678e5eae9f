"""Carry many transfers, a few at a time, show how they go, and sum up.

Rules: jobs are taken one by one as there is room, so a folder of any size is fine; one that fails
does not stop the others; an interruption pauses all and says how to go on.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towpath.cli.amounts import duration, size
from towpath.cli.exits import LIMIT, OK, PARTLY, TEMPORARY, UNREACHABLE
from towpath.cli.interrupt import Halt, interruptible
from towpath.cli.output import Output
from towpath.cli.show import Show
from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.client import BlockingTransfer, Client, DownloadResult, Progress, UploadResult

    Result = UploadResult | DownloadResult

News = Callable[["Progress"], None]
Begin = Callable[["Client", News], "BlockingTransfer[Any]"]
_GO_ON = (TEMPORARY, UNREACHABLE, LIMIT)  # exit codes after which trying again makes sense
_LOOK = 0.5  # seconds: some systems hear a signal only between waits
_TWICE = (
    "{}: the answer to the joining of its parts was lost, so they were joined again. The server may"
    " have the file twice: look there."
)


@dataclass(frozen=True, slots=True)
class Job:
    """A transfer to come. `label`: what people see; `data`: what its result prints."""

    label: str
    begin: Begin
    data: Callable[[Any], str]
    resumable: bool = True


@dataclass(slots=True)
class Tally:
    """What came of the jobs."""

    done: int = 0
    bytes: int = 0
    verified: bool = True
    failed: int = 0
    codes: set[int] = field(default_factory=set)  # of those that failed

    def code(self) -> int:
        """The exit code for all."""
        if not self.codes:
            return OK
        return PARTLY if self.done or len(self.codes) > 1 else min(self.codes)

    def fail(self, code: int) -> None:
        """One more that failed with this exit code."""
        self.failed += 1
        self.codes.add(code)


def carry(
    client: Client,
    jobs: Iterable[Job],
    *,
    output: Output,
    show: Show,
    parallel: int,
    rest: str = "run this command again",
) -> int:
    """Carry the jobs; return the exit code. `rest`: what to do about those that did not begin."""
    began, tally = time.monotonic(), Tally()
    crew = _Crew(client, output, show, tally)
    try:
        with interruptible():
            try:
                with client:
                    crew.work(iter(jobs), parallel)
            except Halt as halt:
                show.close()
                crew.paused(rest)
                return halt.code
    finally:
        show.close()
    seconds = time.monotonic() - began
    if tally.done:
        speed = f" ({size(tally.bytes / seconds)}/s)" if tally.bytes and seconds >= 1 else ""
        files = "1 file" if tally.done == 1 else f"{tally.done} files"
        proof = ", verified" if tally.verified else ", not verified"
        output.say(f"{files}, {size(tally.bytes)} in {duration(seconds)}{speed}{proof}.")
    failed = tally.failed
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
        self._resumed: set[int] = set()
        self._all_began = False

    def work(self, jobs: Iterator[Job], parallel: int) -> None:
        """Carry all jobs, `parallel` of them at a time."""
        number = 0
        while True:
            while len(self._active) < parallel and (job := next(jobs, None)) is not None:
                number += 1
                self._begin(number, job)
            self._all_began = len(self._active) < parallel
            if not self._active:
                return
            try:
                number_of, progress = self._news.get(timeout=_LOOK)
            except queue.Empty:
                continue
            self._hear(number_of, progress)

    def paused(self, rest: str) -> None:
        """Say how to go on with what was stopped, and with what was not begun."""
        for job, transfer in self._active.values():
            if transfer.progress.state.is_final:
                continue  # done just now
            if _is_remembered(transfer.id):
                self._output.record("paused", id=transfer.id, label=job.label)
                self._output.say(f"Paused. Continue with: towpath resume {transfer.id}")
            elif not job.resumable:
                self._output.say(f"Stopped. {job.label} was a stream, which cannot be resumed.")
        if not self._all_began:
            self._output.say(f"If there is more to carry, {rest}.")

    def _begin(self, number: int, job: Job) -> None:
        def news(progress: Progress) -> None:
            self._news.put((number, progress))

        try:
            self._active[number] = job, job.begin(self._client, news)
        except TowpathError as error:
            self._tally.fail(self._output.error(error, about=job.label))

    def _hear(self, number: int, progress: Progress) -> None:
        job, transfer = self._active[number]
        if progress.resumed_from and number not in self._resumed:
            self._resumed.add(number)
            total = progress.total_bytes
            share = f"{progress.resumed_from * 100 / total:.0f} %" if total else "where it stopped"
            self._output.say(f"{job.label}: resuming from {share}.")
        self._show.update(job.label, progress)
        if not progress.state.is_final:
            return
        try:
            result: Result = transfer.result()
        except TowpathError as error:
            code = self._output.error(error, about=job.label)
            self._tally.fail(code)
            if code in _GO_ON and _is_remembered(transfer.id):
                self._output.say(f"What got through is kept: towpath resume {transfer.id}")
        else:
            self._tally.done += 1
            self._tally.bytes += result.length
            self._tally.verified = self._tally.verified and result.verified
            if getattr(result, "perhaps_twice", False):
                self._output.say(_TWICE.format(job.label))
            self._output.line(job.data(result))
            self._output.record("result", direction=progress.direction, **result.to_dict())
        del self._active[number]
        self._resumed.discard(number)


def _is_remembered(transfer_id: str) -> bool:
    """True when another process could go on with it."""
    from towpath.client.resume import Notebook
    from towpath.client.surroundings import state_folder

    return Notebook(state_folder()).read(transfer_id) is not None
