"""However many files go at once, and however: a client has no more connections than were said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from towpath.client import Client
from towpath.testing.plan import Lane, Plan
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
LARGE = 18 * MIB


@contextlib.contextmanager
def counted(server: Server) -> Iterator[tuple[str, list[int]]]:
    """A wire to the server, and the most connections that it had at once."""
    most = [0]
    plan = Plan(up=Lane(latency=0.002))
    with threaded(Wire("127.0.0.1", server.port, plan=lambda _: plan)) as wire:

        def watch() -> bool:
            most[0] = max(most[0], len(wire.live))
            return False

        wire.when(watch)
        yield f"http://127.0.0.1:{wire.port}", most


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Large ones and small ones."""
    folder, draw, paths = tmp_path_factory.mktemp("files"), Random(11), []
    for number, size in enumerate((LARGE, 1000, LARGE, 4 * MIB)):
        paths.append(folder / str(number))
        paths[-1].write_bytes(draw.randbytes(size))
    return paths


@pytest.mark.parametrize("total", [1, 2, 5])
def test_files_by_ranges_and_in_order(
    real: Server, files: list[Path], state: Path, tmp_path: Path, total: int
) -> None:
    with (
        counted(real) as (url, most),
        Client(url, state_dir=state, total_connections=total) as client,
    ):
        transfers = [client.upload(path, f"total-{total}/") for path in files]
        assert all(transfer.result().verified for transfer in transfers)
        for path in files:
            client.download(f"total-{total}/{path.name}", tmp_path / path.name)
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in files)
    assert most[0] <= total
    assert total < 5 or most[0] > 2  # and they are used


@pytest.mark.parametrize("total", [1, 2])
def test_coded_files_beside_others(
    real: Server, files: list[Path], state: Path, total: int
) -> None:
    with (
        counted(real) as (url, most),
        Client(url, state_dir=state, chunk_size=MIB, total_connections=total) as client,
    ):
        coded = client.upload(files[3], f"coded-{total}/", compress="auto")
        plain = client.upload(files[0], f"coded-{total}/")
        assert (coded.result().verified, plain.result().verified) == (True, True)
    assert most[0] <= total


def test_a_paused_file_leaves_its_connections_to_others(
    real: Server, files: list[Path], state: Path
) -> None:
    slow = Plan(up=Lane(rate=MIB))
    with (
        threaded(Wire("127.0.0.1", real.port, plan=lambda _: slow)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=state, total_connections=1) as client,
    ):
        first = client.upload(files[0], "pause/")
        assert any(progress.sent_bytes for progress in first)
        second = client.upload(files[1], "pause/")
        first.pause()
        assert second.result().verified
        wire.plan = lambda _: Plan()
        wire.sever()
        first.resume()
        assert first.result().verified


def test_a_file_that_waits_for_its_connection_can_be_cancelled(
    real: Server, files: list[Path], state: Path
) -> None:
    slow = Plan(up=Lane(rate=MIB))
    with (
        threaded(Wire("127.0.0.1", real.port, plan=lambda _: slow)) as wire,
        Client(f"http://127.0.0.1:{wire.port}", state_dir=state, total_connections=1) as client,
    ):
        first = client.upload(files[0], "cancel/")
        assert any(progress.sent_bytes for progress in first)
        second = client.upload(files[1], "cancel/")
        second.cancel()
        assert (second.progress.state, second.progress.sent_bytes) == ("cancelled", 0)
        first.cancel()


def test_a_file_that_is_open_for_writing_is_in_nobodys_way(
    real: Server, files: list[Path], state: Path
) -> None:
    with (
        Client(real.url, state_dir=state, total_connections=1) as client,
        client.open("beside/open", "wb") as writer,
    ):
        writer.write(b"begun")
        assert client.upload(files[0], "beside/").result().verified
        writer.write(b" and ended")
