"""Two real cases: a court decision of 300 MB, and a case file of five documents.

python real_world.py --size 300
"""

from __future__ import annotations

from pathlib import Path

from sample import Watch, arguments, check, manager, place, sample

from towpath.uds3 import StreamingManager, calculate_optimal_chunk_size, format_bytes

CASE = {
    "claim.pdf": 0.1,
    "answer.pdf": 0.15,
    "expert-report.pdf": 0.5,
    "exhibits.zip": 1.0,
    "hearing.mp4": 1.25,
}
"""Documents of the case file, and their sizes as shares of the decision's."""


def decision(carrier: StreamingManager, folder: Path, size: int) -> None:
    """One large document, its checks, and what is known of it afterwards."""
    source = sample(folder / "decision.pdf", size)
    with Watch() as watch:
        result = carrier.upload_large_file(
            file_path=source,
            destination="courts/2024/decision.pdf",
            chunk_size=calculate_optimal_chunk_size(file_size=size),
            metadata={"court": "Federal Court", "file_number": "VI ZR 12/24", "pages": 1840},
        )
    print(f"decision of {format_bytes(size)}: {result['status']}, {watch.rate(size)}")
    check(good=bool(result), what=f"{result['chunks_completed']} chunks ({result['error']})")
    key = result["operation_id"]
    check(good=carrier.verify_upload(key), what="it is stored as it was sent")
    print(f"kept with it: {carrier.get_operation(key).metadata}")


def case_file(carrier: StreamingManager, folder: Path, size: int) -> None:
    """Five documents of one case: all of them, or it is said which one failed."""
    files = [sample(folder / "case" / name, int(size * share)) for name, share in CASE.items()]
    total = sum(path.stat().st_size for path in files)
    with Watch() as watch:
        ids = [
            carrier.upload_file(
                path, "cases/12-24/", metadata={"case": "12/24", "part": part}, parallel=True
            )
            for part, path in enumerate(files, 1)
        ]
        done = carrier.wait_for_operations(ids)
    print(f"case file of 5 documents, {format_bytes(total)}: {watch.rate(total)}")
    for each in done:
        size_of = format_bytes(each.total_size_bytes)
        print(f"  {each.file_name:18} {size_of:>10} {each.status.value} {each.checksum}")
    check(good=all(carrier.verify_upload(key) for key in ids), what="all five are as they were")


def main() -> None:
    """Both cases."""
    size = arguments(__doc__, 300).size
    with place() as folder, manager(folder) as carrier:
        decision(carrier, folder, size)
        case_file(carrier, folder, size // 3)


if __name__ == "__main__":
    main()
