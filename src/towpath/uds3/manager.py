"""StreamingManager: uploads and downloads of very large files, in process or against a server.

Rules: every method may be called from any thread; `upload_file` and `download_file` return at once,
methods named `..._large_file` and `resume_...` wait. What is known at the start is raised there.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from towpath.client import surroundings
from towpath.core.plan import MB
from towpath.errors import NotFound, TowpathError
from towpath.uds3.carrier import Rules, check_algorithm
from towpath.uds3.coding import codec_of
from towpath.uds3.crew import Terms, otherwise
from towpath.uds3.errors import CHECKSUM, NETWORK, TIMEOUT, words_of
from towpath.uds3.live import Live, failure
from towpath.uds3.opening import Location, Metadata, Opening, Place, at_least, cannot_be
from towpath.uds3.operations import (
    ACTIVE,
    ChunkMetadata,
    OperationStatus,
    OperationType,
    ProgressCallback,
    StreamingOperation,
    StreamingProgress,
    StreamingResult,
)
from towpath.uds3.records import source_of
from towpath.uds3.sizes import DEFAULT_CHUNK_SIZE


class StreamingManager:
    """Carries files to a data folder of this machine, or to a server, and back.

    `url` and `token` name a server; without them TOWPATH_URL and TOWPATH_TOKEN do. With none,
    documents live in the folder `data` (TOWPATH_DATA, else `towpath-data`), which one process at
    a time may use. `state_dir` is where a client remembers transfers. `chunk_size` in bytes stands
    for `chunk_size_mb`, `max_concurrent_operations` for `thread_pool_size`. Leaving a `with` block
    waits for what is under way; leaving it by an error, and `close`, pause it. Raises
    SettingsError for arguments that cannot be.
    """

    def __init__(  # noqa: PLR0913 - a contract of others: each is given by name
        self,
        *,
        chunk_size_mb: float = 10,
        max_retries: int = 3,
        retry_delay_seconds: float = 5,
        timeout_seconds: float = 300,
        exponential_backoff: bool = True,
        retry_on_errors: Iterable[str | type[BaseException]] = (NETWORK, TIMEOUT, CHECKSUM),
        enable_resume: bool = True,
        checkpoint_interval: int = 10,
        checkpoint_storage: Literal["local", "database"] = "local",
        cleanup_completed: bool = True,
        checkpoint_retention_days: float = 7,
        verify_checksums: bool = True,
        checksum_algorithm: str = "sha256",
        parallel_chunks: int = 4,
        thread_pool_size: int = 8,
        compress_chunks: bool = False,
        compression_level: int = 6,
        encrypt_chunks: bool = False,
        encryption_key: str | None = None,
        chunk_size: int | None = None,
        max_concurrent_operations: int | None = None,
        url: str | None = None,
        token: str | None = None,
        data: Location | None = None,
        state_dir: Location | None = None,
    ) -> None:
        if checkpoint_storage not in ("local", "database"):
            raise cannot_be("checkpoint_storage", checkpoint_storage, '"local" or "database"')
        threads = max_concurrent_operations or thread_pool_size
        size = chunk_size or int(at_least(0.0, "chunk_size_mb", chunk_size_mb) * MB)
        self._opening = Opening(
            Place(
                url=url or (None if data is not None else surroundings.variable("TOWPATH_URL")),
                token=token,
                data=None if data is None else Path(data),
                state_dir=None if state_dir is None else Path(state_dir),
            ),
            Rules(
                max_retries=at_least(0, "max_retries", max_retries),
                retry_delay=at_least(0.0, "retry_delay_seconds", retry_delay_seconds),
                timeout=at_least(0.001, "timeout_seconds", timeout_seconds),
                exponential=exponential_backoff,
                retry_on=words_of(retry_on_errors),
                parallel=at_least(1, "parallel_chunks", parallel_chunks),
                operations=at_least(1, "thread_pool_size", threads),
            ),
            Terms(
                resumes=enable_resume,
                interval=at_least(1, "checkpoint_interval", checkpoint_interval),
                forgets=cleanup_completed,
            ),
            codec_of(
                compress=compress_chunks,
                level=compression_level,
                encrypt=encrypt_chunks,
                key=encryption_key,
            ),
            algorithm=check_algorithm(checksum_algorithm) if verify_checksums else None,
            chunk_size=at_least(1, "chunk_size", size),
            retention_days=checkpoint_retention_days,
            in_database=checkpoint_storage == "database",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opening.close(waits=error is None)

    def close(self) -> None:
        """Pause what is under way, keep its state, and let go of everything."""
        self._opening.close(waits=False)

    # --- waiting for the result --------------------------------------------------------------

    def upload_large_file(
        self,
        file_path: Location,
        destination: Location,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
        metadata: Metadata | None = None,
    ) -> StreamingResult:
        """Upload a file and wait. A failure stands in the result; what arrived is kept.

        Raises FileNotFoundError when there is no such file.
        """
        try:
            record = self._opening.new_upload(file_path, destination, chunk_size, metadata)
        except TowpathError as error:
            return failure(error)
        live = Live(record, callback=progress_callback, parallel=self._opening.rules.parallel)
        return self._carried(live)

    def download_large_file(
        self,
        source: str,
        output_path: Location,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> StreamingResult:
        """Download a document and wait. A failure stands in the result.

        Raises FileNotFoundError when there is no such document.
        """
        try:
            record = self._opening.new_download(source, output_path, chunk_size)
        except TowpathError as error:
            return failure(error)
        live = Live(record, callback=progress_callback, parallel=self._opening.rules.parallel)
        result = self._carried(live)
        if isinstance(live.error, NotFound):
            raise FileNotFoundError(errno.ENOENT, str(live.error), source) from live.error
        return result

    def resume_upload(
        self,
        operation_id: str,
        file_path: Location | None = None,
        destination: Location | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> StreamingResult:
        """Go on with an upload that was paused or interrupted, and wait.

        With `file_path`, a failure stands in the result, what is missing of it is sent, and with a
        `destination` what is not known any more begins anew; FileNotFoundError when there is no
        such file. Without, a failure is raised: the one that it has ended with, too.
        """
        if file_path is None:
            return self._resumed(operation_id, progress_callback, OperationType.UPLOAD)
        try:
            fresh = self._opening.new_upload(file_path, destination, None, None, operation_id)
            record = self._opening.crew().known(fresh)
            if (record.kind, record.address) != (fresh.kind, fresh.address):
                raise otherwise(record)
        except TowpathError as error:
            return failure(error, operation_id)
        if record.status is OperationStatus.COMPLETED:
            return Live(record).result()
        live = Live(record, callback=progress_callback, parallel=self._opening.rules.parallel)
        return self._carried(live, path=fresh.path)

    def resume_download(
        self, operation_id: str, progress_callback: ProgressCallback | None = None
    ) -> StreamingResult:
        """Go on with a download that was paused or interrupted, and wait. A failure is raised."""
        return self._resumed(operation_id, progress_callback, OperationType.DOWNLOAD)

    # --- returning at once -------------------------------------------------------------------

    def upload_file(
        self,
        file_path: Location,
        destination: Location,
        progress_callback: ProgressCallback | None = None,
        metadata: Metadata | None = None,
        parallel: bool = False,
        encrypt: bool = False,
    ) -> str:
        """Begin to upload a file; return the operation's id.

        `parallel`: `parallel_chunks` of it at once. `encrypt`: with the manager's `encryption_key`,
        though `encrypt_chunks` is off. What fails later leaves nothing behind, and is raised by
        `wait_for_operations`, `verify_upload` and `resume_upload`. Raises FileNotFoundError,
        Malformed and SettingsError.
        """
        record = self._opening.new_upload(file_path, destination, None, metadata, encrypt=encrypt)
        chunks = self._opening.rules.parallel if parallel else 1
        live = Live(record, callback=progress_callback, parallel=chunks, rolls_back=True)
        self._opening.crew().start(live)
        return record.operation_id

    def download_file(
        self,
        document_id: str,
        destination_path: Location,
        progress_callback: ProgressCallback | None = None,
    ) -> str:
        """Begin to download a document, by its id, its name or its upload's operation id."""
        record = self._opening.new_download(document_id, destination_path, None)
        chunks = self._opening.rules.parallel
        self._opening.crew().start(Live(record, callback=progress_callback, parallel=chunks))
        return record.operation_id

    def wait_for_operations(self, ids: Iterable[str]) -> list[StreamingOperation]:
        """Wait until nobody carries them; raises what the first failed one ended with."""
        crew = self._opening.crew()
        lives = [crew.find(each) for each in ids]
        for live in lives:
            crew.wait(live)
        for live in lives:
            live.raise_failure()
        return [live.record.operation() for live in lives]

    def verify_upload(self, operation_id: str) -> bool:
        """Wait for an upload, and compare what is stored with what was sent.

        In process all of it is read again; a server says what it has. Raises what it failed with.
        """
        crew = self._opening.crew()
        live = crew.find(operation_id)
        crew.wait(live)
        live.raise_failure()
        complete = live.record.status is OperationStatus.COMPLETED
        return complete and crew.carrier.verify(live.record)

    def restart_upload(self, operation_id: str) -> bool:
        """Send the whole file again, as it is now, and wait; true if that succeeded."""
        crew = self._opening.crew()
        record = crew.find(operation_id).record
        if record.kind is not OperationType.UPLOAD:
            raise otherwise(record)
        stat = Path(record.path).stat()
        live = Live(record, parallel=self._opening.rules.parallel, rolls_back=True)
        crew.start(live, restart=True, total=stat.st_size, source=source_of(stat))
        crew.wait(live)
        return bool(live.result())

    # --- looking and stopping ----------------------------------------------------------------

    def get_operation(self, operation_id: str) -> StreamingOperation:
        """How an operation stands. Raises NotFound, ChunkMetadataCorruptError."""
        return self._opening.crew().find(operation_id).record.operation()

    def get_progress(self, operation_id: str) -> StreamingProgress:
        """How far an operation is. Raises NotFound, ChunkMetadataCorruptError."""
        return self._opening.crew().find(operation_id).progress()

    def get_chunks(self, operation_id: str) -> list[ChunkMetadata]:
        """The chunks of an upload that are durable, in their order; in process only.

        A server counts bytes: then there are none.
        """
        chunks = list(self._opening.crew().find(operation_id).record.chunks.values())
        return [replace(each) for each in sorted(chunks, key=lambda each: each.chunk_index)]

    def list_operations(
        self, status: OperationStatus | str | None = None
    ) -> list[StreamingProgress]:
        """How far every operation is, or every one in a status; oldest first."""
        wanted = None if status is None else OperationStatus(status)
        found = self._opening.crew().all()
        return [live.progress() for live in found if wanted in (None, live.record.status)]

    def list_active_operations(self) -> list[StreamingOperation]:
        """The operations that have not ended: pending, in progress or paused."""
        found = self._opening.crew().all()
        return [live.record.operation() for live in found if live.record.status in ACTIVE]

    def pause_operation(self, operation_id: str) -> bool:
        """Stop it and keep everything; false if it is not on its way."""
        crew = self._opening.crew()
        return crew.pause(crew.find(operation_id))

    def cancel_operation(
        self, operation_id: str, cleanup: bool = True, notify_user: bool = False
    ) -> bool:
        """End it; false if it had ended, or could not be cleaned up. Raises NotFound.

        `cleanup`: every part and row of it goes, and what was there before stands again.
        `notify_user`: webhooks hear of it even if the settings tell them only of other events;
        events and the callback tell it in any case. A damaged checkpoint is removed.
        """
        return self._opening.crew().cancel(operation_id, cleanup=cleanup, tell=notify_user)

    def cleanup_completed_operations(self) -> int:
        """Forget the operations that are complete; return how many. Documents stay."""
        crew, count = self._opening.crew(), 0
        for live in crew.all():
            if live.record.status is OperationStatus.COMPLETED and not live.is_running:
                crew.forget(live, checkpoint=True, record=True)
                count += 1
        return count

    def cleanup_old_operations(
        self,
        retention_days: float | None = None,
        delete_checkpoints: bool = True,
        delete_metadata: bool = True,
    ) -> int:
        """Forget operations of which nothing was heard for so many days; return how many.

        By default `checkpoint_retention_days`. `delete_checkpoints`: they cannot be resumed then,
        and parts of unfinished ones go; `delete_metadata`: they are not listed any more. One that
        keeps its checkpoint can be resumed by its id, and is listed again then.
        """
        days = self._opening.days(retention_days)
        return self._opening.crew().sweep(
            days, checkpoints=delete_checkpoints, records=delete_metadata
        )

    # --- inside ------------------------------------------------------------------------------

    def _carried(self, live: Live, **facts: Any) -> StreamingResult:  # noqa: ANN401 - of a record
        """Carry it and wait; whatever fails stands in the result."""
        try:
            crew = self._opening.crew()
            crew.start(live, **facts)
        except TowpathError as error:
            return failure(error, live.record.operation_id)
        crew.wait(live)
        return live.result()

    def _resumed(
        self, operation_id: str, callback: ProgressCallback | None, kind: OperationType
    ) -> StreamingResult:
        crew = self._opening.crew()
        live = crew.find(operation_id)
        record = live.record
        if record.kind is not kind:
            raise otherwise(record)
        crew.wait(live)
        if live.is_clean:
            live.raise_failure()
        if record.status is not OperationStatus.COMPLETED:
            live = Live(
                record,
                callback=callback,
                parallel=self._opening.rules.parallel,
                rolls_back=kind is OperationType.UPLOAD,
            )
            crew.start(live)
            crew.wait(live)
            live.raise_failure()
        return live.result()


def create_streaming_manager(
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_concurrent_operations: int = 10,
    **options: Any,  # noqa: ANN401 - those of StreamingManager
) -> StreamingManager:
    """A manager with chunks of so many bytes that carries so many operations at once."""
    return StreamingManager(
        chunk_size=chunk_size, max_concurrent_operations=max_concurrent_operations, **options
    )
