"""StreamingHashWrapper: what is read is hashed and counted, however it is read."""

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from towpath.io import BLOCK, StreamingHashWrapper

DATA = Random(7).randbytes(3 * BLOCK + 17)


class Dribble:
    """A stream that knows `read` only, and gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._inner = io.BytesIO(data)
        self._most = most

    def read(self, size: int) -> bytes:
        return self._inner.read(min(size, self._most))


class Raw(io.RawIOBase):
    """A raw stream, as a socket's file is one: a read may give less than was asked for."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        return self._inner.readinto(view[:1000])


def by_read(stream: StreamingHashWrapper) -> bytes:
    return stream.read()


def by_sizes(stream: StreamingHashWrapper) -> bytes:
    found = bytearray()
    while part := stream.read(70_001):
        found += part
    return bytes(found)


def by_read1(stream: StreamingHashWrapper) -> bytes:
    found = bytearray()
    while part := stream.read1():
        found += part
    return bytes(found)


def by_readinto(stream: StreamingHashWrapper) -> bytes:
    found, block = bytearray(), memoryview(bytearray(65_537))
    while taken := stream.readinto(block):
        found += block[:taken]
    return bytes(found)


def by_readinto1(stream: StreamingHashWrapper) -> bytes:
    found, block = bytearray(), bytearray(65_537)
    while taken := stream.readinto1(block):
        found += block[:taken]
    return bytes(found)


WAYS = [by_read, by_sizes, by_read1, by_readinto, by_readinto1]
MAKERS = [io.BytesIO, Dribble, Raw]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_read_gives_all_bytes_and_hashes_each_once(
    way: Callable[[StreamingHashWrapper], bytes], make: Callable[[bytes], Dribble]
) -> None:
    stream = StreamingHashWrapper(make(DATA))
    assert way(stream) == DATA
    assert stream.count == stream.tell() == len(DATA)
    assert stream.hexdigest() == hashlib.sha256(DATA).hexdigest()
    assert stream.digest() == hashlib.sha256(DATA).digest()


@pytest.mark.parametrize("make", MAKERS)
def test_only_what_was_read_is_counted(make: Callable[[bytes], Dribble]) -> None:
    stream = StreamingHashWrapper(make(DATA))
    assert (stream.count, stream.hexdigest()) == (0, hashlib.sha256().hexdigest())
    assert stream.read(5000) == DATA[:5000]
    assert stream.read(0) == stream.read1(0) == b""
    assert stream.readinto(bytearray()) == stream.readinto1(bytearray()) == 0
    assert (stream.count, stream.digest()) == (5000, hashlib.sha256(DATA[:5000]).digest())


def test_it_is_a_buffered_stream_for_those_who_ask() -> None:
    stream = StreamingHashWrapper(io.BytesIO(b"one\ntwo\n"))
    assert isinstance(stream, io.BufferedIOBase)
    assert (stream.readable(), stream.writable(), stream.seekable()) == (True, False, False)
    assert list(io.TextIOWrapper(stream, encoding="ascii")) == ["one\n", "two\n"]
    with pytest.raises(io.UnsupportedOperation):
        StreamingHashWrapper(io.BytesIO()).seek(0)


def test_lines_are_hashed_too(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"a\nbb\nccc")
    with StreamingHashWrapper((tmp_path / "lines").open("rb")) as stream:
        assert list(stream) == [b"a\n", b"bb\n", b"ccc"]
        assert (stream.count, stream.digest()) == (8, hashlib.sha256(b"a\nbb\nccc").digest())


def test_closing_it_closes_what_it_wraps() -> None:
    inner = io.BytesIO(DATA)
    with StreamingHashWrapper(inner) as stream:
        stream.read(1)
    assert (stream.closed, inner.closed, stream.count) == (True, True, 1)
    stream.close()  # again is no error
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_what_is_detached_stays_open() -> None:
    inner = io.BytesIO(b"abc")
    stream = StreamingHashWrapper(inner)
    stream.read(1)
    assert stream.detach() is inner
    stream.close()
    assert (inner.closed, inner.read(), stream.count) == (False, b"bc", 1)


def test_a_detached_wrapper_says_so() -> None:
    stream = StreamingHashWrapper(io.BytesIO(b"abc"))
    stream.detach()
    with pytest.raises(io.UnsupportedOperation, match="detached"):
        stream.read(1)


def test_a_stream_without_close_can_be_wrapped() -> None:
    with StreamingHashWrapper(Dribble(b"abc")) as stream:
        assert stream.read() == b"abc"


@pytest.mark.skipif(os.name == "nt", reason="pipes that do not block are made otherwise there")
def test_a_stream_that_has_nothing_yet_is_told_from_its_end() -> None:
    taking, giving = os.pipe()
    os.set_blocking(taking, False)
    with os.fdopen(giving, "wb", buffering=0) as writer:
        stream = StreamingHashWrapper(os.fdopen(taking, "rb", buffering=0))
        for read in (
            lambda: stream.read(5),
            lambda: stream.readinto(bytearray(5)),
            lambda: stream.readinto1(bytearray(5)),
        ):
            with pytest.raises(BlockingIOError):
                read()
        writer.write(b"abc")
        assert stream.read(5) == b"abc"  # what there is, before the wait
        writer.write(b"de")
        assert stream.readinto(bytearray(5)) == 2
    assert (stream.read(5), stream.count) == (b"", 5)
    stream.close()


def test_several_threads_read_each_byte_once_and_the_digest_follows() -> None:
    size, blocks = 4096, 600
    numbers = b"".join(number.to_bytes(4, "big") * (size // 4) for number in range(blocks))
    stream = StreamingHashWrapper(io.BytesIO(numbers))
    found: list[bytes] = []

    def read() -> None:
        while part := stream.read(size):
            found.append(part)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(sorted(found)) == numbers
    assert stream.digest() == hashlib.sha256(numbers).digest()


def test_it_can_be_imported_alone() -> None:
    program = "import sys, towpath.io; print(' '.join(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert {name for name in loaded if name.startswith("towpath")} == {"towpath", "towpath.io"}
    assert not {"awscrt", "h11", "asyncio", "socket", "ssl"} & loaded
