"""Uploads that wait for their turn in the background: what is wanted, and what became of it.

Rules: two records a job, each with one writer, so that neither needs a lock: commands write the
job, the worker that holds the queue's lock writes its report. Both are durable before anybody is
told; only how far a running job is may be lost. No secret is ever written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path

from towpath.client.filelock import hold
from towpath.client.progress import TransferState
from towpath.client.resume import Notebook
from towpath.client.sealed import seal, unseal
from towpath.errors import StateConflict

VERSION = 1
MOST = 10_000  # jobs that are not done
_KEPT = {  # seconds that a job is shown after its end
    TransferState.COMPLETE: 24 * 3600.0,
    TransferState.CANCELLED: 24 * 3600.0,
    TransferState.FAILED: 7 * 24 * 3600.0,
}
_WRITTEN = 3600.0  # seconds after which nobody writes a file any more
_SHOWN = 1000  # jobs that are done
_SETTLED = 2_000_000_000  # nanoseconds after which the time of a folder tells every change


class Wish(StrEnum):
    """What is wanted of a job."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file that is to be uploaded. Times are seconds since 1970."""

    id: str  # that of the transfer
    batch: str  # what was queued together shares one limit
    server: str
    path: str  # here, absolute
    name: str  # on the server
    size: int  # bytes, when it was queued
    metadata: Mapping[str, str] = field(default_factory=dict)
    on_conflict: str = ""
    restart: bool = False
    delta: bool = False  # only what the file of that name has not
    preserve: bool = False  # time and permissions go with it
    unless_there: bool = False  # what the server has is not sent
    update: bool = False  # and it is an error if that cannot be seen
    checksum: bool = False  # and that is told by checksum
    link: bool = False  # an empty object, whose metadata say where the link at `path` leads
    compress: bool = False
    key_files: tuple[str, ...] = ()  # of those whom it is encrypted for, as the next two
    recipients: tuple[str, ...] = ()
    passphrase_file: str | None = None
    verify: bool = True
    parallel: int = 4
    connections: int | None = None
    chunk_size: int | None = None
    retries: int = 10
    limit: str | None = None
    token_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    cert_key: str | None = None
    proxy: str | None = None
    priority: int = 0  # higher goes first
    not_before: float = 0.0
    wish: Wish = Wish.RUN
    turn: int = 1  # grows when it is wanted once more: older reports are void
    created_at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a job so far. Times are seconds since 1970."""

    id: str
    turn: int
    state: TransferState = TransferState.QUEUED
    begun: bool = False  # a restart has been made
    attempts: int = 0  # that failed in a row
    not_before: float = 0.0  # after a failure
    transferred_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_second: float = 0.0
    name: str = ""  # as the server has it in the end
    verified: bool = False
    error: str = ""  # what ended it, or made it wait
    code: str = ""  # of that error
    exit_code: int = 0
    updated_at: float = field(default_factory=time.time)


def state_of(job: Job, report: Report) -> TransferState:
    """Where a job is: queued, running, paused, complete, failed or cancelled."""
    if report.state.is_final or report.state is TransferState.RUNNING:
        return report.state
    return TransferState.PAUSED if job.wish is Wish.PAUSE else TransferState.QUEUED


_FIELDS = {each.name for each in fields(Job)}
_Seen = tuple[tuple[int, int], Job | None]  # when and which file it was, and what it said


class Aside(Notebook):
    """Notes of the queue's transfers: one that is done with is kept until its report is.

    Whoever is killed between the two has the server asked, and sends nothing again.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        super().__init__(folder)
        self._kept = kept

    def remove(self, note_id: str) -> None:
        """Set it aside, and the rows of a coded file with it."""
        self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        for here, aside in self._places(note_id):
            with suppress(FileNotFoundError):
                here.replace(aside)

    def restore(self, note_id: str) -> None:
        """Remember again what was set aside, unless there is a newer note."""
        if self._path(note_id).exists():
            return
        for here, aside in reversed(self._places(note_id)):  # the note last: it tells of the rows
            with suppress(FileNotFoundError):
                aside.replace(here)

    def drop(self, note_id: str) -> None:
        """Let go of what was set aside."""
        for _, aside in self._places(note_id):
            aside.unlink(missing_ok=True)

    def _places(self, note_id: str) -> list[tuple[Path, Path]]:
        """Where the note and the rows are, and where they wait."""
        rows = f"{note_id}.chunks"
        return [
            (self._path(note_id), self._kept / f"{note_id}.note"),
            (self.folder / rows, self._kept / rows),
        ]


class Queue:
    """The jobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs, self._reports = folder / "jobs", folder / "reports"
        self._lock = folder / "runner.lock"
        self._seen: dict[str, _Seen] = {}  # by name of the file
        self._seen_at = 0  # time of the folder then, in nanoseconds

    def jobs(self) -> list[Job]:
        """Every job, in the order of their turns: priority, then age."""
        self._look()
        found = [job for _, job in self._seen.values() if job is not None]
        return sorted(found, key=lambda job: (-job.priority, job.created_at, job.id))

    def add(self, job: Job) -> Job:
        """Queue a job; return it as it is kept. Raises StateConflict when it is there already."""
        before = self._load(self._jobs / f"{job.id}.json")
        if before is not None:
            state = self.state(before)
            if not state.is_final:
                raise StateConflict(
                    f"{job.path} is in the queue already.",
                    why=f"It is {state} as {job.id}.",
                    todo="Let it finish, or cancel it first.",
                )
            job = replace(job, turn=before.turn + 1)
        self._write(job)
        return job

    @property
    def room(self) -> int:
        """How many more jobs there may be."""
        return MOST - sum(not self.state(job).is_final for job in self.jobs())

    def wish(self, job: Job, wish: Wish) -> None:
        """Want something else of a job that is not done."""
        self._write(replace(job, wish=wish))

    def again(self, job: Job) -> None:
        """Want a job that is done once more, as if it were new."""
        self._write(replace(job, wish=Wish.RUN, turn=job.turn + 1, not_before=0.0))

    def report(self, job: Job) -> Report:
        """What became of a job so far."""
        body = unseal(self._reports / f"{job.id}.json", VERSION)
        if body is None or body["turn"] != job.turn:
            return Report(id=job.id, turn=job.turn)
        return Report(**{**body, "state": TransferState(body["state"])})

    def state(self, job: Job) -> TransferState:
        """Where a job is."""
        return state_of(job, self.report(job))

    def tell(self, report: Report, *, durable: bool = True) -> None:
        """Keep a report. For the worker alone."""
        seal(self._reports / f"{report.id}.json", VERSION, asdict(report), durable=durable)
        if report.state.is_final:
            self.notebook.drop(report.id)

    @property
    def notebook(self) -> Aside:
        """What the worker's transfers are remembered in."""
        return Aside(self.folder.parent, self._reports)

    def forget(self, job: Job) -> None:
        """Take a job that is done from the list."""
        (self._jobs / f"{job.id}.json").unlink(missing_ok=True)
        (self._reports / f"{job.id}.json").unlink(missing_ok=True)

    def tidy(self) -> None:
        """Forget what was done long ago, and what somebody who was killed left half-written."""
        for folder in (self._jobs, self._reports):
            for path in folder.glob("*.new"):
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _WRITTEN:
                        path.unlink()
        done = [(self.report(job), job) for job in self.jobs()]
        done = [(report, job) for report, job in done if report.state.is_final]
        done.sort(key=lambda pair: pair[0].updated_at, reverse=True)
        for number, (report, job) in enumerate(done):
            old = time.time() - report.updated_at > _KEPT[report.state]
            if old or number >= _SHOWN:
                self.forget(job)

    @property
    def has_work(self) -> bool:
        """True when there is something that a worker would do, now or later."""
        return any(self._wants_work(job) for job in self.jobs())

    @property
    def is_worked_on(self) -> bool:
        """True while a worker holds the lock."""
        try:
            with self.held():
                return False
        except StateConflict:
            return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only worker. Raises StateConflict when there is another."""
        self._make()
        with hold(self._lock):
            yield

    def _wants_work(self, job: Job) -> bool:
        state = self.state(job)
        return state is not TransferState.PAUSED and not state.is_final

    def _make(self) -> None:
        """Folders that only the user may look into."""
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _write(self, job: Job) -> None:
        self._make()
        seal(self._jobs / f"{job.id}.json", VERSION, asdict(job))

    def _look(self) -> None:
        """Read the jobs that have changed."""
        try:
            changed = self._jobs.stat().st_mtime_ns
        except FileNotFoundError:
            self._seen = {}
            return
        if changed == self._seen_at and time.time_ns() - changed > _SETTLED:
            return
        self._seen_at = changed
        seen = {}
        with os.scandir(self._jobs) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    seen[entry.name] = self._read(entry)
        self._seen = {name: found for name, found in seen.items() if found is not None}

    def _read(self, entry: os.DirEntry[str]) -> _Seen | None:
        try:
            stat = entry.stat()
        except FileNotFoundError:  # removed just now
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino)
        known = self._seen.get(entry.name)
        if known is not None and known[0] == stamp:
            return known
        return stamp, self._load(Path(entry.path))

    def _load(self, path: Path) -> Job | None:
        body = unseal(path, VERSION)
        if body is None or not body.keys() <= _FIELDS:  # a later version knows what to do with it
            return None
        lists = {name: tuple(body.get(name, ())) for name in ("key_files", "recipients")}
        return Job(**{**body, **lists, "wish": Wish(body["wish"])})
