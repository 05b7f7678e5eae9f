"""Workers: all that is to be done is done, and the first failure ends it."""

import threading

import pytest

from towpath.client.control import Stop, Stopped
from towpath.client.together import together


def test_everything_is_done_once() -> None:
    left, done, turn = list(range(100)), [], threading.Lock()

    def step(worker: int) -> bool:
        with turn:
            if not left:
                return False
            done.append(left.pop())
        return True

    together(4, step)
    assert sorted(done) == list(range(100))


def test_a_failure_ends_the_others_and_is_raised() -> None:
    begun, ended = threading.Barrier(3), []

    def step(worker: int) -> bool:
        begun.wait(10)  # a second step of any worker would wait in vain
        if worker == 0:
            raise ValueError("it ends here")
        while "towpath-worker-0" in {thread.name for thread in threading.enumerate()}:
            pass
        ended.append(worker)
        return True

    with pytest.raises(ValueError, match="it ends here"):
        together(3, step)
    assert sorted(ended) == [1, 2]


def test_a_wish_to_stop_goes_before_what_it_broke() -> None:
    both = threading.Barrier(2)

    def step(worker: int) -> bool:
        both.wait(10)
        raise Stopped(Stop.PAUSE) if worker else ConnectionError

    with pytest.raises(Stopped):
        together(2, step)
