"""The sender and the receiver of every measurement: a process of its own, at the kernel's speed.

Rules: the same for all servers; it sends from one prepared block and receives into one buffer a
stream; the clock runs from the moment when all streams may connect until the last one has its
answer. Prints the seconds.

    python -m bench.sender up|down BASE LENGTH PATH... [--certificate FILE]
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from bench import certificate
from towpath.testing.rawtus import RawTus

BUFFER = 1024 * 1024


def up(tus: RawTus, path: str, length: int) -> None:
    """Send the whole upload in one PATCH."""
    answer = tus.patch(path, 0, length)
    if answer.status != 204:
        raise AssertionError(f"not taken: {answer}")


def down(tus: RawTus, path: str, length: int) -> None:
    """Receive the whole object and throw it away."""
    with tus.line() as line:
        line.send_head("GET", path, {})
        head = line.head()
        if head.status != 200 or head.number("content-length") != length:
            raise AssertionError(f"not given: {head}")
        length -= line.drop_read_ahead()
        buffer = bytearray(BUFFER)
        while length:
            got = line.socket.recv_into(buffer)
            if not got:
                raise AssertionError(f"{length} bytes are missing")
            length -= got


def main() -> None:
    """Let all streams go at once and print how long it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.sender", description=__doc__)
    parser.add_argument("way", choices=("up", "down"))
    parser.add_argument("base")
    parser.add_argument("length", type=int)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--certificate", type=Path)
    words = parser.parse_args()
    tls = certificate.trusting(words.certificate) if words.certificate else None
    tus = RawTus(words.base, tls=tls, timeout=120)
    gate = threading.Barrier(len(words.paths) + 1)
    errors: list[BaseException] = []

    def stream(path: str) -> None:
        gate.wait()
        try:
            (up if words.way == "up" else down)(tus, path, words.length)
        except BaseException as error:  # noqa: BLE001 - raised below, in the main thread
            errors.append(error)

    threads = [threading.Thread(target=stream, args=(path,)) for path in words.paths]
    for thread in threads:
        thread.start()
    gate.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if errors:
        raise errors[0]
    print(seconds)


if __name__ == "__main__":
    main()
