"""All operations of one manager: who carries them, how they end, and what is kept of them.

Rules: each operation has one thread at a time; an upload that fails for good leaves nothing; what
stopped, or was cut off, stays as it is until somebody goes on or its time is over. The newest
thousand operations that have ended are remembered, and no more.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from towpath.errors import (
    DigestMismatch,
    NotFound,
    SourceChanged,
    StateConflict,
    TowpathError,
    Vetoed,
    WrongKey,
)
from towpath.uds3.carrier import Carrier, Job
from towpath.uds3.control import Stopped, Wish
from towpath.uds3.errors import ChunkMetadataCorruptError, SagaRollbackRequired, named
from towpath.uds3.live import Live
from towpath.uds3.operations import OperationStatus, OperationType, now
from towpath.uds3.records import Checkpoints, Record, read, unknown, write
from towpath.uds3.sizes import DEFAULT_CHUNK_SIZE

_log = logging.getLogger(__name__)

_REMEMBERED = 1000
_ENDED = frozenset({OperationStatus.COMPLETED, OperationStatus.FAILED, OperationStatus.CANCELLED})
_HOPELESS = (DigestMismatch, SourceChanged, Vetoed)  # going on can never succeed


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is kept of operations."""

    resumes: bool  # at all
    interval: int  # chunks between two checkpoints
    forgets: bool  # the checkpoint of what is complete


class Crew:
    """Carries operations."""

    def __init__(
        self, carrier: Carrier, checkpoints: Checkpoints, terms: Terms, threads: int
    ) -> None:
        self.carrier = carrier
        self._checkpoints = checkpoints
        self._terms = terms
        self._pool = ThreadPoolExecutor(threads, "towpath-operation")
        self._lives: dict[str, Live] = {}
        self._closed = False
        self._guard = threading.Lock()

    # --- which there are ---------------------------------------------------------------------

    def find(self, operation_id: str) -> Live:
        """The operation, carried here or written down.

        Raises NotFound, ChunkMetadataCorruptError.
        """
        with self._guard:
            known = self._lives.get(operation_id)
        return known or self._written(operation_id)

    def known(self, fresh: Record) -> Record:
        """What is known of the operation; `fresh` if nothing is."""
        try:
            return self.find(fresh.operation_id).record
        except NotFound:
            fresh.key = uuid4().hex  # there may be an upload by the id that is over
            return fresh

    def all(self) -> list[Live]:
        """Every operation that is listed, those of earlier processes too, oldest first."""
        return [live for live in self._kept()[0] if live.record.listed]

    def _kept(self) -> tuple[list[Live], list[str]]:
        """Every operation, oldest first, and the ids of those whose checkpoints are damaged."""
        with self._guard:
            found = dict(self._lives)
        damaged = []
        for operation_id in self._checkpoints.all():
            if operation_id not in found:
                try:
                    found[operation_id] = self._written(operation_id)
                except NotFound:  # forgotten meanwhile
                    continue
                except (ChunkMetadataCorruptError, OSError) as error:
                    _log.warning("An operation is left out: %s", error)
                    if isinstance(error, ChunkMetadataCorruptError):
                        damaged.append(operation_id)
        return sorted(found.values(), key=lambda live: live.record.created_at), damaged

    def _written(self, operation_id: str) -> Live:
        """An operation that nobody carries here."""
        data = self._checkpoints.read(operation_id)
        if data is None:
            raise unknown(operation_id)
        record = read(data, operation_id)
        if record.status in (OperationStatus.PENDING, OperationStatus.IN_PROGRESS):
            record.status = OperationStatus.PAUSED  # its process ended
        return Live(record)

    # --- carrying ----------------------------------------------------------------------------

    def start(self, live: Live, *, restart: bool = False, **facts: Any) -> None:  # noqa: ANN401 - of a record
        """Carry it in a thread. Raises StateConflict if it is being carried: nothing changes then.

        `facts` of its record that are others from now on.
        """
        record = live.record
        with self._guard:
            known = self._lives.get(record.operation_id)
            if known is not None and known.is_running:
                raise StateConflict(
                    f"The operation {record.operation_id} is on its way.",
                    todo="Wait for it, or pause it first.",
                )
            for name, fact in facts.items():
                setattr(record, name, fact)
            self._forget_oldest()
            record.status, record.error, record.listed = OperationStatus.PENDING, None, True
            self._lives[record.operation_id] = live
            live.future = self._pool.submit(self._carry, live, restart)

    def wait(self, live: Live) -> None:
        """Wait until nobody carries it. An interrupt pauses it."""
        if live.future is None or live.is_mine:
            return
        try:
            live.future.result()
        except CancelledError:  # its turn had not come
            return
        except BaseException:
            live.control.ask(Wish.PAUSE)
            raise

    def pause(self, live: Live) -> bool:
        """Stop it and keep everything; false if it is not on its way."""
        if not live.is_running:
            return False
        self._stop(live, Wish.PAUSE)
        return live.is_mine or live.record.status is OperationStatus.PAUSED

    def cancel(self, operation_id: str, *, cleanup: bool, tell: bool) -> bool:
        """End it; false if it had ended. `cleanup`: nothing of it stays. Raises NotFound."""
        try:
            live = self.find(operation_id)
        except ChunkMetadataCorruptError:
            self._remove_damaged(operation_id, cleanup=cleanup, tell=tell)
            return True
        live.cleans, live.tells = cleanup, tell
        if live.is_running:
            self._stop(live, Wish.CANCEL)
            return live.is_mine or live.record.status is OperationStatus.CANCELLED
        status, over = live.record.status, live.is_clean or not cleanup
        if status is OperationStatus.COMPLETED or (status in _ENDED and over):
            return False
        return self._cancelled(live)

    def forget(self, live: Live, *, checkpoint: bool, record: bool) -> None:
        """Keep no checkpoint of it, or know nothing of it any more."""
        if checkpoint:
            if live.record.status is not OperationStatus.COMPLETED:
                with contextlib.suppress(StateConflict):  # complete at the last moment
                    self.carrier.undo(live.record, tell=False)
            self._checkpoints.remove(live.record.operation_id)
        if record:
            if not checkpoint:
                self._hide(live.record)
            with self._guard:
                self._lives.pop(live.record.operation_id, None)

    def _hide(self, record: Record) -> None:
        """List it no more, though its checkpoint stays."""
        record.listed = False
        if self._checkpoints.read(record.operation_id) is not None:
            self._checkpoints.write(record.operation_id, write(record))

    def _remove_damaged(self, operation_id: str, *, cleanup: bool, tell: bool) -> None:
        """Remove a checkpoint that nobody can read, and what is found by the id alone."""
        if cleanup:
            known = Record(
                operation_id=operation_id,
                kind=OperationType.UPLOAD,
                path="",
                address="",
                chunk_size=DEFAULT_CHUNK_SIZE,
                level=1,  # it may have been coded: what goes with that goes, too
                key=operation_id,
            )
            with contextlib.suppress(StateConflict):  # it is complete: its document stands
                self.carrier.undo(known, tell=tell)
        self._checkpoints.remove(operation_id)

    def sweep(self, days: float, *, checkpoints: bool, records: bool) -> int:
        """Forget what nothing was heard of for so many days; return how many operations."""
        if not (checkpoints or records):
            return 0
        horizon, count = now() - timedelta(days=days), 0
        lives, damaged = self._kept()
        for each in (*lives, *(damaged if checkpoints else ())):
            try:
                if isinstance(each, Live):
                    count += self._swept(each, horizon, checkpoint=checkpoints, record=records)
                else:
                    count += self._swept_damaged(each, horizon)
            except (TowpathError, OSError) as error:
                name = each.record.operation_id if isinstance(each, Live) else each
                _log.warning("%s stays for now: %s", name, error)
        return count

    def _swept(self, live: Live, horizon: datetime, *, checkpoint: bool, record: bool) -> bool:
        forgotten = not (checkpoint or live.record.listed)
        if forgotten or live.is_running or live.record.updated_at > horizon:
            return False
        self.forget(live, checkpoint=checkpoint, record=record)
        return True

    def _swept_damaged(self, operation_id: str, horizon: datetime) -> bool:
        written_at = self._checkpoints.written_at(operation_id)
        if written_at is None or written_at > horizon.timestamp():
            return False
        self._remove_damaged(operation_id, cleanup=True, tell=False)
        return True

    def _stop(self, live: Live, wish: Wish) -> None:
        """Ask it to stop, and wait until it has."""
        live.control.ask(wish)
        if live.future is not None and live.future.cancel():  # its turn has not come
            self._stopped(live, wish)
        self.wait(live)

    def finish(self) -> None:
        """End, once everything has ended by itself."""
        self.close(waits=True)

    def close(self, *, waits: bool) -> None:
        """End: pause what is on its way, or wait for it. Idempotent."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            lives = [live for live in self._lives.values() if live.is_running]
        for live in lives:
            if not waits:
                live.control.ask(Wish.PAUSE)
        self._pool.shutdown()
        self.carrier.close()

    # --- in the operation's thread -----------------------------------------------------------

    def _carry(self, live: Live, restart: bool) -> None:
        with self._guard:  # `start` has put the operation where others find it
            record = live.record
        try:
            live.control.check()
            live.begin()
            self._save(record)
            job = Job(
                record=record,
                control=live.control,
                parallel=live.parallel,
                save=lambda: self._save(record),
                moved=lambda: live.moved(lambda: self._save(record), self._terms.interval),
                restart=restart,
            )
            if record.kind is OperationType.UPLOAD:
                self.carrier.upload(job)
            else:
                self.carrier.download(job)
        except Stopped as stop:
            self._stopped(live, stop.wish)
        except Exception as error:  # noqa: BLE001 - it stands in the operation, for who asks
            self._failed(live, error)
        else:
            self._at_end(live, OperationStatus.COMPLETED, keep=not self._terms.forgets)
        finally:
            live.thread = None

    def _stopped(self, live: Live, wish: Wish) -> None:
        if wish is Wish.PAUSE and self._terms.resumes:
            self._at_end(live, OperationStatus.PAUSED, keep=True)
        elif wish is Wish.PAUSE:
            self._failed(live, StateConflict("It was paused, and enable_resume is off."))
        else:
            self._cancelled(live)

    def _cancelled(self, live: Live) -> bool:
        """End it as cancelled; false if it was complete at the last moment."""
        status, keep, live.error = OperationStatus.CANCELLED, True, None
        with self._guard:
            self._lives[live.record.operation_id] = live
        if live.cleans:
            try:
                self.carrier.undo(live.record, tell=live.tells)
                _empty(live.record)
                keep, live.is_clean = False, True
            except StateConflict:
                status, keep = OperationStatus.COMPLETED, not self._terms.forgets
            except Exception as error:  # noqa: BLE001 - it stands in the operation
                live.error = error
                live.record.error = f"It was cancelled, but its remains are there: {error}"
        self._at_end(live, status, keep=keep)
        return status is OperationStatus.CANCELLED and live.error is None

    def _failed(self, live: Live, error: Exception) -> None:
        record, found, keep = live.record, named(error), True
        if not isinstance(error, (TowpathError, OSError)):
            _log.exception("Operation %s ended in an unforeseen way.", record.operation_id)
        hopeless = isinstance(error, _HOPELESS)
        undone = live.rolls_back or hopeless or not self._terms.resumes
        if undone and not isinstance(error, WrongKey):  # with the right one it can go on
            rolled, keep = self._rolled_back(record, found)
            live.is_clean = not keep
            found = rolled if live.rolls_back else found
        record.error = str(found)
        with contextlib.suppress(AttributeError):  # an exception with slots
            found.operation_id = record.operation_id  # type: ignore[attr-defined]
        live.error = found
        self._at_end(live, OperationStatus.FAILED, keep=keep)

    def _rolled_back(self, record: Record, error: BaseException) -> tuple[BaseException, bool]:
        """Remove what it left. What to raise, and whether the record must stay for a later try."""
        message, todo, keep = f"{record.path} was not {record.kind}ed.", "", False
        try:
            self.carrier.undo(record, tell=False)
            _empty(record)
        except StateConflict:  # it is complete: nothing is left to remove
            pass
        except Exception as failed:  # noqa: BLE001 - the first failure is the one that counts
            keep = True
            message += f" What it left could not be removed: {failed}"
            todo = f"Call cancel_operation({record.operation_id!r}, cleanup=True) later."
        raised = SagaRollbackRequired(
            message, str(error), record.retries, operation_id=record.operation_id, todo=todo
        )
        raised.__cause__ = error
        return raised, keep

    def _at_end(self, live: Live, status: OperationStatus, *, keep: bool) -> None:
        """The last that is written and told of this run."""
        record = live.record
        record.status = status
        try:
            if keep and self._terms.resumes:
                self._save(record)
            else:
                self._checkpoints.remove(record.operation_id)
        except Exception as error:  # noqa: BLE001 - bytes are where they are; say what is not
            _log.warning("The checkpoint of %s is not up to date: %s", record.operation_id, error)
        live.enter(status)

    def _save(self, record: Record) -> None:
        if self._terms.resumes:
            self._checkpoints.write(record.operation_id, write(record))

    def _forget_oldest(self) -> None:
        ended = [key for key, live in self._lives.items() if live.record.status in _ENDED]
        for key in ended[: max(0, len(ended) - _REMEMBERED + 1)]:
            del self._lives[key]


def _empty(record: Record) -> None:
    """Nothing of it is left."""
    record.key = uuid4().hex  # another than the one that was given up
    record.document_id = ""
    record.transferred = record.resumed_from = 0
    record.chunks.clear()


def otherwise(record: Record) -> StateConflict:
    """What is said when somebody takes an operation for another one."""
    return StateConflict(
        f"The operation {record.operation_id} is another one.",
        why=f"It is the {record.kind} of {record.path} to {record.address}.",
        todo="Give what it began with, or begin a new one.",
    )
