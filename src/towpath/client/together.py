"""Several threads that do the same until it is done: the workers of one transfer.

Rules: the first failure stops them all, each after what it is at; nothing of them is left when
`together` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from towpath.client.control import Stopped


def together(count: int, step: Callable[[int], bool]) -> None:
    """Call `step` with its worker's number in `count` threads, until it says False in each.

    Raises what the first failure was; a wish to stop goes before it.
    """
    failures: list[BaseException] = []

    def live(worker: int) -> None:
        try:
            while not failures and step(worker):
                pass
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    threads = [
        threading.Thread(target=live, args=(worker,), name=f"towpath-worker-{worker}", daemon=True)
        for worker in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise next((each for each in failures if isinstance(each, Stopped)), failures[0])
