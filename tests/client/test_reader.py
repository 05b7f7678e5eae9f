"""Objects that are open for reading: any part of them, of one object only, in few requests."""

import asyncio
import csv
import io
import tarfile
import threading
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import towpath
from tests.client.conftest import sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import reading
from towpath.client.transfer import in_thread

DATA = sample(5_000_001)
NAME = "docs/big.bin"


@pytest.fixture
def there(server: FakeServer) -> FakeServer:
    server.add(NAME, DATA)
    return server


@pytest.fixture
def client(server: FakeServer, state: Path) -> Iterator[towpath.Client]:
    with towpath.Client(server.url, state_dir=state) as client:
        yield client


def asked(server: FakeServer) -> list[str | None]:
    """The Range of each request for bytes."""
    return [
        fields.get("range")
        for method, target, fields in server.requests
        if method == "GET" and target.startswith("/files/")
    ]


def spans(server: FakeServer) -> list[int]:
    """How many bytes each request asked for."""
    sizes = []
    for field in asked(server):
        first, _, last = (field or f"bytes=0-{len(DATA) - 1}")[6:].partition("-")
        sizes.append(int(last) - int(first) + 1)
    return sizes


def test_an_object_is_read_as_a_file(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        assert isinstance(file, io.BufferedReader)
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert (file.name, file.mode) == (NAME, "rb")
        assert file.read(100) == DATA[:100]
        assert file.tell() == 100
        assert file.seek(-10, io.SEEK_END) == 4_999_991
        assert file.read() == DATA[-10:]
        assert file.read() == b""
        assert file.seek(7) == 7
        assert file.seek(3, io.SEEK_CUR) == 10
        assert file.read() == DATA[10:]
        assert file.seek(6_000_000) == 6_000_000
        assert file.read(5) == b""
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def steps(commit_seed: int) -> Iterator[tuple[str, int]]:
    """What a reader may do, drawn anew with every commit."""
    random = Random(commit_seed)
    for _ in range(150):
        if random.random() < 0.4:
            yield "seek", random.randrange(len(DATA) + 10)
        else:
            yield "read", random.choice([0, 1, 1000, 70_000, 300_000])


def test_whatever_is_read_is_what_a_local_file_would_give(
    client: towpath.Client, there: FakeServer, commit_seed: int
) -> None:
    local = io.BytesIO(DATA)
    with client.open(NAME) as file:
        for verb, number in steps(commit_seed):
            assert getattr(file, verb)(number) == getattr(local, verb)(number)
            assert file.tell() == local.tell()


def test_the_asynchronous_reader_does_the_same(
    there: FakeServer, state: Path, commit_seed: int
) -> None:
    async def main() -> None:
        local = io.BytesIO(DATA)
        async with (
            towpath.AsyncClient(there.url, state_dir=state) as client,
            client.open(NAME) as file,
        ):
            assert await file.length() == len(DATA)
            for verb, number in steps(commit_seed):
                do: Callable[[int], Awaitable[Any]] = getattr(file, verb)
                assert await do(number) == getattr(local, verb)(number)
                assert await file.tell() == local.tell()
            await file.seek(0)
            assert await file.read() == DATA
        with pytest.raises(ValueError, match="closed"):
            await file.read(1)

    asyncio.run(main())


def test_what_is_read_in_order_is_asked_for_in_growing_ranges(
    client: towpath.Client, there: FakeServer
) -> None:
    with client.open(NAME) as file:
        while file.read(10_000):
            pass
    assert spans(there) == sorted(spans(there)[:-1]) + spans(there)[-1:]
    assert (sum(spans(there)), len(spans(there)) <= 6) == (len(DATA), True)


def test_a_jump_asks_for_little(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        for place in (4_000_000, 1_000_000, 3_000_000):
            file.seek(place)
            assert file.read(10) == DATA[place : place + 10]
    assert spans(there) == [reading.FIRST] * 3


def test_a_short_way_ahead_is_read_past(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        raw = file.raw
        assert raw.read(100) == DATA[:100]
        raw.seek(20_000, io.SEEK_SET)
        assert raw.read(10) == DATA[20_000:20_010]
    assert len(asked(there)) == 1


def test_a_large_read_is_one_request(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        file.seek(1_000_000)
        assert file.read(3_000_000) == DATA[1_000_000:4_000_000]
    assert len(asked(there)) <= 2


@pytest.mark.parametrize("at", [0, 1, 100_000])
def test_a_cut_is_survived(client: towpath.Client, there: FakeServer, at: int) -> None:
    there.fail_download("cut", at=at)
    there.fail_download("reset", at=at)
    with client.open(NAME) as file:
        assert file.read() == DATA


def test_a_replaced_object_is_an_error_and_never_a_mix(
    client: towpath.Client, there: FakeServer
) -> None:
    with client.open(NAME) as file:
        assert file.read(10) == DATA[:10]
        there.named(NAME).crc ^= 1  # another ETag
        file.seek(4_000_000)
        with pytest.raises(errors.NameConflict, match="another object now"):
            file.read(10)


def test_a_server_that_ignores_conditions_is_seen_through(
    client: towpath.Client, there: FakeServer
) -> None:
    with client.open(NAME) as file:
        file.read(10)
        fields = {"ETag": '"other"', "Content-Range": "bytes 4000000-4131071/5000001"}
        there.fail_download("status", status=206, fields=fields, body=bytes(131_072))
        file.seek(4_000_000)
        with pytest.raises(errors.NameConflict):
            file.read(10)


def test_a_server_that_sends_no_parts_is_refused(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        file.read(10)
        there.fail_download("status", status=200, body=DATA)
        file.seek(4_000_000)
        with pytest.raises(errors.BadAnswer, match="another range"):
            file.read(10)


def test_a_removed_object_is_gone(client: towpath.Client, there: FakeServer) -> None:
    with client.open(NAME) as file:
        file.read(10)
        there.uploads.clear()
        file.seek(4_000_000)
        with pytest.raises(errors.NotFound, match="no longer there"):
            file.read(10)


def test_wrong_bytes_are_told_at_the_end_of_who_reads_all_in_order(
    client: towpath.Client, there: FakeServer
) -> None:
    there.named(NAME).data[2_000_000] ^= 1
    with client.open(NAME) as file, pytest.raises(errors.DigestMismatch):
        file.read()


def test_what_does_not_exist_cannot_be_opened(client: towpath.Client, state: Path) -> None:
    with pytest.raises(errors.NotFound):
        client.open("nothing")


def test_an_address_can_be_opened(client: towpath.Client, there: FakeServer) -> None:
    with client.open(f"{there.url}files/u0") as file:
        assert file.read() == DATA


def test_another_mode_is_refused(client: towpath.Client) -> None:
    with pytest.raises(errors.Malformed, match="'r\\+'"):
        client.open("x", "r+")  # type: ignore[call-overload]


def test_closing_ends_a_read_in_another_thread(client: towpath.Client, there: FakeServer) -> None:
    there.fail_download("hold", at=100_000)
    file = client.open(NAME)
    ended: list[BaseException] = []

    def read() -> None:
        try:
            file.read(4_000_000)
        except ValueError as error:
            ended.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    there.wait_for(100_000)
    file.raw.close()
    thread.join(10)
    assert (thread.is_alive(), len(ended)) == (False, 1)


def test_a_cancelled_read_has_moved_nothing(there: FakeServer, state: Path) -> None:
    there.fail_download("hold", at=100_000)

    async def main() -> None:
        async with (
            towpath.AsyncClient(there.url, state_dir=state) as client,
            client.open(NAME) as file,
        ):
            task = asyncio.create_task(file.read(200_000))
            await in_thread(lambda: there.wait_for(100_000))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            there.release.set()
            assert await file.tell() == 0
            assert await file.read(1000) == DATA[:1000]

    asyncio.run(main())


# -- by Python's own libraries


def test_one_member_of_an_archive_is_read_without_the_rest(
    client: towpath.Client, server: FakeServer
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("first.bin", DATA)
        archive.writestr("second.txt", "the one that is wanted")
        archive.writestr("third.bin", DATA)
    server.add("all.zip", packed.getvalue())
    with client.open("all.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["first.bin", "second.txt", "third.bin"]
        assert archive.read("second.txt") == b"the one that is wanted"
    assert sum(spans(server)) < 1_000_000


def test_a_tar_archive_is_unpacked_as_it_comes(client: towpath.Client, server: FakeServer) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("one.bin")
        info.size = len(DATA)
        archive.addfile(info, io.BytesIO(DATA))
    server.add("all.tar.gz", packed.getvalue())
    with client.open("all.tar.gz") as file, tarfile.open(fileobj=file, mode="r:gz") as unpacked:
        member = unpacked.extractfile("one.bin")
        assert member is not None
        assert member.read() == DATA


def test_a_table_is_read_row_by_row(client: towpath.Client, server: FakeServer) -> None:
    server.add("table.csv", 'a,b\n1,ü\n2,"x,y"\n'.encode())
    with client.open("table.csv") as file:
        rows = list(csv.reader(io.TextIOWrapper(file, encoding="utf-8")))
    assert rows == [["a", "b"], ["1", "ü"], ["2", "x,y"]]
