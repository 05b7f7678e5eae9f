"""Memory does not follow the size of a file, and follows the number of uploads only a little.

Resident memory, from /proc. What grows is counted from a server that has already carried one small
upload, so that what is loaded once is not counted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from towpath.testing import procfs
from towpath.testing.crowd import Crowd
from towpath.testing.pattern import Pattern
from towpath.testing.program import Program
from towpath.testing.rawhttp import Line
from towpath.testing.rawtus import RawTus
from towpath.testing.server import Server, towpath_serve

KIB, MIB, GIB = 1024, 1024 * 1024, 1024 * 1024 * 1024
SOON = 60.0  # seconds

LATE_GROWTH = 4 * MIB  # from 256 MiB on
WHOLE_GROWTH = 16 * MIB  # of one upload
HUNDRED_GROWTH = 64 * MIB
THOUSAND_GROWTH = 128 * MIB
CLIENT_GROWTH = 32 * MIB

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def server(tmp_path: Path, program: Sequence[str]) -> Iterator[Server]:
    """A server that has carried one small upload; its data is removed at the end."""
    data = tmp_path / "data"
    try:
        with Server(data, command=towpath_serve(program=program)) as server:
            tus = RawTus(server.url)
            tus.patch(tus.create(100 * KIB), 0, 100 * KIB)
            yield server
    finally:
        for path in data.rglob("*"):
            if path.is_file():
                path.unlink()


def writing(server: Server) -> int:
    """How many uploads the server is receiving now."""
    with RawTus(server.url).line() as line:
        answer = line.ask("GET", "/api/v1/server", {"Connection": "close"})
    count: int = json.loads(answer.body)["writing"]
    return count


def grown(server: Server, before: procfs.Memory) -> int:
    """The most that was resident since, over what it was before."""
    return server.memory().peak - before.now


def calm(server: Server) -> procfs.Memory:
    """What is resident now; the peak begins anew."""
    procfs.forget_peak(server.pid)
    return server.memory()


def test_memory_does_not_follow_the_size_of_an_upload(server: Server) -> None:
    tus, size, early = RawTus(server.url), 2 * GIB, 256 * MIB
    before = calm(server)
    path = tus.create(size)
    with tus.open_patch(path, 0, size) as patch:
        patch.send(early)
        at_256_mib = server.memory()
        patch.send(size - early)
        assert patch.answer().status == 204
    assert server.memory().now - at_256_mib.now <= LATE_GROWTH
    assert grown(server, before) <= WHOLE_GROWTH


def test_memory_does_not_follow_the_size_of_a_download(server: Server) -> None:
    tus, size = RawTus(server.url), 1 * GIB
    path = tus.create(size)
    assert tus.patch(path, 0, size).status == 204
    before = calm(server)
    assert tus.sha256(path) == (size, tus.pattern.sha256(size))
    assert grown(server, before) <= WHOLE_GROWTH


def send_single(server: Server, length: int, *, form: bool) -> None:
    """One request with the whole file, as it is or as a form."""
    before, behind, kind = b"", b"", "application/pdf"
    if form:
        kind = "multipart/form-data; boundary=edge"
        place = 'Content-Disposition: form-data; name="file"; filename="large.bin"'
        before = f"--edge\r\n{place}\r\n\r\n".encode()
        behind = b"\r\n--edge--\r\n"
    pattern = Pattern("single")
    with Line("127.0.0.1", server.port, timeout=120) as line:
        size = len(before) + length + len(behind)
        fields: dict[str, str | int] = {"Content-Type": kind, "Content-Length": size}
        line.send_head("POST", "/v1/uploads", fields)
        line.socket.sendall(before)
        for view in pattern.views(0, length):
            line.socket.sendall(view)
        line.socket.sendall(behind)
        answer = line.answer()
    assert answer.status == 201, answer
    told = json.loads(answer.body)
    assert (told["size"], told["sha256"]) == (length, pattern.sha256(length))


@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
def test_memory_does_not_follow_the_size_of_a_single_request(server: Server, form: bool) -> None:
    send_single(server, 1 * MIB, form=form)
    before = calm(server)
    send_single(server, 2 * GIB, form=form)
    assert grown(server, before) <= WHOLE_GROWTH


def crowd_grows(server: Server, crowd: Crowd, seconds: float) -> int:
    """Have the whole crowd under way for so long; what memory grew."""
    before = calm(server)

    async def main() -> None:
        async with crowd.under_way() as may_end:
            deadline = time.monotonic() + SOON
            while await asyncio.to_thread(writing, server) < crowd.count:
                assert time.monotonic() < deadline, "they are never all under way"
                await asyncio.sleep(0.2)
            await asyncio.sleep(seconds)
            assert await asyncio.to_thread(writing, server) == crowd.count
            may_end.set()

    asyncio.run(main())
    return grown(server, before)


def test_a_hundred_uploads_at_once_stay_within_their_memory(server: Server) -> None:
    crowd = Crowd(server.url, count=100, length=8 * MIB)
    assert crowd_grows(server, crowd, seconds=2) <= HUNDRED_GROWTH


def test_a_thousand_slow_uploads_at_once_stay_within_their_memory(server: Server) -> None:
    crowd = Crowd(server.url, count=1000, length=256 * KIB, rate=4 * KIB)
    assert crowd_grows(server, crowd, seconds=10) <= THOUSAND_GROWTH


def test_a_client_s_memory_does_not_follow_the_size_of_the_file(
    tmp_path: Path, program: Sequence[str], server: Server
) -> None:
    def peak(name: str, length: int) -> int:
        file = Pattern(name).write(tmp_path / name, length)
        where = {"TOWPATH_URL": server.url, "XDG_STATE_HOME": str(tmp_path / "state")}
        words = [*program, "put", str(file), name]
        with Program(words, log=tmp_path / f"{name}.log", environment=where) as client:
            peak = client.watch(240)
        file.unlink()
        return peak

    small = peak("small", 64 * KIB)
    assert peak("large", 1 * GIB) - small <= CLIENT_GROWTH
