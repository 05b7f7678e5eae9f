"""What Linux says of a process: memory and time, read from /proc.

Rules: numbers are bytes and seconds; a process that is gone raises ProcessLookupError.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process."""

    now: int
    peak: int


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} is gone") from None


def memory(pid: int) -> Memory:
    """Its resident memory now, and the most since it began or since `forget_peak`."""
    sizes = {}
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            sizes[name] = int(value.split()[0]) * 1024
    if not sizes:
        raise ProcessLookupError(f"process {pid} has ended")
    return Memory(sizes["VmRSS"], sizes["VmHWM"])


def forget_peak(pid: int) -> None:
    """Let the peak begin anew from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def children(pid: int) -> list[int]:
    """The processes that it has started, and those that they have started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of it and of all its children, dead or alive."""
    ticks = 0
    for each in (pid, *children(pid)):
        after_name = _read(each, "stat").rpartition(")")[2].split()
        ticks += sum(int(value) for value in after_name[11:15])  # utime stime cutime cstime
    return ticks / _TICKS


def thread_seconds(pid: int) -> float:
    """Processor time of its first thread, which has the event loop where there is one."""
    after_name = _read(pid, f"task/{pid}/stat").rpartition(")")[2].split()
    return sum(int(value) for value in after_name[11:13]) / _TICKS  # utime stime
