"""UnifiedDatabaseStrategy: the streaming methods of a database strategy, over one manager.

Rules: no logic of its own; how operations stand comes as mappings.
"""

from __future__ import annotations

from typing import Any

from towpath.uds3.manager import StreamingManager, create_streaming_manager
from towpath.uds3.opening import Location, Metadata
from towpath.uds3.operations import OperationStatus, ProgressCallback, StreamingResult


class UnifiedDatabaseStrategy:
    """Uploads and downloads as a database strategy has them.

    `manager`: who carries; by default one of create_streaming_manager with `options`.
    """

    def __init__(self, manager: StreamingManager | None = None, **options: Any) -> None:  # noqa: ANN401 - those of StreamingManager
        self.manager = manager or create_streaming_manager(**options)

    def close(self) -> None:
        """Pause what is under way, keep its state, and let go of everything."""
        self.manager.close()

    def upload_large_file(
        self,
        file_path: Location,
        destination: Location,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
        metadata: Metadata | None = None,
    ) -> StreamingResult:
        """Upload a file and wait; see StreamingManager."""
        return self.manager.upload_large_file(
            file_path, destination, chunk_size, progress_callback, metadata
        )

    def download_large_file(
        self,
        source: str,
        output_path: Location,
        chunk_size: int | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> StreamingResult:
        """Download a document and wait; see StreamingManager."""
        return self.manager.download_large_file(source, output_path, chunk_size, progress_callback)

    def resume_upload(
        self,
        operation_id: str,
        file_path: Location | None = None,
        destination: Location | None = None,
        progress_callback: ProgressCallback | None = None,
    ) -> StreamingResult:
        """Go on with an upload, and wait; see StreamingManager."""
        return self.manager.resume_upload(operation_id, file_path, destination, progress_callback)

    def get_streaming_status(self, operation_id: str) -> dict[str, Any]:
        """How far an operation is, as StreamingProgress.to_dict. Raises NotFound."""
        return self.manager.get_progress(operation_id).to_dict()

    def list_streaming_operations(
        self, status: OperationStatus | str | None = None
    ) -> list[dict[str, Any]]:
        """How far every operation is, or every one in a status; oldest first."""
        return [each.to_dict() for each in self.manager.list_operations(status)]

    def cancel_streaming_operation(self, operation_id: str) -> bool:
        """End an operation and remove what it left; false if it had ended."""
        return self.manager.cancel_operation(operation_id)
