"""A file by many connections, to a real server, over a wire that hears and breaks."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.client.awaited import Either
from tests.client.fake import FakeServer
from tests.client.gates import most_live
from towpath import errors
from towpath.client import BlockingTransfer, Client, UploadResult, parallel_words
from towpath.client.control import Control
from towpath.client.peer import Reply
from towpath.client.resume import Notebook
from towpath.client.tuning import Tuner
from towpath.core.state import UploadState
from towpath.protocol.ranges import Told
from towpath.testing.clock import FakeClock
from towpath.testing.overheard import Overheard
from towpath.testing.plan import Fault, Lane, Plan, PlanOf, breaking
from towpath.testing.server import Server
from towpath.testing.wire import Wire, threaded

MIB = 1024 * 1024
SIZE = 24 * MIB + 12_345
HEADS = 64 * 1024


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "large.bin"
    path.write_bytes(Random(1).randbytes(SIZE))
    return path


@contextlib.contextmanager
def way(server: Server, plan: PlanOf = lambda _: Plan()) -> Iterator[tuple[Wire, Overheard, str]]:
    """A wire to the server, who listens there, and where to connect to."""
    heard = Overheard()
    with threaded(Wire("127.0.0.1", server.port, plan=plan, tap=heard)) as wire:
        yield wire, heard, f"http://127.0.0.1:{wire.port}"


def puts(heard: Overheard) -> list[int]:
    return [each.place or 0 for each in heard.requests if each.method == "PUT"]


def content(url: str, name: str, folder: Path) -> bytes:
    """What the server has, read by one connection."""
    target = folder / "read back"
    with Client(url, state_dir=folder / "reader", connections=1) as client:
        client.download(name, target, overwrite=True).result()
    return target.read_bytes()


def some(transfer: BlockingTransfer[UploadResult], count: int) -> None:
    """Return when so many bytes are sent."""
    assert any(progress.sent_bytes >= count for progress in transfer)


def test_a_large_file_goes_by_many_connections_and_is_verified(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    far = Plan(up=Lane(latency=0.06))
    with (
        way(running, lambda _: far) as (wire, heard, url),
        either(url, state_dir=tmp_path / "state") as client,
    ):
        up = client.upload(large, "many/").result()
        assert (up.length, up.sent_bytes, up.verified) == (SIZE, SIZE, True)
        assert wire.opened >= 2
        assert len(puts(heard)) > 2
        assert all(each.method != "PATCH" for each in heard.requests)
        record = client.stat(up.name)
        assert record.digests["crc64nvme"] == up.crc64nvme
        assert up.url == f"{url}{record.href}"
        assert content(url, up.name, tmp_path) == large.read_bytes()
    assert list((tmp_path / "state").iterdir()) == []


def test_a_server_that_is_near_gets_four_connections_and_long_chunks(
    running: Server, large: Path, tmp_path: Path
) -> None:
    with (
        way(running) as (wire, heard, url),
        Client(url, state_dir=tmp_path / "state") as client,
    ):
        near = Tuner.answered
        with pytest.MonkeyPatch.context() as patch:  # whatever this machine takes just now
            patch.setattr(Tuner, "answered", lambda tuner, _: near(tuner, 0.001))
            patch.setattr("towpath.client.tuning._UNBOUND", 0)
            patch.setattr("towpath.client.tuning._LONGEST", 3600.0)
            assert client.upload(large, "near/").result().verified
    assert wire.opened == 4
    assert sorted(puts(heard))[:4] == [0, MIB, 2 * MIB, 3 * MIB]
    assert len(puts(heard)) <= 12  # of 20 MiB that are left each takes its share


def test_one_connection_means_in_order_by_tus(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with (
        way(running) as (_, heard, url),
        either(url, state_dir=tmp_path / "state", connections=1) as client,
    ):
        assert client.upload(large, "one/").result().verified
    assert [each.method for each in heard.requests if each.method != "GET"] == ["POST", "PATCH"]


def test_a_small_file_goes_by_one_connection(
    running: Server, tmp_path: Path, either: Either
) -> None:
    (tmp_path / "small").write_bytes(bytes(MIB))
    with way(running) as (_, heard, url), either(url, state_dir=tmp_path / "state") as client:
        client.upload(tmp_path / "small", "small/").result()
    assert puts(heard) == []


def test_a_server_that_knows_no_ranges_gets_tus(
    server: FakeServer, large: Path, tmp_path: Path, either: Either
) -> None:
    with either(server.url, state_dir=tmp_path / "state") as client:
        assert client.upload(large).result().verified
    asked = [request[:2] for request in server.requests if request[0] != "GET"]
    assert asked[:3] == [
        ("POST", "/ranges/"),
        ("OPTIONS", "/files/"),
        ("POST", "/files/"),
    ]
    assert bytes(server.named("large.bin").data) == large.read_bytes()


def test_connections_that_break_cost_no_more_than_their_chunks(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with way(running, breaking(1, Lane(), 0.2)) as (wire, heard, url):
        with either(url, state_dir=tmp_path / "state", connections=4) as client:
            up = client.upload(large, "breaking/").result()
        cuts = sum("reset at byte" in event.what for event in wire.events)
        assert cuts >= 1
        assert SIZE <= wire.up <= SIZE + cuts * 8 * MIB + len(heard.requests) * 1024
    assert up.verified
    assert content(running.url, up.name, tmp_path) == large.read_bytes()


def test_after_a_pause_only_what_is_missing_is_sent(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    slow = Plan(up=Lane(rate=4 * MIB))
    with way(running, lambda _: slow) as (wire, _, url):
        with either(url, state_dir=tmp_path / "state", connections=4) as client:
            transfer = client.upload(large, "paused/", metadata={"case": "1"})
            some(transfer, 10 * MIB)
            transfer.pause()
            assert transfer.progress.state == "paused"
        (note,) = Notebook(tmp_path / "state").all()
        assert (note.dialect, note.length) == ("ranges", SIZE)
        wire.plan = lambda _: Plan()
        with either(url, state_dir=tmp_path / "state") as client:  # as another process would
            up = client.resume(note).result()
        assert 0 < up.resumed_from < SIZE
        assert up.sent_bytes <= SIZE - up.resumed_from
        assert up.verified
        assert content(running.url, up.name, tmp_path) == large.read_bytes()


@pytest.fixture
def one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a file is one chunk, as it may be where the server is very near."""
    near = Tuner.answered
    monkeypatch.setattr(Tuner, "answered", lambda tuner, _: near(tuner, 0.001))
    monkeypatch.setattr(Tuner, "chunk", lambda _, left: left)


@pytest.mark.usefixtures("one_chunk")
def test_after_a_pause_it_is_told_what_the_server_has_of_a_chunk_that_was_cut(
    running: Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towpath.client.parallel_upload._SOON", 20.0)
    state, slow = tmp_path / "state", Plan(up=Lane(rate=8 * MIB))
    with way(running, lambda _: slow) as (wire, heard, url):
        with Client(url, state_dir=state) as client:
            transfer = client.upload(large, "cut/")
            wire.when(lambda: wire.up >= 12 * MIB).result(20)
            transfer.pause()
            told = transfer.progress.transferred_bytes
            there = next(each for each in client.uploads() if str(each.name).startswith("cut/"))
        assert puts(heard) == [0]  # so that nothing of it was acknowledged
        (note,) = Notebook(state).all()
        assert 0 < told == note.offset <= there.offset
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=state) as client:
            up = client.resume(note).result()
    assert (up.verified, up.resumed_from >= note.offset) == (True, True)


@pytest.mark.usefixtures("one_chunk")
def test_a_pause_does_not_wait_for_a_server_that_says_nothing(
    running: Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, either: Either
) -> None:
    monkeypatch.setattr("towpath.client.parallel_upload._SOON", 0.2)

    def plan(number: int) -> Plan:
        return Plan(up=Lane(fault=Fault.STALL) if number else Lane(rate=8 * MIB))

    with (
        way(running, plan) as (wire, _, url),
        either(url, state_dir=tmp_path / "state") as client,
    ):
        transfer = client.upload(large, "silent/")
        some(transfer, 6 * MIB)
        transfer.pause()
        wire.when(lambda: wire.opened == 2).result(10)  # it was asked
        assert (transfer.progress.state, transfer.progress.transferred_bytes) == ("paused", 0)
        (note,) = Notebook(tmp_path / "state").all()
        assert (note.offset, note.spans) == (0, ())


@pytest.mark.parametrize(("deadline", "waits"), [(None, 61.3), (10.0, 10.0)])
def test_a_server_that_never_makes_an_object_of_it_is_given_up_and_nothing_is_lost(
    running: Server, large: Path, tmp_path: Path, deadline: float | None, waits: float
) -> None:
    clock, told = FakeClock(), parallel_words.told

    def sealing(reply: Reply) -> Told:
        found = told(reply)
        done = found.state is UploadState.COMPLETE
        return found._replace(state=UploadState.SEALING) if done else found

    name, state = f"sealing/{waits}", tmp_path / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel_words, "told", sealing)
        patch.setattr("towpath.client.parallel_upload.time", clock)
        patch.setattr("towpath.client.retry.time", clock)
        patch.setattr(Control, "sleep", lambda _, seconds: clock.advance(seconds))
        with (
            Client(running.url, state_dir=state, deadline=deadline) as client,
            pytest.raises(errors.TransferError, match="not made an object") as given_up,
        ):
            client.upload(large, name).result()
    assert clock.monotonic() == pytest.approx(waits, abs=0.5)
    assert given_up.value.retryable
    with Client(running.url, state_dir=state) as client:
        up = client.upload(large, name).result()
    assert (up.sent_bytes, up.verified, up.name) == (0, True, name)


def test_a_note_that_lost_its_checksums_costs_reading_and_no_sending(
    running: Server, large: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with way(running, lambda _: Plan(up=Lane(rate=4 * MIB))) as (wire, _, url):
        with Client(url, state_dir=state, connections=4) as client:
            transfer = client.upload(large, "lost/")
            some(transfer, 12 * MIB)
            transfer.pause()
        (note,) = Notebook(state).all()
        Notebook(state).write(replace(note, spans=()))
        wire.plan = lambda _: Plan()
        with Client(url, state_dir=state, connections=4) as client:
            up = client.upload(large, "lost/").result()
    assert (up.verified, up.sent_bytes <= SIZE - up.resumed_from) == (True, True)


def test_a_source_that_changes_never_becomes_an_object(running: Server, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(SIZE))
    with (
        way(running, lambda _: Plan(up=Lane(rate=2 * MIB))) as (_, _, url),
        Client(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(path, "changing/")
        some(transfer, 6 * MIB)
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(errors.SourceChanged):
            transfer.result()
        with pytest.raises(errors.SourceChanged, match="--restart"):
            client.upload(path, "changing/").result()
        assert list(client.names("changing/")) == []


def test_a_restart_sends_the_file_as_it_is_now(running: Server, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(SIZE))
    with way(running, lambda _: Plan(up=Lane(rate=8 * MIB))) as (_, _, url):
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            transfer = client.upload(path, "again/")
            some(transfer, 4 * MIB)
            transfer.pause()
        with path.open("ab") as file:
            file.write(b"more")
        with Client(url, state_dir=tmp_path / "state", connections=4) as client:
            up = client.upload(path, "again/", restart=True).result()
            assert (up.length, up.verified) == (SIZE + 4, True)
            assert [upload.name for upload in client.uploads() if "again" in str(upload.name)] == []


def test_cancelling_removes_the_upload_from_the_server(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with (
        way(running, lambda _: Plan(up=Lane(rate=2 * MIB))) as (_, _, url),
        either(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(large, "cancelled/")
        some(transfer, 4 * MIB)
        transfer.cancel()
        names = [str(upload.name) for upload in client.uploads()]
    assert not any(name.startswith("cancelled/") for name in names)
    assert list((tmp_path / "state").iterdir()) == []


def test_an_upload_that_the_server_lost_begins_anew(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with (
        way(running, lambda _: Plan(up=Lane(rate=4 * MIB))) as (wire, heard, url),
        either(url, state_dir=tmp_path / "state", connections=4) as client,
    ):
        transfer = client.upload(large, "vanished/")
        some(transfer, 4 * MIB)
        client.cancel(heard.locations[-1].rpartition("/")[2])
        wire.plan = lambda _: Plan()
        wire.sever(Fault.RESET)
        assert transfer.result().verified


def test_a_taken_name_is_treated_as_asked(running: Server, large: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(os.urandom(SIZE))
    with Client(running.url, state_dir=tmp_path / "state") as client:
        assert client.upload(large, "taken/x").result().name == "taken/x"
        assert client.upload(other, "taken/x").result().name == "taken/x (2)"
        with pytest.raises(errors.NameConflict):
            client.upload(other, "taken/x", on_conflict="fail").result()
        client.remove("taken/x")
        up = client.upload(other, "taken/x", on_conflict="fail").result()
        assert (up.name, up.sent_bytes, up.verified) == ("taken/x", 0, True)


def test_a_far_server_gets_more_connections(running: Server, tmp_path: Path) -> None:
    path = tmp_path / "far"
    path.write_bytes(bytes(24 * MIB))
    lane = Lane(latency=0.025, rate=2 * MIB)
    with way(running, breaking(1, lane, 0.01)) as (wire, _, url):
        live = most_live(wire)
        with Client(url, state_dir=tmp_path / "state") as client:
            up = client.upload(path, "far/").result()
    assert up.verified
    assert live() >= 6


def test_the_threads_of_a_transfer_end_with_it(
    running: Server, large: Path, tmp_path: Path, either: Either
) -> None:
    with either(running.url, state_dir=tmp_path / "state") as client:
        client.upload(large, "threads/").result()
    assert not [each for each in threading.enumerate() if each.name == "towpath-carrier"]
