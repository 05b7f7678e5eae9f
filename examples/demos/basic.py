"""Upload a file, look at what became of it, and download it again.

python basic.py --size 100
"""

from __future__ import annotations

from sample import Watch, arguments, check, manager, place, same, sample

from towpath.uds3 import UnifiedDatabaseStrategy, format_bytes


def main() -> None:
    """Up and down."""
    size = arguments(__doc__, 100).size
    with place() as folder, manager(folder) as carrier:
        source = sample(folder / "judgment.pdf", size)
        uds = UnifiedDatabaseStrategy(carrier)

        with Watch() as up:
            result = uds.upload_large_file(file_path=source, destination="documents/judgment.pdf")
        print(f"upload of {format_bytes(size)}: {result['status']}, {up.rate(size)}")
        check(good=result["success"], what=f"the upload succeeded ({result['error']})")
        print(f"operation {result['operation_id']}, SHA-256 {result['checksum']}")

        with Watch() as down:
            result = uds.download_large_file("documents/judgment.pdf", folder / "copy.pdf")
        print(f"download: {result['status']}, {down.rate(size)}")
        check(good=same(source, folder / "copy.pdf"), what="the bytes are the same")


if __name__ == "__main__":
    main()
