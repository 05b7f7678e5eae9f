"""`towpath pause`, `cancel`, `retry` and `wait`: what is in the queue.

Rules: a command says what is wanted and sees to it that somebody works; it does not carry bytes
itself, so it can be stopped at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from towpath.cli.exits import CONFLICT, ERROR, OK, PARTLY, TEMPORARY, among
from towpath.cli.interrupt import Halt, interruptible
from towpath.cli.options import Caller, caller_options, output_options
from towpath.cli.output import Output
from towpath.cli.queue_runner import queue_folder, rouse
from towpath.cli.show import Show, show_for
from towpath.cli.standing import Standing
from towpath.client.progress import Direction, Progress, TransferState, rfc3339
from towpath.client.queue import Job, Queue, Report, Wish, state_of
from towpath.errors import NotFound, StateConflict, TransferError

_LOOK = 0.1  # seconds
_ROUSE = 1.0  # seconds between two looks whether somebody works
_PATIENCE = 20.0  # seconds for a running job to stop
_RUNNABLE = (TransferState.QUEUED, TransferState.RUNNING)
_UNDONE = (*_RUNNABLE, TransferState.PAUSED)
_ENDED = (TransferState.FAILED, TransferState.CANCELLED)

_LIST = "`towpath transfers` lists what there is."

_ids = click.argument("ids", nargs=-1, metavar="[ID]...")
_every = click.option("--all", "every", is_flag=True, help="All that it can be done with.")


@click.command()
@_ids
@_every
@output_options
def pause(output: Output, ids: tuple[str, ...], every: bool) -> int:
    """Stop uploads of the queue, and keep what got through.

    The first characters of an ID are enough, and none are needed when there is only one. A transfer
    in a terminal is paused by Ctrl-C.
    """
    queue = Queue(queue_folder())
    jobs = select(queue, ids, _RUNNABLE, every=every)
    for job in jobs:
        queue.wish(job, Wish.PAUSE)
    _until(queue, jobs, lambda state: state not in _RUNNABLE)
    late = _too_late(output, queue, jobs, TransferState.PAUSED)
    for job in jobs:
        if job.id not in late:
            output.record("paused", id=job.id, label=job.path)
            output.say(f"Paused. Continue with: towpath resume {job.id}")
    return among(CONFLICT, len(jobs) - len(late)) if late else OK


@click.command()
@_ids
@_every
@caller_options
def cancel(caller: Caller, ids: tuple[str, ...], every: bool) -> int:
    """Give uploads of the queue up, here and on the server.

    An ID may also be that of a transfer that stopped and is not in the queue.
    """
    from towpath.cli.resume import give_up

    queue = Queue(queue_folder())
    known = [start for start in ids if _matching(queue.jobs(), start)]
    for start in ids:
        if start not in known:
            give_up(caller, start)
    if ids and not known:
        return OK
    jobs = select(queue, tuple(known), _UNDONE, every=every)
    for job in jobs:
        queue.wish(job, Wish.CANCEL)
    _until(queue, jobs, lambda state: state.is_final)
    late = _too_late(caller.output, queue, jobs, TransferState.CANCELLED)
    for job in jobs:
        if job.id not in late:
            caller.output.record("cancelled", id=job.id, label=job.path)
            caller.output.say(f"Cancelled {job.id}.")
    return among(CONFLICT, len(jobs) - len(late)) if late else OK


@click.command()
@_ids
@_every
@output_options
def retry(output: Output, ids: tuple[str, ...], every: bool) -> int:
    """Put uploads that failed or were cancelled into the queue again."""
    queue = Queue(queue_folder())
    for job in select(queue, ids, _ENDED, every=every):
        queue.again(job)
        output.record("queued", id=job.id, path=job.path, name=job.name, priority=job.priority)
        output.say(f"{job.id} is in the queue again.")
    rouse(queue)
    return OK


@click.command()
@_ids
@output_options
def wait(output: Output, ids: tuple[str, ...]) -> int:
    """Wait for uploads of the queue: for all, or for those that are named.

    Prints the name of each on the server. Ctrl-C ends the waiting; the queue goes on.
    """
    queue = Queue(queue_folder())
    if ids:
        jobs = select(queue, ids, tuple(TransferState), every=False)
    else:
        jobs = [job for job in queue.jobs() if queue.state(job) in _RUNNABLE]
        if not jobs:
            output.say("There is nothing in the queue to wait for.")
    show = show_for("auto", as_json=output.as_json)
    try:
        with interruptible():
            settled = _settled(queue, jobs, show)
            codes = [_outcome(output, job, queue.report(job)) for job in settled]
    except Halt as halt:
        show.close()
        output.say("The queue goes on.")
        return halt.code
    finally:
        show.close()
    failed = [code for code in codes if code]
    if not failed:
        return OK
    return failed[0] if len(failed) == len(codes) and len(set(failed)) == 1 else PARTLY


def resume_jobs(output: Output, start: str, *, every: bool, alone: bool) -> bool:
    """Let paused jobs go on; False when none is meant. `alone`: nothing else could be.

    Raises StateConflict when it is not clear which one.
    """
    queue = Queue(queue_folder())
    paused = [job for job in queue.jobs() if queue.state(job) is TransferState.PAUSED]
    if not every:
        paused = _matching(paused, start) if start or alone else []
        if len(paused) > 1:
            raise _unclear(paused)
    for job in paused:
        queue.wish(job, Wish.RUN)
        output.record("queued", id=job.id, path=job.path, name=job.name, priority=job.priority)
        output.say(f"{job.id} goes on in the background.")
    rouse(queue)
    return bool(paused)


def undone() -> set[str]:
    """The ids of what the queue has not done yet."""
    queue = Queue(queue_folder())
    return {job.id for job in queue.jobs() if not queue.state(job).is_final}


def queued(output: Output) -> Iterator[Standing]:
    """The queue, in the order of its turns; whoever works it off is started if nobody does."""
    queue = Queue(queue_folder())
    try:
        rouse(queue)
    except TransferError as error:  # the list is worth seeing all the same
        output.error(error)
    for job in queue.jobs():
        report = queue.report(job)
        yield Standing(
            type="job",
            id=job.id,
            state=state_of(job, report),
            done=report.transferred_bytes,
            total=job.size if report.total_bytes is None else report.total_bytes,
            what=f"{job.path} -> {report.name or job.name}",
            facts=_facts(job, report),
            remark=_remark(job, report),
        )


def select(
    queue: Queue, ids: tuple[str, ...], states: Iterable[TransferState], *, every: bool
) -> list[Job]:
    """The jobs that are meant. Raises NotFound, StateConflict."""
    jobs = queue.jobs()
    able = [job for job in jobs if queue.state(job) in states]
    if every:
        return able
    if not ids:
        if len(able) == 1:
            return able
        if not able:
            raise NotFound("The queue holds nothing for that.", todo=_LIST)
        raise _unclear(able)
    meant = [_one(queue, jobs, start, states) for start in ids]
    return list({job.id: job for job in meant}.values())


def _one(queue: Queue, jobs: list[Job], start: str, states: Iterable[TransferState]) -> Job:
    found = _matching(jobs, start)
    if not found:
        raise NotFound(f"There is no {start} in the queue.", todo=_LIST)
    if len(found) > 1:
        raise _unclear(found)
    state = queue.state(found[0])
    if state not in states:
        raise StateConflict(f"{found[0].id} is {state}: that cannot be done with it.", todo=_LIST)
    return found[0]


def _unclear(jobs: list[Job]) -> StateConflict:
    which = ", ".join(job.id for job in jobs)
    return StateConflict(
        f"{len(jobs)} jobs could be meant.", why=f"They are {which}.", todo="Name one."
    )


def _matching(jobs: list[Job], start: str) -> list[Job]:
    return [job for job in jobs if job.id.startswith(start)]


def _until(queue: Queue, jobs: list[Job], there: Callable[[TransferState], bool]) -> None:
    """Wait until the jobs are where they are wanted. Raises StateConflict when that takes long."""
    ends = time.monotonic() + _PATIENCE
    rouse(queue)
    for job in jobs:
        while not there(_now(queue, job)):
            if time.monotonic() > ends:
                raise StateConflict(
                    f"{job.id} is still {_now(queue, job)}.",
                    why="It was told, but has not stopped yet.",
                    todo=_LIST,
                )
            time.sleep(_LOOK)


def _too_late(output: Output, queue: Queue, jobs: Iterable[Job], wanted: TransferState) -> set[str]:
    """Tell of those that had ended in another way when they were asked; their ids."""
    late = {}
    for job in jobs:
        if (state := _now(queue, job)) is not wanted:
            late[job.id] = StateConflict(
                f"{job.id} is not {wanted}.",
                why=f"It is {state}: that came first.",
                todo=_LIST,
            )
    for error in late.values():
        output.error(error)
    return set(late)


def _now(queue: Queue, job: Job) -> TransferState:
    """The state of a job as it is wanted now, not as it was when it was read."""
    newest = next((other for other in queue.jobs() if other.id == job.id), job)
    return queue.state(newest)


def _settled(queue: Queue, jobs: list[Job], show: Show) -> Iterable[Job]:
    """The jobs as they come to rest; meanwhile what runs is shown."""
    shown: set[str] = set()
    left, roused = {job.id: job for job in jobs}, -_ROUSE
    while left:
        if time.monotonic() - roused >= _ROUSE:
            roused = time.monotonic()
            rouse(queue)
        newest = {job.id: job for job in queue.jobs()}
        for job in [newest.get(job_id, job) for job_id, job in left.items()]:
            report = queue.report(job)
            state = state_of(job, report)
            if state is TransferState.RUNNING or job.id in shown:
                shown.add(job.id)
                show.update(job.path, _progress(job, report))
            if job.id not in newest or state not in _RUNNABLE:
                del left[job.id]
                yield job
        if left:
            time.sleep(_LOOK)


def _progress(job: Job, report: Report) -> Progress:
    """How far a job is, as far as its worker has told."""
    total = job.size if report.total_bytes is None else report.total_bytes
    speed = report.bytes_per_second
    return Progress(
        transfer_id=job.id,
        direction=Direction.UPLOAD,
        state=state_of(job, report),
        total_bytes=total,
        transferred_bytes=report.transferred_bytes,
        sent_bytes=0,
        resumed_from=0,
        bytes_per_second=speed,
        eta_seconds=(total - report.transferred_bytes) / speed if speed else None,
        retries=report.attempts,
        started_at=job.created_at,
        updated_at=report.updated_at,
    )


def _outcome(output: Output, job: Job, report: Report) -> int:
    """Say what became of a job; return the exit code for it."""
    state = state_of(job, report)
    output.record("job", **_facts(job, report))
    if state is TransferState.COMPLETE:
        output.line(report.name)
        return OK
    if state is TransferState.FAILED:
        output.say(f"towpath: {job.path}: {report.error} [{report.code}]")
        return report.exit_code or ERROR
    output.say(f"{job.path} is {state}.")
    return TEMPORARY


def _remark(job: Job, report: Report) -> str:
    """What else is worth a word in the list."""
    state = state_of(job, report)
    if state is TransferState.FAILED:
        return report.error
    begins = max(job.not_before, report.not_before)
    if state is TransferState.QUEUED and begins > time.time():
        when = datetime.fromtimestamp(begins, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        return f"not before {when}{'; ' + report.error if report.error else ''}"
    return ""


def _facts(job: Job, report: Report) -> dict[str, Any]:
    """For JSON."""
    return {
        "id": job.id,
        "state": state_of(job, report),
        "server": job.server,
        "name": report.name or job.name,
        "path": job.path,
        "priority": job.priority,
        "not_before": rfc3339(max(job.not_before, report.not_before)),
        "transferred_bytes": report.transferred_bytes,
        "total_bytes": job.size if report.total_bytes is None else report.total_bytes,
        "bytes_per_second": report.bytes_per_second,
        "attempts": report.attempts,
        "verified": report.verified,
        "error": report.error or None,
        "code": report.code or None,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(report.updated_at),
    }
