"""Compare the memory of reading a file whole with that of streaming it.

python memory.py --size 500
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sample import MB, arguments, check, manager, place, sample

from towpath.uds3 import format_bytes


def resident() -> int:
    """Bytes of memory that this process has had in RAM at most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This demo reads /proc/self/status, which this system lacks.")


def whole(folder: Path) -> None:
    """The way that does not scale."""
    data = (folder / "large.bin").read_bytes()
    (folder / "copy.bin").write_bytes(data)


def streamed(folder: Path) -> None:
    """The way that does."""
    with manager(folder) as carrier:
        # What the library itself takes is there before any file is.
        carrier.upload_large_file(sample(folder / "small.bin", MB), "small.bin")
        print(resident(), "with the library")
        result = carrier.upload_large_file(folder / "large.bin", "large.bin")
        check(good=bool(result), what="uploaded")


def growth(way: str, folder: Path) -> int:
    """How far the memory of a new process grows over it."""
    words = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 - this file
    told = [line.split() for line in ran.stdout.splitlines()]
    numbers = [int(words[0]) for words in told if words and words[0].isdigit()]
    return numbers[-1] - numbers[-2]


def main() -> None:
    """Run both ways, each in a process of its own."""
    found = arguments(__doc__, 500, way={"default": ""}, folder={"default": ""})
    if found.way:
        print(resident())
        (whole if found.way == "whole" else streamed)(Path(found.folder))
        print(resident())
        return
    with place() as folder:
        sample(folder / "large.bin", found.size)
        grown = {way: growth(way, folder) for way in ("whole", "streamed")}
    print(f"a file of {format_bytes(found.size)}; memory grows by")
    for way, size in grown.items():
        print(f"  {way:9} {format_bytes(size):>10}  ({100 * size / found.size:.1f} % of the file)")
    if found.size >= 100 * MB:
        check(good=grown["streamed"] < grown["whole"] / 4, what="streaming takes a small part")


if __name__ == "__main__":
    main()
