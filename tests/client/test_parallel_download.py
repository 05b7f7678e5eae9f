"""An object by many connections, from a real server, over a wire that hears and breaks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.client.awaited import Either
from tests.client.gates import most_live
from towpath.client import BlockingTransfer, Client, DownloadResult
from towpath.client.parallel_download import ParallelDownload
from towpath.client.resume import Notebook
from towpath.client.tuning import Tuner
from towpath.core.ranges import Extent
from towpath.testing.overheard import Overheard
from towpath.testing.plan import Fault, Lane, Plan, PlanOf
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
SIZE = 24 * MIB + 12_345
DATA = Random(2).randbytes(SIZE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "big.bin").write_bytes(DATA)
    with Server(folder / "data") as server:
        with Client(server.url, state_dir=folder / "state") as client:
            client.upload(folder / "big.bin", "big.bin").result()
        yield server


@contextlib.contextmanager
def way(server: Server, plan: PlanOf = lambda _: Plan()) -> Iterator[tuple[Wire, Overheard, str]]:
    """A wire to the server, who listens there, and where to connect to."""
    heard = Overheard()
    with threaded(Wire("127.0.0.1", server.port, plan=plan, tap=heard)) as wire:
        yield wire, heard, f"http://127.0.0.1:{wire.port}"


def some(transfer: BlockingTransfer[DownloadResult], count: int) -> None:
    """Return when so many bytes have come."""
    assert any(progress.sent_bytes >= count for progress in transfer)


def gets(heard: Overheard) -> int:
    return sum(each.method == "GET" and "/files/" in each.path for each in heard.requests)


def test_a_large_object_comes_by_many_connections_and_is_verified(
    running: Server, tmp_path: Path, either: Either
) -> None:
    far = Plan(up=Lane(latency=0.06))
    with (
        way(running, lambda _: far) as (wire, heard, url),
        either(url, state_dir=tmp_path / "state") as client,
    ):
        down = client.download("big.bin", tmp_path / "x").result()
    assert (down.length, down.received_bytes, down.verified) == (SIZE, SIZE, True)
    assert wire.opened >= 2
    assert gets(heard) > 2
    assert (tmp_path / "x").read_bytes() == DATA
    assert not (tmp_path / "x.part").exists()
    assert list((tmp_path / "state").iterdir()) == []


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is near, whatever this machine takes just now."""
    answered = Tuner.answered
    monkeypatch.setattr(Tuner, "answered", lambda tuner, _: answered(tuner, 0.001))
    monkeypatch.setattr("towpath.client.tuning._UNBOUND", 0)
    monkeypatch.setattr("towpath.client.tuning._LONGEST", 3600.0)


@pytest.mark.usefixtures("near")
def test_a_server_that_is_near_gives_by_one_connection(running: Server, tmp_path: Path) -> None:
    with way(running) as (wire, heard, url), Client(url, state_dir=tmp_path / "state") as client:
        assert client.download("big.bin", tmp_path / "x").result().verified
    assert wire.opened == 1
    assert gets(heard) == 2  # of 4 MiB first, then of all that is left
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.usefixtures("near")
def test_what_one_connection_brings_is_not_far_ahead_of_what_is_kept(
    running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, keep, slow = [0], ParallelDownload._keep, threading.Event()

    def keeping(download: ParallelDownload, extent: Extent) -> None:
        slow.wait(0.3)  # for a disk, in which all of the rest could come
        keep(download, extent)
        kept.append(extent.total)

    monkeypatch.setattr(ParallelDownload, "_keep", keeping)
    monkeypatch.setattr("towpath.client.parallel_download._UNKEPT", 4 * MIB)
    with Client(running.url, state_dir=tmp_path / "state") as client:
        assert client.download("big.bin", tmp_path / "x").result().verified
    assert max(after - before for before, after in pairwise(kept)) <= (4 + 1) * MIB  # and a block
    assert kept[-1] == SIZE


def test_a_far_server_gives_by_more_connections(running: Server, tmp_path: Path) -> None:
    lane = Lane(latency=0.025, rate=2 * MIB)
    with way(running, lambda _: Plan(up=lane, down=lane)) as (wire, _, url):
        live = most_live(wire)
        with Client(url, state_dir=tmp_path / "state") as client:
            down = client.download("big.bin", tmp_path / "x").result()
    assert down.verified
    assert live() >= 6
    assert (tmp_path / "x").read_bytes() == DATA


def test_one_connection_means_in_order(running: Server, tmp_path: Path, either: Either) -> None:
    with (
        way(running) as (_, heard, url),
        either(url, state_dir=tmp_path / "state", connections=1) as client,
    ):
        assert client.download("big.bin", tmp_path / "x").result().verified
    assert gets(heard) == 1


def test_an_address_comes_by_many_connections_too(
    running: Server, tmp_path: Path, either: Either
) -> None:
    far = Plan(up=Lane(latency=0.06))
    with (
        way(running, lambda _: far) as (_, heard, url),
        either(url, state_dir=tmp_path / "state") as client,
    ):
        address = url + client.stat("big.bin").href
        assert client.download(address, tmp_path / "x").result().verified
    assert gets(heard) > 2
    assert (tmp_path / "x").read_bytes() == DATA


def test_connections_that_break_cost_no_more_than_their_chunks(
    running: Server, tmp_path: Path, either: Either
) -> None:
    def plan(number: int) -> Plan:
        return Plan(down=Lane(fault=Fault.RESET, at=5 * MIB)) if number < 4 else Plan()

    with way(running, plan) as (wire, _, url):
        with either(url, state_dir=tmp_path / "state", connections=4) as client:
            assert client.download("big.bin", tmp_path / "x").result().verified
        cuts = sum("reset at byte" in event.what for event in wire.events)
        assert cuts >= 1
        assert wire.down <= SIZE + cuts * 4 * MIB + MIB
    assert (tmp_path / "x").read_bytes() == DATA


def test_another_client_goes_on_with_the_ranges_that_are_missing(
    running: Server, tmp_path: Path, either: Either
) -> None:
    with way(running, lambda _: Plan(down=Lane(rate=4 * MIB))) as (wire, _, url):
        with either(url, state_dir=tmp_path / "state", connections=4) as client:
            transfer = client.download("big.bin", tmp_path / "x")
            some(transfer, 12 * MIB)
            transfer.pause()
        (note,) = Notebook(tmp_path / "state").all()
        assert note.dialect == "ranges"
        assert 0 < note.offset == sum(end - start for start, end, _ in note.spans) < SIZE
        wire.plan = lambda _: Plan()
        with either(url, state_dir=tmp_path / "state") as client:
            down = client.download("big.bin", tmp_path / "x").result()
    assert (down.resumed_from, down.received_bytes) == (note.offset, SIZE - note.offset)
    assert down.verified
    assert (tmp_path / "x").read_bytes() == DATA


def test_an_object_that_was_replaced_meanwhile_is_not_mixed(
    running: Server, tmp_path: Path
) -> None:
    (tmp_path / "new").write_bytes(DATA[::-1])
    (tmp_path / "old").write_bytes(DATA)
    with way(running, lambda _: Plan(down=Lane(rate=4 * MIB))) as (wire, _, url):
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            client.upload(tmp_path / "old", "replaced").result()
            transfer = client.download("replaced", tmp_path / "x")
            some(transfer, 8 * MIB)
            transfer.pause()
            client.upload(tmp_path / "new", "replaced", on_conflict="replace").result()
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=tmp_path / "state") as client:
            down = client.download("replaced", tmp_path / "x").result()
    assert (down.resumed_from, down.verified) == (0, True)
    assert (tmp_path / "x").read_bytes() == DATA[::-1]


def test_a_part_that_somebody_cut_is_begun_anew(running: Server, tmp_path: Path) -> None:
    with way(running, lambda _: Plan(down=Lane(rate=4 * MIB))) as (wire, _, url):
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            transfer = client.download("big.bin", tmp_path / "x")
            some(transfer, 8 * MIB)
            transfer.pause()
        with (tmp_path / "x.part").open("r+b") as file:
            file.truncate(1000)
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=tmp_path / "state") as client:
            down = client.download("big.bin", tmp_path / "x").result()
    assert (down.resumed_from, down.verified) == (0, True)
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("damage", ["part", "note"])
def test_what_is_not_as_it_was_noted_comes_again(
    running: Server, tmp_path: Path, damage: str
) -> None:
    state = tmp_path / "state"
    with way(running, lambda _: Plan(down=Lane(rate=4 * MIB))) as (wire, _, url):
        with Client(url, state_dir=state, connections=4) as client:
            transfer = client.download("big.bin", tmp_path / "x")
            some(transfer, 8 * MIB)
            transfer.pause()
        (note,) = Notebook(state).all()
        (start, end, crc), *rest = note.spans
        if damage == "note":
            Notebook(state).write(replace(note, spans=((start, end, crc ^ 1), *rest)))
        else:
            with (tmp_path / "x.part").open("r+b") as file:
                file.seek(end - 100)
                file.write(b"somebody else's bytes")
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=state) as client:
            down = client.download("big.bin", tmp_path / "x").result()
    assert (down.resumed_from, down.verified) == (note.offset - (end - start), True)
    assert (tmp_path / "x").read_bytes() == DATA
    assert not (tmp_path / "x.part").exists()
