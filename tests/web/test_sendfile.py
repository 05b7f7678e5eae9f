"""Ranges of files go out exactly, and a reader that is slow or gone costs nothing."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from tests.web.serving import BULK, PATIENCE, Serving, wait_for

FILE = random.Random(2).randbytes(5_000_003)
LARGE = 64 * 1024 * 1024


@pytest.fixture
def files(serve: Any) -> Serving:
    serving: Serving = serve(stall_seconds=1)
    (serving.folder / "file").write_bytes(FILE)
    return serving


def large(serving: Serving) -> None:
    """Make the file too large for what the kernel buffers."""
    with (serving.folder / "file").open("wb") as file:
        file.truncate(LARGE)


@pytest.mark.parametrize(
    ("offset", "count"), [(0, 0), (0, 1), (0, len(FILE)), (1, 4_999_999), (len(FILE) - 1, 1)]
)
def test_ranges_and_keep_alive(files: Serving, offset: int, count: int) -> None:
    with files.connect() as client:
        for _ in range(3):
            client.head(f"/file?offset={offset}&count={count}")
            assert client.answer().body == FILE[offset : offset + count]
            client.head("/next")
            assert client.answer().json() == {"path": "/next"}


def test_head_sends_no_byte_of_the_file(files: Serving) -> None:
    with files.connect() as client:
        client.head("/file?offset=5&count=1000", method="HEAD")
        answer = client.answer(body=False)
        assert (answer.status, answer.headers["content-length"]) == (200, "1000")
        client.head("/next")
        assert client.answer().json() == {"path": "/next"}


def test_pipelined_requests_for_ranges(files: Serving) -> None:
    with files.connect() as client:
        for number in range(20):
            client.head(f"/file?offset={number}&count={number * 30_000}")
        for number in range(20):
            assert client.answer().body == FILE[number : number + number * 30_000]


def test_a_slow_reader_gets_it_all_and_holds_no_thread(files: Serving) -> None:
    large(files)
    clients = [files.connect() for _ in range(6)]  # the pool has two threads
    for client in clients:
        client.head(f"/file?offset=0&count={LARGE}")
        assert client.file.readline().startswith(b"HTTP/1.1 200")
    with files.connect() as quick:
        quick.head(f"/file?offset=0&count={LARGE}")
        assert len(quick.answer().body) == LARGE
    for client in clients:
        client.__exit__()
    for _ in range(7):
        assert files.sent.get(timeout=PATIENCE) == "over"


def test_a_reader_that_takes_nothing_is_cut_off(files: Serving) -> None:
    large(files)
    with files.connect() as client:
        client.head(f"/file?offset=0&count={LARGE}")
        assert files.sent.get(timeout=PATIENCE) == "over"
        try:
            got = len(client.file.read())
        except ConnectionResetError:
            got = 0
        assert got < LARGE


def test_an_ordinary_response_that_nobody_takes_is_cut_off(files: Serving) -> None:
    with files.connect() as client, files.connect() as slow:
        client.head("/bulk")
        slow.head("/bulk")
        assert slow.answer(body=False).status == 200
        for _ in range(25):  # slow, but it goes on taking
            assert len(slow.file.read(512 * 1024)) == 512 * 1024
            time.sleep(0.1)
        assert files.sent.get(timeout=PATIENCE) == "over"
        wait_for(lambda: len(files.server.server_state.connections) == 1, "the end of one")
        left = BULK - 25 * 512 * 1024
        assert len(slow.file.read(left)) == left
        slow.head("/next")
        assert slow.answer().json() == {"path": "/next"}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reader_that_leaves_ends_the_application(files: Serving, how: str) -> None:
    large(files)
    client = files.connect()
    client.head(f"/file?offset=0&count={LARGE}")
    client.file.readline()
    if how == "reset":
        client.reset()
    else:
        client.__exit__()
    assert files.sent.get(timeout=PATIENCE) == "over"
    wait_for(lambda: not files.server.server_state.tasks, "the task's end")


def test_a_file_that_is_shorter_than_promised_breaks_the_connection(files: Serving) -> None:
    with files.connect() as client:
        client.head(f"/file?offset=0&count={len(FILE) + 1}")
        answer = client.answer()
        assert answer.body == FILE  # one byte less than announced: the client knows
        assert client.ended()


def test_a_file_that_cannot_be_read_is_an_error_of_ours(
    files: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with files.connect() as client:
        client.head("/file?offset=0&count=1000&unreadable=1")
        assert client.answer().body == b""
        wait_for(lambda: "Bad file descriptor" in caplog.text, "the error to be told")


def test_many_readers_at_once(files: Serving) -> None:
    wrong = []

    def read(number: int) -> None:
        with files.connect() as client:
            for _ in range(5):
                client.head(f"/file?offset={number}&count=1000000")
                if client.answer().body != FILE[number : number + 1_000_000]:
                    wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not wrong
