"""Group commit: who waits is served together, and each gets its own error."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from towpath.engine.group_commit import GroupCommit


class Disk:
    """Notes what is done together; it can be held, and refuses some."""

    def __init__(self, *, refuses: str = "") -> None:
        self.groups: list[list[str]] = []
        self.refuses = refuses
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()

    def act(self, group: Sequence[str]) -> None:
        self.entered.release()
        assert self.gate.wait(10)
        self.groups.append(list(group))
        if self.refuses and self.refuses in group:
            raise ValueError(self.refuses)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def crowd(disk: Disk, threads: ThreadPoolExecutor, names: str) -> list[Future[None]]:
    """All of `names` ask; the first has begun, and the others wait, when the disk goes on."""
    together: GroupCommit[str] = GroupCommit()
    asked = [threads.submit(together.do, names[0], disk.act)]
    assert disk.entered.acquire(timeout=10)
    asked += [threads.submit(together.do, name, disk.act) for name in names[1:]]
    while together.waiting < len(names) - 1:
        pass
    disk.gate.set()
    return asked


def test_who_comes_alone_is_served_at_once() -> None:
    disk = Disk()
    disk.gate.set()
    together: GroupCommit[str] = GroupCommit()
    for name in "ab":
        together.do(name, disk.act)
    assert disk.groups == [["a"], ["b"]]


def test_all_who_wait_are_served_by_one_act(threads: ThreadPoolExecutor) -> None:
    disk = Disk()
    for each in crowd(disk, threads, "abcd"):
        each.result(10)
    assert disk.groups[0] == ["a"]
    assert sorted(disk.groups[1]) == ["b", "c", "d"]
    assert len(disk.groups) == 2


def test_one_that_is_refused_does_not_hold_back_the_others(threads: ThreadPoolExecutor) -> None:
    disk = Disk(refuses="c")
    a, b, c, d = crowd(disk, threads, "abcd")
    for each in (a, b, d):
        each.result(10)
    with pytest.raises(ValueError, match="c"):
        c.result(10)
    assert sorted(disk.groups[2:]) == [["b"], ["c"], ["d"]]


def test_an_error_of_one_who_is_alone_is_raised_and_the_next_is_served() -> None:
    disk = Disk(refuses="a")
    disk.gate.set()
    together: GroupCommit[str] = GroupCommit()
    with pytest.raises(ValueError, match="a"):
        together.do("a", disk.act)
    together.do("b", disk.act)
    assert disk.groups == [["a"], ["b"]]
