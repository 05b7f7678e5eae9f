"""The file of a form as a source: any cut, any size of block; no byte more is held than is said."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.forming import BOUNDARY, FORM, form
from towpath.core.ports import Ending
from towpath.errors import Cut, Malformed, TakenOver, TooLarge
from towpath.testing.source import DRY, STALL, FakeSource, Piece
from towpath.web.form_source import READ_AHEAD, FormSource, open_form

T = TypeVar("T")

CONTENT = random.Random(9).randbytes(60_000) + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r"
BODY = form([("a", "1"), ("file", CONTENT, "x.bin"), ("is_final", "true"), ("checksum", "c")])


def run(doing: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(doing)


async def opened(source: Any) -> tuple[dict[str, str], FormSource]:
    with ThreadPoolExecutor(1) as threads:
        return await open_form(source, FORM, threads)


async def drained(source: FormSource, sizes: list[int]) -> bytes:
    """Read as the engine does, into views of these sizes, again and again."""
    content, turn = b"", 0
    while source.ending is None:
        await source.ready()
        while True:
            view = memoryview(bytearray(sizes[turn % len(sizes)]))
            turn += 1
            count = source.read_into(view)
            if not count:
                break
            content += bytes(view[:count])
    return content


def cut(body: bytes, places: list[int]) -> list[Piece]:
    ends = sorted({0, len(body), *(place % len(body) for place in places)})
    pieces: list[Piece] = []
    for start, end in zip(ends, ends[1:], strict=False):  # noqa: RUF007  # it reads like this
        pieces += [body[start:end], DRY]
    return pieces


@settings(max_examples=60)
@given(
    places=st.lists(st.integers(min_value=0), max_size=30),
    sizes=st.lists(st.sampled_from([1, 2, 100, READ_AHEAD, 65_536, 1 << 20]), min_size=1),
)
def test_the_file_comes_out_whatever_the_cuts_and_the_blocks(
    places: list[int], sizes: list[int]
) -> None:
    if set(sizes) <= {1, 2}:
        sizes = [*sizes, 100]

    async def receive() -> tuple[dict[str, str], FormSource, bytes]:
        fields, source = await opened(FakeSource(cut(BODY, places)))
        assert source.trailers == {}
        return fields, source, await drained(source, sizes)

    fields, source, content = run(receive())
    assert content == CONTENT
    assert (fields, source.ending) == ({"a": "1"}, Ending.WHOLE)
    assert source.trailers == {"is_final": "true", "checksum": "c"}
    assert (source.name, source.filename) == ("file", "x.bin")


@pytest.mark.parametrize(
    ("ending", "error"), [(Ending.CUT, Cut), (Ending.STOPPED, TakenOver), (Ending.SLOW, Exception)]
)
def test_a_body_that_ends_before_the_file_is_an_interruption(
    ending: Ending, error: type[Exception]
) -> None:
    with pytest.raises(error):
        run(opened(FakeSource([BODY[:50]], end=ending)))


def test_a_body_that_ends_within_the_file_ends_the_source_like_itself() -> None:
    async def receive() -> tuple[FormSource, bytes]:
        _, source = await opened(FakeSource([BODY[:30_000]], end=Ending.CUT))
        return source, await drained(source, [65_536])

    source, content = run(receive())
    assert source.ending is Ending.CUT
    assert CONTENT.startswith(content)


def test_a_form_without_its_last_boundary_is_malformed_not_whole() -> None:
    async def receive() -> None:
        _, source = await opened(FakeSource([BODY[:-8]]))
        with pytest.raises(Malformed):
            await drained(source, [65_536])
        assert source.ending is Ending.CUT
        assert source.read_into(memoryview(bytearray(10))) == 0

    run(receive())


@pytest.mark.parametrize(
    ("length", "error"),
    [(len(CONTENT) - 1, TooLarge), (len(CONTENT) + 1, Malformed), (0, TooLarge)],
)
def test_a_file_of_another_length_than_expected_is_refused(
    length: int, error: type[Exception]
) -> None:
    async def receive() -> None:
        _, source = await opened(FakeSource([BODY]))
        source.expect(length)
        await drained(source, [65_536])

    with pytest.raises(error):
        run(receive())


def test_what_is_expected_is_the_length_and_nothing_beyond_it_is_given() -> None:
    async def receive() -> None:
        _, source = await opened(FakeSource([BODY]))
        source.expect(len(CONTENT))
        assert source.length == len(CONTENT)
        assert await drained(source, [65_536]) == CONTENT

    run(receive())


def test_a_source_that_is_stopped_ends() -> None:
    async def receive() -> None:
        _, source = await opened(FakeSource([BODY[:20_000], STALL]))
        assert source.read_into(memoryview(bytearray(65_536)))
        waiting = asyncio.ensure_future(source.ready())
        await asyncio.sleep(0)
        source.stop()
        await waiting
        assert source.ending is Ending.STOPPED

    run(receive())


def test_no_more_is_held_than_what_is_read_ahead() -> None:
    head, tail = form([("file", b"")]).split(b"\r\n\r\n")
    pieces: list[Piece] = [head + b"\r\n\r\n", *[bytes(65_536)] * 128, b"\r\n" + tail.lstrip()]

    async def receive() -> int:
        _, source = await opened(FakeSource(pieces))
        view = memoryview(bytearray(1 << 20))
        tracemalloc.start()
        while source.read_into(view):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert source.ending is Ending.WHOLE
        return peak

    assert run(receive()) < 1024 * 1024  # of 8 MiB; other threads hold something, too
