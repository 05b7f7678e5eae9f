"""The sender of bench.parallel: one upload by ranges, from a process of its own.

Rules: connections take the next chunk of one queue, in order, as soon as they have their answer;
the last byte of the file is held back until all others are durable, so that what completion adds
stands alone. Prints the seconds of all, and those of the last byte.

    python -m bench.ranges_sender BASE PATH LENGTH CONNECTIONS CHUNK
"""

from __future__ import annotations

import argparse
import itertools
import json
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from towpath.testing.pattern import Pattern
from towpath.testing.rawhttp import Answer, Line

PATTERN = Pattern()


def put(line: Line, path: str, start: int, end: int, length: int) -> Answer:
    """Send one range and read its answer."""
    span = f"bytes {start}-{end - 1}/{length}"
    line.send_head("PUT", path, {"Content-Range": span, "Content-Length": end - start})
    for view in PATTERN.views(start, end):
        line.socket.sendall(view)
    answer = line.answer()
    if answer.status != 200:
        raise AssertionError(f"not taken: {answer}")
    return answer


def connect(base: str) -> Line:
    """A connection that waits as long as a slow disk needs."""
    parts = urlsplit(base)
    return Line(parts.hostname or "", parts.port or 80, timeout=120)


def carry(base: str, path: str, length: int, connections: int, chunk: int) -> tuple[float, float]:
    """Send it all; the seconds of all, and of the last byte."""
    cuts = [*range(0, length - 1, chunk), length - 1]
    left: Iterator[tuple[int, int]] = iter(list(itertools.pairwise(cuts)))
    taking = threading.Lock()
    gate = threading.Barrier(connections + 1)
    errors: list[BaseException] = []

    def stream() -> None:
        try:
            with connect(base) as line:
                gate.wait()
                while True:
                    with taking:
                        span = next(left, None)
                    if span is None:
                        return
                    put(line, path, *span, length)
        except BaseException as error:  # noqa: BLE001  # raised below, in the main thread
            errors.append(error)

    threads = [threading.Thread(target=stream) for _ in range(connections)]
    with connect(base) as last:
        for thread in threads:
            thread.start()
        gate.wait()
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        filled = time.perf_counter()
        answer = put(last, path, length - 1, length, length)
        ended = time.perf_counter()
    if json.loads(answer.body)["state"] != "complete":
        raise AssertionError(f"not complete: {answer}")
    return ended - began, ended - filled


def main() -> None:
    """Read the command line, send, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ranges_sender", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("path")
    for name in ("length", "connections", "chunk"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    seconds = carry(given.base, given.path, given.length, given.connections, given.chunk)
    print(*seconds)


if __name__ == "__main__":
    main()
