"""Works the queue off: highest priority first, a few jobs at a time, until nothing is left to do.

Rules: one worker at a time, the one that holds the queue's lock; blocking, in one thread, which
looks at jobs and transfers a few times a second. Whatever ends the worker, another one goes on
where the server says that it was. Who has a higher priority need not wait for who has a lower one.
Each job has a client of its own, since each may have another server, token or limit; their
connections are counted together, and their bytes pass through the one budget of the process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from towpath.client.attributes import attributes_of
from towpath.client.lines import MOST, Lines
from towpath.client.progress import Direction, Progress, TransferState
from towpath.client.queue import Job, Queue, Report, Wish, state_of
from towpath.client.retry import may_pass
from towpath.client.sync import BlockingTransfer, Client
from towpath.client.throttle import Throttle
from towpath.errors import TowpathError

if TYPE_CHECKING:
    from towpath.codec.keys import Locks

R = TypeVar("R")

_log = logging.getLogger(__name__)

PARALLEL = 4  # jobs at the same time
ATTEMPTS = 12  # failures in a row, each after the transfer's own retries
_LOOK = 0.25  # seconds between two looks
_TOLD = 1.0  # seconds between two reports of how far a job is
_FIRST, _LONGEST = 15.0, 1800.0  # seconds between two attempts

Connect = Callable[[Job, Throttle, Lines], Client]
Locking = Callable[[Job], "Sequence[Locks]"]
Known = Callable[[Client, Job], str]


@dataclass(slots=True)
class _Active:
    """A job that is under way."""

    job: Job
    client: Client
    beginning: Future[BlockingTransfer[Any] | str]  # or what the server has it as
    report: Report
    transfer: BlockingTransfer[Any] | None = None  # once it has begun


class Worker:
    """Carries jobs. `connect` makes the client for one; `judge` gives an error's exit code.

    `locking`: whom a job is encrypted for. `known`: what the server has the file of a job as, if
    nothing is to be sent; else "". Both may take their time, and raise TowpathError.
    """

    def __init__(
        self,
        queue: Queue,
        connect: Connect,
        judge: Callable[[Exception], int],
        *,
        parallel: int = PARALLEL,
        locking: Locking = lambda _: (),
        known: Known = lambda _client, _job: "",
    ) -> None:
        self._queue = queue
        self._locking = locking
        self._known = known
        self._connect = connect
        self._judge = judge
        self._parallel = parallel
        self._active: dict[str, _Active] = {}
        self._reports: dict[str, Report] = {}
        self._throttles: dict[str, Throttle] = {}
        self._lines = Lines(MOST)

    def run(self, halt: threading.Event) -> None:
        """Work until there is nothing left to do, now or later, or until `halt` is set."""
        self._recover()
        try:
            while self._look() and not halt.wait(_LOOK):
                pass
        finally:
            for active in list(self._active.values()):
                self._stop(active)

    def _recover(self) -> None:
        """Whoever worked before may have been killed: nothing runs now."""
        self._queue.tidy()
        for job in self._queue.jobs():
            report = self._report(job)
            if report.state is TransferState.RUNNING:
                self._tell(replace(report, state=TransferState.QUEUED))

    def _look(self) -> bool:
        """Do what there is to do. False when there is nothing, now or later."""
        jobs = self._queue.jobs()
        known = {job.id: job for job in jobs}
        for active in list(self._active.values()):
            self._mind(active, known.get(active.job.id))
        queued = [job for job in jobs if job.id not in self._active and self._is_queued(job)]
        self._fill([job for job in queued if self._due(job) <= time.time()])
        return bool(self._active or queued)

    def _is_queued(self, job: Job) -> bool:
        """True when it waits for its turn. One that is not wanted any more is ended here."""
        report = self._report(job)
        if job.wish is Wish.CANCEL and not report.state.is_final:
            self._give_up(job, report)
            return False
        return state_of(job, report) is TransferState.QUEUED

    def _due(self, job: Job) -> float:
        return max(job.not_before, self._report(job).not_before)

    def _fill(self, ready: list[Job]) -> None:
        """Begin those whose turn it is; they come in the order of their turns."""
        for job in ready:
            if len(self._active) >= self._parallel:
                least = min(self._active.values(), key=lambda active: active.job.priority)
                if least.job.priority >= job.priority:
                    return
                self._stop(least)
            self._begin(job)

    def _begin(self, job: Job) -> None:
        report = self._report(job)
        self._queue.notebook.restore(job.id)
        try:
            client = self._connect(job, self._throttle(job), self._lines)
        except TowpathError as error:
            self._failed(job, report, error)
            return
        restart = job.restart and not report.begun
        beginning = _aside(
            lambda: self._known(client, job) or self._upload(client, job, restart=restart)
        )
        _log.info("%s: begins, %s", job.id, job.path)
        running = replace(report, state=TransferState.RUNNING, error="", code="", exit_code=0)
        self._active[job.id] = _Active(job, client, beginning, self._tell(running))

    def _upload(self, client: Client, job: Job, *, restart: bool) -> BlockingTransfer[Any]:
        if job.link:
            return client.upload(b"", job.name, metadata=job.metadata, on_conflict=job.on_conflict)
        return client.upload(
            job.path,
            job.name,
            metadata={**job.metadata, **(attributes_of(job.path) if job.preserve else {})},
            on_conflict=job.on_conflict,
            restart=restart,
            delta=job.delta,
            compress="auto" if job.compress else "no",
            encrypt=self._locking(job),
        )

    def _throttle(self, job: Job) -> Throttle:
        """The limit that a job shares with those that were queued with it."""
        batches = {active.job.batch for active in self._active.values()}
        self._throttles = {key: one for key, one in self._throttles.items() if key in batches}
        return self._throttles.setdefault(job.batch, Throttle(job.limit))

    def _mind(self, active: _Active, job: Job | None) -> None:
        """See how a running job goes, and what is wanted of it."""
        if job is not None:
            active.job = job
        if self._is_over(active):
            return
        if job is None or job.wish is Wish.PAUSE:
            self._stop(active)
        elif job.wish is Wish.CANCEL:
            self._cancel(active)
        elif active.transfer is not None:
            self._note(active, active.transfer.progress)

    def _is_over(self, active: _Active) -> bool:
        """True once its end is told: it was carried, the server had it, or it failed."""
        if active.transfer is None and active.beginning.done():
            try:
                begun = active.beginning.result()
            except Exception as error:  # noqa: BLE001 - it is told, and the others go on
                self._failed(active.job, active.report, error)
                self._let_go(active)
                return True
            if isinstance(begun, str):
                self._was_there(active, begun)
                return True
            active.transfer = begun
        if active.transfer is None or not active.transfer.done:
            return False
        self._end(active, active.transfer)
        return True

    def _was_there(self, active: _Active, name: str) -> None:
        """Nothing is to be sent: the server has it."""
        job = active.job
        self._queue.notebook.remove(job.id)
        self._tell(
            replace(
                active.report,
                state=TransferState.COMPLETE,
                name=name,
                verified=job.checksum,
                transferred_bytes=job.size,
                total_bytes=job.size,
            )
        )
        _log.info("%s: complete, the server has it as %s", job.id, name)
        self._let_go(active)

    def _note(self, active: _Active, progress: Progress) -> None:
        """Tell how far it is, now and then."""
        if progress.state is not TransferState.RUNNING:
            return
        before = active.report
        begun = not before.begun
        if begun or time.time() - before.updated_at >= _TOLD:
            now = replace(
                before,
                begun=True,
                transferred_bytes=progress.transferred_bytes,
                total_bytes=progress.total_bytes,
                bytes_per_second=progress.bytes_per_second,
            )
            active.report = self._tell(now, durable=begun)

    def _stop(self, active: _Active) -> None:
        """Pause it and let go of it; what got through is kept."""
        if active.transfer is not None:
            active.transfer.pause()
        if self._is_over(active):
            return
        self._let_go(active)
        self._tell(replace(active.report, state=TransferState.QUEUED, bytes_per_second=0.0))
        _log.info("%s: stopped", active.job.id)

    def _cancel(self, active: _Active) -> None:
        transfer = active.transfer
        if transfer is None:
            self._let_go(active)
            self._give_up(active.job, active.report)
            return
        try:
            transfer.cancel()
        except TowpathError as error:  # it is cancelled here; there it expires
            _log.warning("%s: the server still has it: %s", active.job.id, error)
        if transfer.progress.state is TransferState.COMPLETE:
            self._end(active, transfer)  # too late
            return
        self._let_go(active)
        self._cancelled(active.job, active.report)

    def _give_up(self, job: Job, report: Report) -> None:
        """Cancel what does not run."""
        try:
            with self._connect(job, Throttle(), self._lines) as client:
                for note in client.unfinished():
                    if note.id == job.id and note.direction is Direction.UPLOAD:
                        client.forget(note)
        except TowpathError as error:
            _log.warning("%s: the server may still have it: %s", job.id, error)
        self._cancelled(job, report)

    def _cancelled(self, job: Job, report: Report) -> None:
        self._tell(replace(report, state=TransferState.CANCELLED, bytes_per_second=0.0))
        _log.info("%s: cancelled", job.id)

    def _end(self, active: _Active, transfer: BlockingTransfer[Any]) -> None:
        """Take its result."""
        job, report = active.job, active.report
        try:
            result = transfer.result()
        except Exception as error:  # noqa: BLE001 - it is told, and the others go on
            self._failed(job, report, error, transfer.progress)
        else:
            self._tell(
                replace(
                    report,
                    state=TransferState.COMPLETE,
                    name=result.name,
                    verified=result.verified,
                    transferred_bytes=result.length,
                    total_bytes=result.length,
                    bytes_per_second=result.sent_bytes / max(result.seconds, 0.001),
                )
            )
            if result.perhaps_twice:
                _log.warning("%s: an answer was lost; the server may have it twice", job.id)
            if transfer.progress.begun_anew:
                _log.warning("%s: begun anew; what is encrypted goes on where it began", job.id)
            _log.info("%s: complete, %s", job.id, result.name)
        self._let_go(active)

    def _failed(
        self, job: Job, report: Report, error: Exception, progress: Progress | None = None
    ) -> None:
        """Try it again later if that may help; one that is not wanted any more is cancelled."""
        if job.wish is Wish.CANCEL:
            self._give_up(job, report)
            return
        attempts = report.attempts + 1
        if progress is not None and progress.transferred_bytes > progress.resumed_from:
            attempts = 1  # something got through
        text, code, again = f"{type(error).__name__}: {error}", "internal", False
        if isinstance(error, TowpathError):
            text, code = str(error), error.code
            again = may_pass(error) and attempts < ATTEMPTS
        wait = min(_LONGEST, _FIRST * 2.0 ** (attempts - 1))
        self._tell(
            replace(
                report,
                state=TransferState.QUEUED if again else TransferState.FAILED,
                attempts=attempts,
                not_before=time.time() + wait if again else 0.0,
                bytes_per_second=0.0,
                error=text,
                code=code,
                exit_code=self._judge(error),
            )
        )
        when = f"again in {wait:.0f} s" if again else "for good"
        _log.warning("%s: failed, %s: %s", job.id, when, text)

    def _let_go(self, active: _Active) -> None:
        active.client.close()
        del self._active[active.job.id]

    def _report(self, job: Job) -> Report:
        """What is known of a job; only this worker changes it."""
        report = self._reports.get(job.id)
        if report is None or report.turn != job.turn:
            report = self._reports[job.id] = self._queue.report(job)
        return report

    def _tell(self, report: Report, *, durable: bool = True) -> Report:
        report = replace(report, updated_at=time.time())
        self._reports[report.id] = report
        self._queue.tell(report, durable=durable)
        return report


def _aside(work: Callable[[], R]) -> Future[R]:
    """Do it in a thread that nobody has to wait for."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised again where the result is taken
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
