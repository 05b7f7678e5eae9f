"""Upload a file in chunks, and hear how far it is.

python chunks.py --size 100
"""

from __future__ import annotations

from datetime import datetime

from sample import arguments, check, manager, place, sample

from towpath.uds3 import (
    Percent,
    StreamingOperation,
    calculate_chunk_size,
    calculate_optimal_chunk_size,
    format_bytes,
)


def main() -> None:
    """One callback with the number alone, one with the operation beside it."""
    size = arguments(__doc__, 100).size
    chunk = calculate_optimal_chunk_size(size, available_memory=2**30, network_speed_mbps=1000)
    print(f"{format_bytes(size)} in chunks of {format_bytes(chunk)}")
    print(f"(by the other rule they would have {format_bytes(calculate_chunk_size(size))})")

    def show(percent: float, operation: StreamingOperation) -> None:
        elapsed = (datetime.now() - operation.created_at).total_seconds()  # noqa: DTZ005 - its times are naive
        moved = operation.chunks_completed * operation.chunk_size_bytes
        done = f"{operation.chunks_completed}/{operation.chunks_total} chunks"
        print(f"{percent:5.1f} %  {done}, {format_bytes(moved)} after {elapsed:.2f} s")

    def tell(p: Percent) -> None:
        print(
            f"{p:.1f}%  chunk {p.current_chunk}/{p.chunk_count}, "
            f"{format_bytes(p.bytes_per_second)}/s, left: {p.estimated_time_remaining}"
        )

    with place() as folder, manager(folder, chunk_size=chunk) as carrier:
        source = sample(folder / "large.bin", size)
        key = carrier.upload_file(source, "documents/", show)
        carrier.wait_for_operations([key])
        print("and with one parameter:")
        result = carrier.upload_large_file(
            source,
            "documents/second.bin",
            progress_callback=tell,
        )
        check(good=bool(result), what="both are there")


if __name__ == "__main__":
    main()
