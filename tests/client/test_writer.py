"""Objects that are open for writing: whole and verified once closed, nothing at all otherwise."""

import asyncio
import csv
import gc
import io
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.conftest import sample
from tests.client.fake import FakeServer
from towpath import errors

DATA = sample(5_000_001)


@pytest.fixture
def client(server: FakeServer, state: Path) -> Iterator[towpath.Client]:
    with towpath.Client(server.url, state_dir=state, parallel=1) as client:
        yield client


def pieces(sizes: tuple[int, ...] = (1, 70_000, 3_000_000)) -> Iterator[bytes]:
    start = 0
    while start < len(DATA):
        for size in sizes:
            yield DATA[start : start + size]
            start += size


def spoil(file: towpath.client.ObjectWriter) -> None:
    file.write(DATA)
    raise KeyError("mine")


def until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_is_written_is_an_object_once_it_is_closed(
    client: towpath.Client, server: FakeServer
) -> None:
    with client.open("a/b", "wb", metadata={"case": "7"}, on_conflict="fail") as file:
        assert isinstance(file, io.BufferedIOBase)
        assert (file.readable(), file.writable(), file.seekable()) == (False, True, False)
        for piece in pieces():
            assert file.write(piece) == len(piece)
        assert file.tell() == len(DATA)
        assert all(not upload.complete for upload in server.uploads.values())
    made = server.named("a/b")
    assert bytes(made.data) == DATA
    assert (made.metadata["case"], made.metadata["on-conflict"]) == ("7", "fail")
    assert file.result is not None
    assert (file.result.name, file.result.length, file.result.verified) == ("a/b", 5_000_001, True)
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")
    file.close()  # again is no error


def test_the_asynchronous_writer_does_the_same(server: FakeServer, state: Path) -> None:
    async def main() -> Any:
        async with towpath.AsyncClient(server.url, state_dir=state) as client:
            async with client.open("a/b", "wb") as file:
                for piece in pieces():
                    assert await file.write(piece) == len(piece)
                assert await file.tell() == len(DATA)
            with pytest.raises(ValueError, match="closed"):
                await file.write(b"more")
            return file.result

    result = asyncio.run(main())
    assert (result.verified, bytes(server.named("a/b").data) == DATA) == (True, True)


def test_many_small_writes_are_handed_over_together(
    client: towpath.Client, server: FakeServer
) -> None:
    with client.open("x", "wb") as file:
        for number in range(50_000):
            file.write(b"%d\n" % number)
    assert bytes(server.named("x").data) == b"".join(b"%d\n" % number for number in range(50_000))


def test_nothing_written_is_an_empty_object(client: towpath.Client, server: FakeServer) -> None:
    client.open("empty", "wb").close()
    assert server.named("empty").size == 0


def test_an_error_inside_leaves_nothing(client: towpath.Client, server: FakeServer) -> None:
    file = client.open("x", "wb")
    with pytest.raises(KeyError), file:
        spoil(file)
    assert (server.uploads, file.closed) == ({}, True)


def test_an_error_inside_the_asynchronous_one_leaves_nothing(
    server: FakeServer, state: Path
) -> None:
    async def spoiled() -> None:
        async with (
            towpath.AsyncClient(server.url, state_dir=state) as client,
            client.open("x", "wb") as file,
        ):
            await file.write(DATA)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        asyncio.run(spoiled())
    assert server.uploads == {}


def test_a_file_that_is_forgotten_is_not_uploaded(
    client: towpath.Client, server: FakeServer
) -> None:
    def forget() -> None:
        client.open("x", "wb").write(DATA)
        gc.collect()

    with pytest.warns(ResourceWarning, match="was not closed"):
        forget()
    until(lambda: server.count("DELETE") == 1 and not server.uploads)


def test_a_failed_upload_is_raised_where_one_writes_or_closes(
    client: towpath.Client, server: FakeServer
) -> None:
    server.fail("POST", "status", status=403)
    file = client.open("x", "wb")
    with pytest.raises(errors.Forbidden):
        file.writelines([DATA] * 100)
    with pytest.raises(errors.Forbidden):
        file.close()
    assert file.closed


def test_wrong_bytes_are_told_when_it_is_closed(client: towpath.Client, server: FakeServer) -> None:
    server.fail("PATCH", "wrong-digest")
    file = client.open("x", "wb")
    file.write(DATA[:1000])
    server.fail("HEAD", "wrong-digest")
    with pytest.raises(errors.DigestMismatch):
        file.close()
    assert server.uploads == {}


def test_files_that_are_open_together_do_not_wait_for_one_another(
    client: towpath.Client, server: FakeServer
) -> None:
    files = [client.open(f"x{number}", "wb") for number in range(3)]  # `parallel` is one
    for piece in pieces():
        for file in files:
            file.write(piece)
    for file in files:
        file.close()
    assert [bytes(server.named(f"x{number}").data) for number in range(3)] == [DATA] * 3


def test_a_client_that_ends_completes_no_open_file(server: FakeServer, state: Path) -> None:
    with towpath.Client(server.url, state_dir=state) as client:
        file = client.open("x", "wb")
        file.write(DATA)
    assert server.uploads == {}
    with pytest.raises(errors.TowpathError):
        file.write(DATA)
    file.cancel()


# -- several who write


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_writes_of_several_threads_are_all_there_and_each_is_whole(
    client: towpath.Client, server: FakeServer, size: int
) -> None:
    def write(number: int) -> None:
        for _ in range(5):
            assert file.write(bytes([number]) * size) == size

    with client.open("x", "wb") as file, ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    data = bytes(server.named("x").data)
    written = Counter(data[at : at + size] for at in range(0, len(data), size))
    assert written == {bytes([number]) * size: 5 for number in range(8)}
    assert file.tell() == len(data) == 40 * size


def test_writes_of_several_tasks_are_all_there_in_the_order_of_the_calls(
    server: FakeServer, state: Path
) -> None:
    async def main() -> tuple[int, int]:
        async with (
            towpath.AsyncClient(server.url, state_dir=state) as client,
            client.open("x", "wb") as file,
        ):
            counts = await asyncio.gather(*(file.write(bytes([n]) * 1000) for n in range(50)))
        return sum(counts), await file.tell()

    assert asyncio.run(main()) == (50_000, 50_000)
    assert bytes(server.named("x").data) == b"".join(bytes([n]) * 1000 for n in range(50))


def test_a_write_that_is_cancelled_in_its_turn_stays_whole(server: FakeServer, state: Path) -> None:
    async def main() -> None:
        async with (
            towpath.AsyncClient(server.url, state_dir=state) as client,
            client.open("x", "wb") as file,
        ):
            writing = asyncio.ensure_future(file.write(DATA * 4))
            await asyncio.to_thread(until, lambda: server.count("PATCH") == 1)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            server.release.set()
            await file.write(b"after")

    server.fail("PATCH", "hold", at=0)
    asyncio.run(main())
    assert bytes(server.named("x").data) == DATA * 4 + b"after"


def test_a_file_is_given_up_while_another_thread_writes_to_it(
    client: towpath.Client, server: FakeServer
) -> None:
    server.fail("PATCH", "hold", at=0)
    file = client.open("x", "wb")
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(file.write, DATA * 4)
        until(lambda: server.count("PATCH") == 1)
        file.cancel()
        server.release.set()
        with pytest.raises(errors.Interrupted):
            writing.result(10)
    assert (file.closed, server.uploads) == (True, {})


def test_closing_again_waits_for_what_an_earlier_call_no_longer_waited_for(
    server: FakeServer, state: Path
) -> None:
    async def main() -> Any:
        async with towpath.AsyncClient(server.url, state_dir=state) as client:
            file = client.open("x", "wb")
            await file.write(DATA)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(file.aclose(), 0.01)
            server.release.set()
            await file.aclose()
            return file.result

    server.fail("PATCH", "hold", at=0)
    assert asyncio.run(main()).verified
    assert bytes(server.named("x").data) == DATA


def test_closing_again_raises_what_ended_the_upload(server: FakeServer, state: Path) -> None:
    async def main() -> None:
        async with towpath.AsyncClient(server.url, state_dir=state) as client:
            file = client.open("x", "wb")
            for _ in range(2):
                with pytest.raises(errors.Forbidden):
                    await file.aclose()
            await file.cancel()
            await file.aclose()  # given up: there is nothing to hear

    server.fail("POST", "status", status=403)
    asyncio.run(main())


# -- by Python's own libraries


def test_an_archive_is_written_as_it_is_packed(client: towpath.Client, server: FakeServer) -> None:
    with client.open("all.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", DATA)
        archive.writestr("two", b"2")
    with zipfile.ZipFile(io.BytesIO(bytes(server.named("all.zip").data))) as found:
        assert (found.read("one"), found.read("two")) == (DATA, b"2")


def test_a_tar_archive_is_written_as_a_stream(client: towpath.Client, server: FakeServer) -> None:
    with client.open("all.tar", "wb") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        info = tarfile.TarInfo("one")
        info.size = len(DATA)
        archive.addfile(info, io.BytesIO(DATA))
    with tarfile.open(fileobj=io.BytesIO(bytes(server.named("all.tar").data))) as found:
        member = found.extractfile("one")
        assert member is not None
        assert member.read() == DATA


def test_a_table_is_written_row_by_row(client: towpath.Client, server: FakeServer) -> None:
    with client.open("t.csv", "wb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text).writerows([["a", "ü"], ["1", "x,y"]])
        text.detach()
    assert bytes(server.named("t.csv").data) == 'a,ü\r\n1,"x,y"\r\n'.encode()
