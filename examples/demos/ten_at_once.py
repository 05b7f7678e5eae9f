"""Upload ten files at once.

python ten_at_once.py --size 20
"""

from __future__ import annotations

from sample import Watch, arguments, check, manager, place, same, sample

from towpath.uds3 import OperationStatus, format_bytes


def main() -> None:
    """Begin all, then wait for all."""
    size = arguments(__doc__, 20).size
    with place() as folder, manager(folder, thread_pool_size=10) as carrier:
        files = [sample(folder / f"{number}.bin", size) for number in range(10)]
        with Watch() as watch:
            ids = [carrier.upload_file(each, "ten/", parallel=True) for each in files]
            active = len(carrier.list_active_operations())
            done = carrier.wait_for_operations(ids)
        print(f"{active} were active at once")
        print(f"10 uploads of {format_bytes(size)}: {watch.rate(10 * size)}")
        complete = all(each.status is OperationStatus.COMPLETED for each in done)
        check(good=complete, what="all ten are complete")
        carrier.wait_for_operations([carrier.download_file("ten/7.bin", folder / "copy")])
        check(good=same(files[7], folder / "copy"), what="one of them comes back as it was")


if __name__ == "__main__":
    main()
