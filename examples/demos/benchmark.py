"""Measure uploads and downloads over sizes and chunk sizes; the best of several rounds.

python benchmark.py --size 100 --rounds 3
"""

from __future__ import annotations

import os
from pathlib import Path

from sample import MB, Watch, arguments, check, manager, place, sample

from towpath.uds3 import StreamingManager, format_bytes


def best(carrier: StreamingManager, source: Path, folder: Path, rounds: int) -> tuple[str, str]:
    """The best rate up and down."""
    size = source.stat().st_size
    ups: list[Watch] = []
    downs: list[Watch] = []
    for number in range(rounds):
        with Watch() as up:
            result = carrier.upload_large_file(source, f"bench/{number}.bin")
        check(good=bool(result), what=f"round {number + 1} ({result['error']})")
        with Watch() as down:
            carrier.download_large_file(f"bench/{number}.bin", folder / "copy")
        ups.append(up)
        downs.append(down)
    fastest = [min(each, key=lambda watch: watch.seconds) for each in (ups, downs)]
    return fastest[0].rate(size), fastest[1].rate(size)


def main() -> None:
    """A table."""
    found = arguments(__doc__, 100, rounds={"type": int, "default": 3})
    where = os.environ.get("TOWPATH_URL", "in process")
    print(f"{where}, best of {found.rounds}; {os.cpu_count()} processors")
    rows: list[tuple[str, str, str, str]] = []
    for chunk in (1, 5, 10, 20):
        for share in (10, 1):
            with place() as folder, manager(folder, chunk_size=chunk * MB) as carrier:
                source = sample(folder / "sample.bin", found.size // share)
                up, down = best(carrier, source, folder, found.rounds)
                rows.append((format_bytes(found.size // share), f"{chunk} MB", up, down))
    print(f"{'file':>10}  {'chunk':>6}  {'up':>24}  {'down':>24}")
    for size, chunk_size, up, down in rows:
        print(f"{size:>10}  {chunk_size:>6}  {up:>24}  {down:>24}")


if __name__ == "__main__":
    main()
