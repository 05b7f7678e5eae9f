"""A transfer as its owner holds it: waiting, watching, pausing, cancelling."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import towpath
from tests.client.conftest import LARGE, received, sample
from tests.client.fake import FakeServer
from towpath import errors
from towpath.client import AsyncClient, BlockingTransfer, Client, Progress, Transfer, UploadResult
from towpath.client.resume import Notebook

pytestmark = pytest.mark.anyio


async def test_pausing_stops_the_bytes_and_resuming_sends_the_rest(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        await received(server, 2_000_000)
        await transfer.pause()
        assert transfer.progress.state == "paused"
        assert not transfer.done
        server.release.set()
        await transfer.resume()
        result = await transfer
    assert (server.received, result.verified) == (LARGE, True)
    assert result.resumed_from >= 2_000_000


async def test_a_transfer_in_the_queue_can_be_paused(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=0)
    async with AsyncClient(server.url, state_dir=state, parallel=1) as client:
        first = client.upload(large)
        second = client.upload(large, "second")
        await second.pause()
        assert second.progress.state == "paused"
        server.release.set()
        await first
        await second.resume()
        assert (await second).verified


async def test_cancelling_removes_what_is_half_done(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        await received(server, 2_000_000)
        await transfer.cancel()
        with pytest.raises(errors.Interrupted, match="cancelled"):
            await transfer
        assert await client.unfinished() == []
    assert (transfer.progress.state, server.uploads) == ("cancelled", {})


async def test_cancelling_without_cleanup_keeps_it(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        await received(server, 2_000_000)
        await transfer.cancel(cleanup=False)
        assert len(await client.unfinished()) == 1
    assert len(server.uploads) == 1


async def test_an_error_in_the_context_pauses_and_keeps_the_state(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the context is what is tested
        async with AsyncClient(server.url, state_dir=state) as client:
            transfer = client.upload(large)
            await received(server, 2_000_000)
            raise ZeroDivisionError
    assert transfer.progress.state == "paused"
    with pytest.raises(errors.Interrupted, match="Its client was closed"):
        await transfer
    async with AsyncClient(server.url, state_dir=state) as client:
        (note,) = await client.unfinished()
        assert (await client.resume(note)).resumed_from >= 2_000_000
    assert server.received == LARGE


async def test_leaving_the_context_waits_for_what_is_under_way(
    server: FakeServer, large: Path, state: Path
) -> None:
    async with AsyncClient(server.url, state_dir=state) as client:
        client.upload(large)
    assert server.named("large.bin").complete


async def test_an_error_that_nobody_waited_for_is_raised_at_the_end(
    server: FakeServer, state: Path, tmp_path: Path
) -> None:
    with pytest.raises(errors.NotFound):
        async with AsyncClient(server.url, state_dir=state) as client:
            client.upload(tmp_path / "nothing")


async def test_who_no_longer_waits_does_not_end_the_transfer(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        await received(server, 2_000_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transfer.wait(), 0)
        server.release.set()
        assert (await transfer).verified


async def test_a_slow_reader_sees_the_newest_progress_and_always_the_last(
    server: FakeServer, large: Path, state: Path
) -> None:
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        seen: list[Progress] = []
        async for progress in transfer:
            seen.append(progress)
            if len(seen) == 1:
                await transfer.wait()  # meanwhile the others pass by
        assert [progress.state for progress in seen] == ["queued", "complete"]
    assert seen[-1].percent == 100
    assert seen[-1].transferred_bytes == seen[-1].sent_bytes == LARGE


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callback_hears_the_last_value_and_its_errors_harm_nobody(
    server: FakeServer,
    large: Path,
    state: Path,
    asynchronous: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Progress] = []

    def call(progress: Progress) -> None:
        seen.append(progress)
        raise ZeroDivisionError

    async def call_later(progress: Progress) -> None:
        await asyncio.sleep(0)
        call(progress)

    async with AsyncClient(server.url, state_dir=state) as client:
        began = time.monotonic()
        result = await client.upload(large, progress=call_later if asynchronous else call)
        seconds = time.monotonic() - began
    assert result.verified
    assert seen[-1].state == "complete"
    assert len(seen) <= 2 + 10 * seconds
    assert "progress callback" in caplog.text


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_callback_cannot_leave_by_what_is_no_common_error(
    server: FakeServer,
    state: Path,
    kind: type[BaseException],
    asynchronous: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Progress] = []

    def call(progress: Progress) -> None:
        seen.append(progress)
        raise kind

    async def call_later(progress: Progress) -> None:
        await asyncio.sleep(0)
        call(progress)

    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(b"x", "x", progress=call_later if asynchronous else call)
        assert (await transfer).verified
    assert seen[-1].state == "complete"
    assert "progress callback" in caplog.text


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_a_callback_of_the_blocking_side_cannot_leave_either(
    server: FakeServer, state: Path, kind: type[BaseException]
) -> None:
    seen: list[Progress] = []

    def call(progress: Progress) -> None:
        seen.append(progress)
        raise kind

    with Client(server.url, state_dir=state) as client:
        assert client.upload(b"x", "x", progress=call).result(10).verified
    assert seen[-1].state == "complete"


def test_a_callback_that_would_close_its_own_client_hears_so(
    server: FakeServer, state: Path
) -> None:
    heard: list[BaseException] = []

    def close(_: Progress) -> None:
        try:
            client.close()
        except errors.StateConflict as error:
            heard.append(error)

    with Client(server.url, state_dir=state) as client:
        assert client.upload(b"x", "x", progress=close).result(10).verified
    assert "cannot wait for its own client" in str(heard[0])


CALLS: dict[str, Callable[[Any], Any]] = {
    "upload": lambda client: client.upload(b"x", "x"),
    "upload of a path": lambda client: client.upload(__file__),
    "download": lambda client: client.download("x", "/dev/null/never"),
    "download into a file": lambda client: client.download("x", io.BytesIO()),
    "open": lambda client: client.open("x", "wb"),
    "read": lambda client: client.open("x").read(),
    "stat": lambda client: client.stat("x"),
    "names": lambda client: client.names(),
    "blocks": lambda client: client.blocks("x"),
    "unfinished": lambda client: client.unfinished(),
    "rewrap": lambda client: client.rewrap("x", [], []),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_client_that_is_closed_begins_nothing(
    server: FakeServer, state: Path, call: str
) -> None:
    client = AsyncClient(server.url, state_dir=state)
    await client.upload(b"x", "x")
    await client.close()
    asked = len(server.requests)
    with pytest.raises(errors.StateConflict, match="The client is closed"):  # noqa: PT012 - each way to call
        called = CALLS[call](client)
        await (anext(called) if hasattr(called, "__anext__") else called)
    await client.close()  # again is no error
    assert len(server.requests) == asked


async def test_transfers_run_side_by_side_up_to_the_limit(
    server: FakeServer, tmp_path: Path, state: Path
) -> None:
    paths = [tmp_path / f"{n}.bin" for n in range(20)]
    for path in paths:
        path.write_bytes(sample(10_000))
    async with AsyncClient(server.url, state_dir=state, parallel=3) as client:
        results = await asyncio.gather(*(client.upload(path) for path in paths))
    assert all(result.verified for result in results)
    assert len({request[2]["host"] for request in server.requests}) == 1


def test_a_transfer_crosses_to_the_blocking_side_as_itself(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=0)
    with Client(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        assert isinstance(transfer, BlockingTransfer)  # not the result: nobody awaited it
        assert isinstance(transfer._transfer, Transfer)
        assert not transfer.done
        server.release.set()
        assert isinstance(transfer.result(), UploadResult)


def test_the_blocking_side_pauses_resumes_and_times_out(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    with Client(server.url, state_dir=state) as client:
        transfer = client.upload(large)
        server.wait_for(2_000_000)
        with pytest.raises(TimeoutError):
            transfer.result(timeout=0.01)
        transfer.pause()
        assert transfer.progress.state == "paused"
        server.release.set()
        transfer.resume()
        states = [progress.state for progress in transfer]
        assert states[-1] == "complete"
        assert transfer.result().verified


def test_the_blocking_side_pauses_on_an_error(server: FakeServer, large: Path, state: Path) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    with (  # noqa: PT012 - the context is what is tested
        pytest.raises(ZeroDivisionError),
        Client(server.url, state_dir=state) as client,
    ):
        client.upload(large)
        server.wait_for(2_000_000)
        raise ZeroDivisionError
    assert len(list(Notebook(state).all())) == 1
    assert not [t for t in threading.enumerate() if t.name == "towpath-loop"]


def test_the_blocking_side_lists_and_removes(server: FakeServer, state: Path) -> None:
    for n in range(5):
        server.add(f"a/{n}", b"x" * n)
    server.add("b", b"")
    with towpath.Client(server.url, state_dir=state) as client:
        assert [name.path for name in client.names("a/", page=2)] == [f"a/{n}" for n in range(5)]
        assert client.stat("a/3").length == 3
        client.remove("a/3")
        with pytest.raises(errors.NotFound):
            client.stat("a/3")
        assert list(client.uploads()) == []
        assert client.server()["version"] == "0.0-fake"


async def test_the_server_knows_open_uploads_and_gives_them_up(
    server: FakeServer, large: Path, state: Path
) -> None:
    server.fail("PATCH", "hold", at=2_000_000)
    async with AsyncClient(server.url, state_dir=state) as client:
        transfer = client.upload(large, metadata={"case": "1"})
        await received(server, 2_000_000)
        await transfer.pause()
        (upload,) = [upload async for upload in client.uploads()]
        assert (upload.name, upload.offset, upload.metadata["case"]) == (
            "large.bin",
            server.received,
            "1",
        )
        await client.cancel(upload.id)
        assert [upload async for upload in client.uploads()] == []
        (note,) = await client.unfinished()
        await transfer.cancel(cleanup=False)
        await client.forget(note)
        assert await client.unfinished() == []


def test_a_callback_of_the_blocking_side_that_would_wait_for_itself_hears_so(
    server: FakeServer, large: Path, state: Path
) -> None:
    heard: list[BaseException] = []
    started = threading.Event()

    def pause(_: Progress) -> None:
        assert started.wait(10)
        try:
            transfer.pause()
        except errors.StateConflict as error:
            heard.append(error)

    with Client(server.url, state_dir=state) as client:
        transfer = client.upload(large, progress=pause)
        started.set()
        assert transfer.result().verified
    assert "cannot wait for its own client" in str(heard[0])
